"""Pick lines of a long file at equal distances, without reading all of it.

Owns that a thousand of a million lines cost milliseconds, and that no line is longer than what
memory allows. Must not know what a line means. All functions block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1024 * 1024
#: Bytes that are read on each side of a place in which a line is looked for at first.
_NEAR = 512
#: Bytes of a line: what is longer is cut, and is no event then.
LONGEST = 4 * 1024 * 1024


def count_lines(place: Path) -> int:
    """Return how many lines there are; an empty one at the end is none."""
    count, last = 0, b""
    for block in _read_blocks(place):
        count += block.count(b"\n")
        last = block[-1:]
    return count + (last not in (b"", b"\n"))


def read_lines(place: Path) -> Iterator[bytes]:
    """Yield every line."""
    rest = b""
    for block in _read_blocks(place):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()[:LONGEST]
        yield from lines
    if rest:
        yield rest


def pick_lines(place: Path, most: int) -> Iterator[bytes]:
    """Yield at most so many lines after the first one of the file: the next, the last, and between
    them those at equal distances in bytes.
    """
    with place.open("rb") as opened:
        file = opened.fileno()
        start = len(opened.readline(LONGEST))
        end = os.fstat(file).st_size
        if end > start and os.pread(file, 1, end - 1) == b"\n":
            end -= 1
        reached = start - 1
        for at in _spread(start, end, most):
            if at > reached:
                line, reached = _find_line(file, at, start, end)
                yield line


def spread(count: int, most: int) -> list[int]:
    """Return at most so many numbers below `count`: the first, the last, and those between at equal
    distances.
    """
    return list(range(count)) if count <= most else list(_spread(0, count, most))


def _spread(start: int, end: int, most: int) -> Iterator[int]:
    if most == 1 and end > start:
        yield end - 1
        return
    for index in range(most if end > start else 0):
        yield start + index * (end - 1 - start) // (most - 1)


def _find_line(file: int, at: int, start: int, end: int) -> tuple[bytes, int]:
    """Return the line that the byte at this place is in, and where it ends."""
    near = _NEAR
    while True:
        low, high = max(start, at - near), min(end, at + near)
        data = os.pread(file, high - low, low)
        begins = data.rfind(b"\n", 0, at - low) + 1
        ends = data.find(b"\n", at - low)
        is_whole = (begins or low == start) and (ends >= 0 or high == end)
        if is_whole or near > LONGEST:
            ends = len(data) if ends < 0 else ends
            return data[begins:ends], low + ends
        near *= 8


def _read_blocks(place: Path) -> Iterator[bytes]:
    with place.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
