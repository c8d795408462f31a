"""Kubernetes' `$(VAR)`: what it does to a text, and the text that arrives as it is meant.

Owns that little language: `$(NAME)` is the variable's value where it is defined and stays where it
is not, `$$` is a dollar, every other dollar stays. It is read in `command`, `args`, `env`,
`subPathExpr` and the commands of probes, and only what the author of the file wrote is a reference
there: what a template printed is data, a literal within an expression (`{{ '$(X)' }}`) too: an
expression gives a value, whatever it is made of. Must not know where variables come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from opstrand.core.templates.traced import Piece, forget, pieces_of

_TOKEN = re.compile(r"\$\$|\$\(([^)]*)\)")
#: Before these a dollar must be doubled to stay one. (The kubelet reads bytes: it takes a dollar's
#: neighbour apart that has more than one.)
_RISKY = re.compile(r"\$(?=[$(\x80-\U0010ffff])")
#: Stands for a printed piece among what the author wrote; no text of a container can hold it.
_GAP = "\0"
#: What an author's text consists of, gaps included: an escaped dollar, a reference, another dollar,
#: the rest.
_PART = re.compile(r"\$\$|\$\([^)]*\)|\$|[^$\0]+|\0")
_PART_OF_REST = re.compile(r"\$\$|\$|[^$\0]+|\0")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


class _Segment(NamedTuple):
    """`literal`: a dollar in it is a dollar. Otherwise Kubernetes reads it as it stands."""

    text: str
    literal: bool


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` as a container gets it. Nothing in a value that was put in is expanded again."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else variables.get(name, match.group())

    end = _end_of_references(text)
    return _TOKEN.sub(replace, text[:end]) + text[end:].replace("$$", "$")


def _end_of_references(text: str) -> int:
    """Behind the last parenthesis no reference ends: looking for its end from each beginning would
    take quadratic time.
    """
    return text.rfind(")") + 1


def escape(text: str) -> str:
    """`text` that is no template's but data from end to end."""
    return text.replace("$", "$$")


def protect(value: Any) -> Any:
    """The value with plain texts in which Kubernetes expands what the author wrote, and nothing
    that was printed.

    A reference with something printed in it (`$({{ name }})`) is none: the author did not write its
    name.
    """
    if isinstance(value, str):
        return _protect(value)
    if isinstance(value, Mapping):
        return {protect(key): protect(item) for key, item in value.items()}
    return [protect(item) for item in value] if isinstance(value, list | tuple) else value


def protect_container(container: Mapping[str, Any]) -> dict[str, Any]:
    """A container as Kubernetes has to read it:

    `protect` for the fields that it expands, every other text plain.
    """
    return map_expanded(container, protect)


def keep_traces(container: Mapping[str, Any]) -> dict[str, Any]:
    """A container with traces in the fields that Kubernetes expands, and nowhere else."""
    return map_expanded(container, lambda value: value)


def map_expanded(container: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A container with `change` made to the fields that Kubernetes expands, and plain texts in all
    others.
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
    """A literal text before `after`, with every dollar doubled that Kubernetes would not leave
    alone.
    """
    doubled = _RISKY.sub("$$", text)
    return doubled + "$" if text.endswith("$") and _RISKY.match("$" + after) else doubled


def _iter_segments(pieces: list[Piece]) -> Iterator[_Segment]:
    """The text in segments, none of them empty."""
    printed = iter([piece.text for piece in pieces if piece.printed])
    skeleton = "".join(_GAP if piece.printed else piece.text.replace(_GAP, "") for piece in pieces)
    last_gap = skeleton.rfind(_GAP)
    end = _end_of_references(skeleton)
    for part in chain(_PART.finditer(skeleton, 0, end), _PART_OF_REST.finditer(skeleton, end)):
        if part.group() == "$":
            # Of a reference that never ends, Kubernetes leaves the beginning, unless what is
            # printed behind it ends it.
            yield _Segment(
                "$", literal=not skeleton.startswith("(", part.end()) or part.end() < last_gap
            )
        elif _GAP in part.group():
            yield from _fill(part.group(), printed)
        else:
            yield _Segment(part.group(), literal=False)


def _fill(part: str, printed: Iterable[str]) -> Iterator[_Segment]:
    """A gap, or a reference with gaps in it, all of it literal."""
    texts = iter(printed)
    for index, written in enumerate(part.split(_GAP)):
        if index:
            yield _Segment(next(texts), literal=True)
        if written:
            yield _Segment(written, literal=True)
