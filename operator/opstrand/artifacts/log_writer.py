"""Write the log of one container to its folder, chunk by chunk.

Owns that a process that is killed at any moment leaves a log that is read, and written on, without
a line twice: a chunk appears whole, and a line that was written in part is removed. One process may
write a log. Must not know where lines come from. All methods block.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from opstrand.artifacts.log_chunks import (
    COMPLETE,
    DROPPED,
    STAMP,
    Chunk,
    Dropped,
    LogFiles,
    is_dropped,
    stamp_of,
)

_LEVEL = 4


@dataclass(frozen=True)
class Sizes:
    """`chunk`: bytes of lines from which a chunk is complete. Of a log with more than `head` and
    `tail` chunks, so many of the first and of the last are kept.
    """

    chunk: int = 1024 * 1024
    head: int = 512
    tail: int = 512


class LogWriter:
    """Appends lines to a log. `at`, `nth`: the last line is the `nth` one with the time `at` in a
    row; `at` is empty before the first.
    """

    def __init__(self, files: LogFiles, sizes: Sizes = Sizes()) -> None:
        self.files, self._sizes = files, sizes
        self.at, self.nth = "", 0
        self._number, self._size, self._lines = 1, 0, 0
        self._first, self._last = "", ""

    def open(self) -> None:
        """Find where the log ends, and remove what a killed process left."""
        self.files.folder.mkdir(parents=True, exist_ok=True)
        listed = self.files.scan()
        if listed.chunks:
            self._number = listed.chunks[-1].number + 1
        for place in self.files.folder.iterdir():
            if _is_left_over(place.name, listed.growing, listed.dropped):
                place.unlink()
        for chunk in _select_last(listed.chunks):
            self._move(self.files.read_chunk(chunk))
        if listed.growing:
            self._number = listed.growing
            lines = self.files.read_growing(listed.growing)
            self._count(lines, sum(map(len, lines)))
            os.truncate(self.files.growing(listed.growing), self._size)
            self._move(lines)

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines, each with its time before it, and a newline unless it is the very last.

        Raises OSError, with nothing appended, and FileNotFoundError if the log was deleted.
        """
        if not lines:
            return
        place, data = self.files.growing(self._number), b"".join(lines)
        try:
            with place.open("ab") as file:
                file.write(data)
        except OSError:
            with suppress(OSError):
                os.truncate(place, self._size)
            raise
        self._count(lines, len(data))
        self._move(lines)
        if self._size >= self._sizes.chunk:
            self._complete_chunk()

    def _count(self, lines: Sequence[bytes], size: int) -> None:
        times = [line[:STAMP] for line in lines]
        if not times:
            return
        first, last = min(times).decode(), max(times).decode()
        self._first = min(self._first or first, first)
        self._last = max(self._last, last)
        self._size += size
        self._lines += len(lines)

    def _move(self, lines: Sequence[bytes]) -> None:
        """Move the end of the log past these lines."""
        if not lines:
            return
        stamp, row = lines[-1][:STAMP], 0
        for line in reversed(lines):
            if line[:STAMP] != stamp:
                break
            row += 1
        at = stamp_of(lines[-1])
        self.nth = self.nth + row if at == self.at and row == len(lines) else row
        self.at = at

    def finish(self) -> None:
        """Complete the log: no line will be added."""
        if self._size:
            self._complete_chunk()
        (self.files.folder / COMPLETE).touch()
        _sync_folder(self.files.folder)

    def _complete_chunk(self) -> None:
        folder, growing = self.files.folder, self.files.growing(self._number)
        chunk = Chunk(self._number, self._lines, self._size, self._first, self._last)
        _write_whole(folder / chunk.name, gzip.compress(growing.read_bytes(), _LEVEL, mtime=0))
        growing.unlink()
        self._number, self._size, self._lines = self._number + 1, 0, 0
        self._first, self._last = "", ""
        if chunk.number > self._sizes.head + self._sizes.tail:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Leave out the oldest chunks after the head. First say so, then delete them."""
        listed = self.files.scan()
        after_head = [one for one in listed.chunks if one.number > self._sizes.head]
        dropped = listed.dropped
        for chunk in after_head[: -self._sizes.tail]:
            dropped = Dropped(
                dropped.begin if dropped else chunk.number,
                chunk.number + 1,
                (dropped.lines if dropped else 0) + chunk.lines,
                (dropped.size if dropped else 0) + chunk.size,
                dropped.first if dropped else chunk.first,
                chunk.last,
            )
            _write_whole(self.files.folder / DROPPED, json.dumps(asdict(dropped)).encode())
            (self.files.folder / chunk.name).unlink()


def _select_last(chunks: Sequence[Chunk]) -> Sequence[Chunk]:
    """The last chunk, and those before it whose lines all have the time of its first."""
    begin = len(chunks) - 1
    while begin > 0 and chunks[begin].first == chunks[begin].last:
        begin -= 1
    return chunks[max(begin, 0) :]


def _is_left_over(name: str, growing: int, dropped: Dropped | None) -> bool:
    if name.endswith(".part"):
        return True
    if name.endswith(".open"):
        return int(name.removesuffix(".open")) != growing
    chunk = Chunk.parse(name)
    return chunk is not None and is_dropped(chunk.number, dropped)


def _write_whole(place: Path, data: bytes) -> None:
    """Make a file appear with all of its content, on the disk."""
    part = place.with_name(f"{place.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(place)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
