"""`-o jsonpath=TEMPLATE` as in kubectl: `{.status.phase}`, `{range .items[*]}...{end}`.

Owns the part of that language that is understood; the rest is refused by name. Must not print.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from opstrand.cli.errors import CliError

_BLOCK = re.compile(r"\{((?:[^{}\"']|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')*)\}")
_STEP = re.compile(
    r"""\.\.(?P<deep>[\w-]+)|\.(?P<name>(?:[^.\[\]\\\s'"]|\\.)+)|\['(?P<quoted>[^']*)'\]"""
    r"""|\["(?P<double>[^"]*)"\]|\[(?P<index>-?\d+)\]|\[(?P<all>\*)\]"""
    r"""|\[(?P<start>-?\d*):(?P<end>-?\d*)\]|\[\?\((?P<filter>[^)]*)\)\]"""
)
_FILTER = re.compile(r"@(?P<path>[\w.\[\]'*-]*)\s*(?:(?P<sign>==|!=)\s*(?P<value>.+?))?\s*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True)
class _Range:
    path: str
    parts: tuple[_Part, ...]


#: Text as it is, a path after `.`, or a loop.
_Part = tuple[str, str] | _Range


def print_jsonpath(template: str, data: Any) -> str:
    """Return the text that the template makes of the data.

    A path that leads nowhere is empty, several values stand with a blank between them. Raises
    CliError for a template that cannot be read.
    """
    bare = template.strip()
    if bare.startswith((".", "$")) and "{" not in bare:
        template = f"{{{bare}}}"
    parts, rest = _parse(list(_split(template)), is_inside=False)
    assert not rest
    return "".join(_print(parts, data, data))


def _split(template: str) -> Iterator[tuple[str, str]]:
    """Yield (text, as it is) and (block, what stands in the braces)."""
    at = 0
    for found in _BLOCK.finditer(template):
        if found.start() > at:
            yield "text", template[at : found.start()]
        yield "block", found[1].strip()
        at = found.end()
    if "{" in template[at:] or "}" in template[at:]:
        _refuse(template, "a brace is not closed")
    if at < len(template):
        yield "text", template[at:]


def _parse(
    tokens: list[tuple[str, str]], *, is_inside: bool
) -> tuple[tuple[_Part, ...], list[tuple[str, str]]]:
    parts: list[_Part] = []
    while tokens:
        (kind, text), tokens = tokens[0], tokens[1:]
        if kind == "text":
            parts.append(("text", text))
        elif text == "end":
            if not is_inside:
                _refuse("{end}", "there is no {range} before it")
            return tuple(parts), tokens
        elif text.startswith("range"):
            inner, tokens = _parse(tokens, is_inside=True)
            parts.append(_Range(text.removeprefix("range").strip(), inner))
        elif text[:1] in ("'", '"'):
            parts.append(("text", _unescape(text[1:-1])))
        else:
            parts.append(("path", text))
    if is_inside:
        _refuse("{range}", "there is no {end} after it")
    return tuple(parts), tokens


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)


def _print(parts: tuple[_Part, ...], data: Any, root: Any) -> Iterator[str]:
    for part in parts:
        if isinstance(part, _Range):
            for item in _find(part.path, data, root):
                yield from _print(part.parts, item, root)
        elif part[0] == "text":
            yield part[1]
        else:
            yield " ".join(map(_as_text, _find(part[1], data, root)))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _find(path: str, data: Any, root: Any) -> list[Any]:
    """Return every value that a path leads to."""
    values, at = [root if path.startswith("$") else data], 0
    path = path.removeprefix("$").removeprefix("@")
    if path == ".":
        return values
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            _refuse(path, f"{path[at:]!r} is not understood here")
        if step["filter"] is not None and not _FILTER.fullmatch(step["filter"].strip()):
            _refuse(path, 'expected a filter such as ?(@.type=="Finished")')
        values = [found for value in values for found in _select(step, value)]
        at = step.end()
    return values


def _select(step: re.Match[str], value: Any) -> Iterator[Any]:
    """Yield what one step leads to from a value."""
    if step["deep"]:
        yield from _descend(step["deep"], value)
    elif step["name"] == "*" or step["all"]:
        yield from _items(value)
    elif step["filter"] is not None:
        yield from (item for item in _items(value) if _holds(step["filter"], item))
    elif step["index"] is not None or step["start"] is not None:
        yield from _slice(step, value if isinstance(value, list) else [])
    else:
        name = re.sub(r"\\(.)", r"\1", step["name"] or step["quoted"] or step["double"] or "")
        if isinstance(value, Mapping) and name in value:
            yield value[name]


def _slice(step: re.Match[str], items: list[Any]) -> list[Any]:
    if step["index"] is None:
        start, end = (int(text) if text else None for text in (step["start"], step["end"]))
        return items[start:end]
    index = int(step["index"])
    return [items[index]] if -len(items) <= index < len(items) else []


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def _descend(name: str, value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping) and name in value:
        yield value[name]
    for item in _items(value):
        yield from _descend(name, item)


def _holds(condition: str, item: Any) -> bool:
    found = _FILTER.fullmatch(condition.strip())
    assert found is not None
    values = _find(found["path"], item, item)
    if found["sign"] is None:
        return bool(values)
    wanted = found["value"]
    wanted = wanted[1:-1] if wanted[:1] in ("'", '"') else wanted
    return (wanted in map(_as_text, values)) == (found["sign"] == "==")


def _refuse(what: str, why: str) -> NoReturn:
    raise CliError(
        f"-o jsonpath: {what!r}: {why}",
        hint="`-o json` prints all; `kubectl get operation -o jsonpath=` knows more.",
    )
