"""Kubernetes' `$(VAR)` syntax: how to expand a text, and how to write one that arrives unchanged.

Owns that syntax: `$(NAME)` is the variable's value if it is defined and stays if it is not, `$$` is
a dollar, every other dollar stays. Kubernetes reads it in `command`, `args`, `env`, `subPathExpr`
and the commands of probes. Only what the author of the polyaxonfile wrote is a reference there:
what a template printed is data, and so is a literal within an expression (`{{ '$(X)' }}`), since an
expression always gives a value. Must not know where variables come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from opstrand.core.templates.traced import Piece, forget, pieces_of

_TOKEN = re.compile(r"\$\$|\$\(([^)]*)\)")
#: Before these, a dollar must be doubled to stay one. (The kubelet reads bytes: it would split a
#: multi-byte character after a dollar.)
_RISKY = re.compile(r"\$(?=[$(\x80-\U0010ffff])")
#: Stands for a printed piece within the author's text; no text of a container can hold it.
_GAP = "\0"
#: The parts of an author's text, gaps included: an escaped dollar, a reference, another dollar, the
#: rest.
_PART = re.compile(r"\$\$|\$\([^)]*\)|\$|[^$\0]+|\0")
_PART_OF_REST = re.compile(r"\$\$|\$|[^$\0]+|\0")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


class _Segment(NamedTuple):
    """`literal`: a dollar in it is a dollar. Otherwise Kubernetes reads it as it stands."""

    text: str
    literal: bool


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Expand `text` as a container gets it. Inserted values are not expanded again."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else variables.get(name, match.group())

    end = _end_of_references(text)
    return _TOKEN.sub(replace, text[:end]) + text[end:].replace("$$", "$")


def _end_of_references(text: str) -> int:
    """Return the index after the last parenthesis: no reference ends behind it.

    Searching for the end from each beginning would take quadratic time.
    """
    return text.rfind(")") + 1


def escape(text: str) -> str:
    """Escape `text` that is data from end to end."""
    return text.replace("$", "$$")


def protect(value: Any) -> Any:
    """Return the value as plain texts in which Kubernetes expands only what the author wrote.

    A text with something printed inside the parentheses (`$({{ name }})`) is no reference: the
    author did not write its name.
    """
    if isinstance(value, str):
        return _protect(value)
    if isinstance(value, Mapping):
        return {protect(key): protect(item) for key, item in value.items()}
    return [protect(item) for item in value] if isinstance(value, list | tuple) else value


def protect_container(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container as Kubernetes must read it.

    The fields that it expands are protected, every other text is plain.
    """
    return map_expanded(container, protect)


def keep_traces(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return a container with traces only in the fields that Kubernetes expands."""
    return map_expanded(container, lambda value: value)


def map_expanded(container: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a container with `change` applied to the fields that Kubernetes expands.

    All other texts become plain.
    """
    plain: dict[str, Any] = forget(dict(container))
    for key in ("command", "args"):
        if key in container:
            plain[key] = change(container[key])
    for key, field in (("env", "value"), ("volumeMounts", "subPathExpr")):
        if isinstance(container.get(key), list | tuple):
            plain[key] = [_map_field(item, field, change) for item in container[key]]
    for key in _PROBES:
        command = _find_command(container.get(key))
        if command is not None:
            plain[key] = {**plain[key], "exec": {**plain[key]["exec"], "command": change(command)}}
    return plain


def _map_field(item: Any, field: str, change: Callable[[Any], Any]) -> Any:
    if not isinstance(item, Mapping) or field not in item:
        return forget(item)
    return {**forget(item), field: change(item[field])}


def _find_command(probe: Any) -> Any:
    action = probe.get("exec") if isinstance(probe, Mapping) else None
    return action.get("command") if isinstance(action, Mapping) else None


def _protect(text: str) -> str:
    if "$" not in text:
        return str(text)
    segments = list(_iter_segments(list(pieces_of(text))))
    written: list[str] = []
    after = ""
    for segment in reversed(segments):
        written.append(_double(segment.text, after) if segment.literal else segment.text)
        after = segment.text[0]
    return "".join(reversed(written))


def _double(text: str, after: str) -> str:
    """Double the dollars of a literal text before `after` that Kubernetes would not keep."""
    doubled = _RISKY.sub("$$", text)
    return doubled + "$" if text.endswith("$") and _RISKY.match("$" + after) else doubled


def _iter_segments(pieces: list[Piece]) -> Iterator[_Segment]:
    """Yield the text in segments, none of them empty."""
    printed = iter([piece.text for piece in pieces if piece.printed])
    skeleton = "".join(_GAP if piece.printed else piece.text.replace(_GAP, "") for piece in pieces)
    last_gap = skeleton.rfind(_GAP)
    end = _end_of_references(skeleton)
    for part in chain(_PART.finditer(skeleton, 0, end), _PART_OF_REST.finditer(skeleton, end)):
        if part.group() == "$":
            # Kubernetes keeps the beginning of a reference that never ends, unless something
            # printed behind it ends it.
            yield _Segment(
                "$", literal=not skeleton.startswith("(", part.end()) or part.end() < last_gap
            )
        elif _GAP in part.group():
            yield from _fill(part.group(), printed)
        else:
            yield _Segment(part.group(), literal=False)


def _fill(part: str, printed: Iterable[str]) -> Iterator[_Segment]:
    """Yield a gap, or a reference with gaps in it, as literals."""
    texts = iter(printed)
    for index, written in enumerate(part.split(_GAP)):
        if index:
            yield _Segment(next(texts), literal=True)
        if written:
            yield _Segment(written, literal=True)
