"""Split an answer into lines while it arrives.

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
