"""Keys and values in a spelling other than the documented one that can mean only one thing:
`max_retries`, `"3600"` for a number.

Owns which spellings count, and their replacement in the data, so that all later readers see only
the documented spelling. The section knows its keys, and proposes a respelling with its error. Must
not know any one section.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
#: The context key of an error for its respelling. The blanks prevent a clash with a placeholder.
CONTEXT = "respelling of the value"
_CAPITALS = re.compile(r"[A-Z]+")
#: Above this a float stands for several integers.
_EXACT = 2**53
_WHOLE = re.compile(r"[+-]?[0-9]{1,16}(?:\.0*)?")


@dataclass(frozen=True)
class Key:
    """The documented spelling of a key."""

    name: str


@dataclass(frozen=True)
class Value:
    """The value that a spelling stands for."""

    value: Any


Respelling = Key | Value


def other_spelling(key: str) -> str:
    """The snake_case spelling of a documented key: of `hostPID` it is `host_pid`."""
    return _CAPITALS.sub(lambda found: f"_{found[0].lower()}", key)


def find_key(key: str, known: Iterable[str]) -> Key | None:
    """The documented key whose other spelling this is."""
    if "_" not in key:
        return None
    return next((Key(name) for name in known if other_spelling(name) == key), None)


def find_spelling(key: object, written: Container[object]) -> str | None:
    """The other spelling of a documented key, if it was written."""
    other = other_spelling(key) if isinstance(key, str) else ""
    return other if other in written else None


def find_whole(value: Any) -> Value | None:
    """The integer that a text or a float is exactly."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return Value(int(value.partition(".")[0]))
    return (
        Value(int(value))
        if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT
        else None
    )


def respell(data: Any, found: Iterable[tuple[Path, Respelling]]) -> Any:
    """A copy of the data with the values at these paths respelled; the data itself if it has none
    of the paths, as in a short form.
    """
    for path, respelling in found:
        data = _replace(data, path, respelling)
    return data


def _replace(data: Any, path: Path, respelling: Respelling) -> Any:
    if not path:
        return respelling.value if isinstance(respelling, Value) else data
    step, rest = path[0], path[1:]
    if isinstance(data, Mapping) and step in data:
        if not rest and isinstance(respelling, Key):
            return {respelling.name if key == step else key: value for key, value in data.items()}
        inner = _replace(data[step], rest, respelling)
        return data if inner is data[step] else {**data, step: inner}
    if isinstance(data, (list, tuple)) and isinstance(step, int) and step in range(len(data)):
        inner = _replace(data[step], rest, respelling)
        return data if inner is data[step] else [*data[:step], inner, *data[step + 1 :]]
    return data
