"""Read an answer while it arrives: split into lines, or whole within a bound.

Owns where a line ends and how long it may be. Must not know what a line contains.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp


async def read_lines(
    answer: aiohttp.ClientResponse, longest: int | None = None
) -> AsyncIterator[bytes]:
    """Whole lines of any length (aiohttp's own readline refuses lines beyond its buffer).

    The bytes of a line beyond `longest` are dropped as they arrive; a note at the end of the line
    counts them.
    """
    line, left_out = bytearray(), 0
    async for chunk in answer.content.iter_any():
        *ends, rest = chunk.split(b"\n")
        for part in ends:
            left_out += _append(line, part, longest)
            yield _close(line, left_out) + b"\n"
            line.clear()
            left_out = 0
        left_out += _append(line, rest, longest)
    if line:
        yield _close(line, left_out)


def _append(line: bytearray, part: bytes, longest: int | None) -> int:
    """Append `part` up to `longest` bytes in all. Returns the number of bytes left out."""
    room = len(part) if longest is None else max(longest - len(line), 0)
    line += part[:room]
    return max(len(part) - room, 0)


def _close(line: bytearray, left_out: int) -> bytes:
    return bytes(line) + (f" ... {left_out} more bytes of this line" if left_out else "").encode()


class TooManyBytes(Exception):
    """The answer is larger than the limit for one page."""


async def read_at_most(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole answer. Raises TooManyBytes without reading the rest."""
    data = bytearray()
    async for chunk in answer.content.iter_any():
        data += chunk
        if len(data) > most:
            raise TooManyBytes
    return bytes(data)
