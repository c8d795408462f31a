"""Long answers as JSON: other requests are answered while the text is made.

Owns the size of a piece: while `json` writes one, no other thread runs. Must not know what a value
means.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from typing import Any

#: Items of a list that are written at once.
_AT_A_TIME = 1000
#: Levels of a value that are divided.
_DEPTH = 6


async def dump_long(value: Any) -> str:
    """The value as JSON."""
    return await asyncio.to_thread(lambda: "".join(iter_pieces(value)))


def iter_pieces(value: Any, depth: int = _DEPTH) -> Iterator[str]:
    """Yield the JSON of a value piece by piece."""
    if depth and isinstance(value, dict):
        yield from _join("{}", (_iter_entry(key, one, depth) for key, one in value.items()))
    elif depth and isinstance(value, list) and any(isinstance(one, dict) for one in value[:1]):
        yield from _join("[]", (iter_pieces(one, depth - 1) for one in value))
    elif depth and isinstance(value, list):
        starts = range(0, len(value), _AT_A_TIME)
        slices = (value[start : start + _AT_A_TIME] for start in starts)
        yield from _join("[]", ([_dump(some)[1:-1]] for some in slices))
    else:
        yield _dump(value)


def _iter_entry(key: str, value: Any, depth: int) -> Iterator[str]:
    yield f"{_dump(key)}:"
    yield from iter_pieces(value, depth - 1)


def _join(brackets: str, parts: Iterable[Iterable[str]]) -> Iterator[str]:
    yield brackets[0]
    for index, part in enumerate(parts):
        if index:
            yield ","
        yield from part
    yield brackets[1]


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
