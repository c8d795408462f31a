"""The log of one container of a run as files: chunks of compressed lines, each named by what is in
it, and one that still grows.

A line is `TIME TEXT` and a newline, the time in UTC with nine decimals and a Z, so that times
compare as text. Owns the layout (`logs/NAMESPACE-UID/RUN-UUID/ATTEMPT/CONTAINER/`) and reading,
also while the log is written (`log_writer`). Must not know where lines come from. All methods
block.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from opstrand.artifacts.names import BadPath

#: Characters of `2026-01-02T03:04:05.123456789Z`, and of its whole seconds.
STAMP = 30
SECOND = 19
COMPLETE = "complete"
DROPPED = "dropped.json"
_MOST_NANOSECONDS = 999_999_999


@dataclass(frozen=True)
class Chunk:
    """A chunk that is complete. `size`: bytes of its lines. `first`, `last`: their times."""

    number: int
    lines: int
    size: int
    first: str
    last: str

    @property
    def name(self) -> str:
        """The name of its file, which says all of this."""
        times = ",".join(one.replace(":", "_") for one in (self.first, self.last))
        return f"{self.number:06},{self.lines},{self.size},{times}.gz"

    @classmethod
    def parse(cls, name: str) -> Chunk | None:
        """The inverse of `name`; None for the name of another file."""
        parts = name.removesuffix(".gz").split(",")
        if not name.endswith(".gz") or len(parts) != 5 or not all(map(str.isdecimal, parts[:3])):
            return None
        first, last = (one.replace("_", ":") for one in parts[3:])
        return cls(int(parts[0]), int(parts[1]), int(parts[2]), first, last)


@dataclass(frozen=True)
class Dropped:
    """What was left out of the middle of a long log: the chunks from `begin` to before `end`."""

    begin: int
    end: int
    lines: int
    size: int
    first: str
    last: str

    def describe(self) -> str:
        return note(
            f"{self.lines:,} lines ({self.size:,} bytes) from {self.first[:SECOND]}Z to "
            f"{self.last[:SECOND]}Z are left out: of a long log, the beginning and the end are kept"
        )


@dataclass(frozen=True)
class Listed:
    """What a folder has: complete chunks by number, the number of the one that grows (0: none)."""

    chunks: Sequence[Chunk]
    growing: int
    dropped: Dropped | None


class LogFiles:
    """The log of one container. `folder` need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exists(self) -> bool:
        return self.folder.is_dir()

    def is_complete(self) -> bool:
        """Whether no line will be added."""
        return (self.folder / COMPLETE).exists()

    def growing(self, number: int) -> Path:
        """Where the lines of the newest chunk are until it is complete."""
        return self.folder / f"{number:06}.open"

    def scan(self) -> Listed:
        """List the chunks: none if there is no folder, which may be deleted at any moment."""
        try:
            names = [one.name for one in self.folder.iterdir()]
        except FileNotFoundError:
            names = []
        dropped = self.read_dropped() if DROPPED in names else None
        found = sorted(filter(None, map(Chunk.parse, names)), key=lambda one: one.number)
        chunks = [one for one in found if not is_dropped(one.number, dropped)]
        newest = chunks[-1].number if chunks else 0
        open_ones = [int(one[:-5]) for one in names if one.endswith(".open")]
        # One that is complete too was about to be deleted.
        return Listed(chunks, max((one for one in open_ones if one > newest), default=0), dropped)

    def find_tail(self, lines: int) -> str | None:
        """A time from which on there are at least so many lines; None if there are fewer, or that
        is not known.
        """
        count, begin = 0, ""
        for chunk in reversed(self.scan().chunks):
            count, begin = count + chunk.lines, min(begin or chunk.first, chunk.first)
            if count >= lines:
                return begin
        return None

    def read_dropped(self) -> Dropped | None:
        try:
            return Dropped(**json.loads((self.folder / DROPPED).read_text()))
        except FileNotFoundError:
            return None

    def read(self, since: str | None = None) -> Iterator[Sequence[bytes]]:
        """Yield the lines from the whole second of `since` on, chunk by chunk.

        A line that is still being written is left out.
        """
        done = 0
        while True:
            listed = self.scan()
            try:
                for chunk in listed.chunks:
                    if chunk.number <= done:
                        continue
                    if since is None or chunk.last[:SECOND] >= since[:SECOND]:
                        lines = self.read_chunk(chunk)
                        yield _from(_note_dropped(listed.dropped, done, chunk.number, lines), since)
                    done = chunk.number
                if listed.growing > done:
                    lines = self.read_growing(listed.growing)
                    numbers = (done, listed.growing)
                    yield _from(_note_dropped(listed.dropped, *numbers, lines), since)
                return
            except FileNotFoundError:
                # The chunk was completed or left out since it was listed: list again.
                continue

    def read_chunk(self, chunk: Chunk) -> list[bytes]:
        return split_lines(gzip.decompress((self.folder / chunk.name).read_bytes()))

    def read_growing(self, number: int) -> list[bytes]:
        """The lines of the chunk that grows, without one that is still being written."""
        data = self.growing(number).read_bytes()
        return split_lines(data[: data.rfind(b"\n") + 1])


def is_dropped(number: int, dropped: Dropped | None) -> bool:
    """Whether the chunk of this number is left out."""
    return dropped is not None and dropped.begin <= number < dropped.end


def _note_dropped(
    dropped: Dropped | None, before: int, number: int, lines: Sequence[bytes]
) -> Sequence[bytes]:
    """The lines of chunk `number`, after a note if chunks between it and `before` are left out."""
    if dropped is None or not lines or not before < dropped.end <= number:
        return lines
    at = just_before(stamp_of(lines[0]))
    return [f"{at} {dropped.describe()}\n".encode(), *lines]


def split_lines(data: bytes) -> list[bytes]:
    """The lines, each with its newline, which the last may lack."""
    *whole, rest = data.split(b"\n")
    return [*(one + b"\n" for one in whole), *([rest] if rest else [])]


def _from(lines: Sequence[bytes], since: str | None) -> Sequence[bytes]:
    if since is None:
        return lines
    second = since[:SECOND].encode()
    return [line for line in lines if line[:SECOND] >= second]


def stamp_of(line: bytes) -> str:
    """The time of a line."""
    return line[:STAMP].decode()


def just_before(at: str) -> str:
    """The time one nanosecond before: that of a note about what is missing before a line."""
    nanoseconds = int(at[SECOND + 1 : STAMP - 1])
    if nanoseconds:
        return f"{at[:SECOND]}.{nanoseconds - 1:09}Z"
    second = datetime.fromisoformat(at[:SECOND]) - timedelta(seconds=1)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{_MOST_NANOSECONDS}Z"


def note(text: str) -> str:
    """A line that no program wrote, about the log itself."""
    return f"(opstrand: {text})"


def run_folder(base: Path, project_uid: str, uuid: str) -> Path:
    """Where the logs of a run are. `base` is the folder of all files of runs."""
    if not project_uid or any("/" in part or part.startswith(".") for part in (project_uid, uuid)):
        raise BadPath(f"no folder is named by {project_uid!r} and {uuid!r}")
    return base / "logs" / project_uid / uuid


def open_log(folder: Path, attempt: int, container: str) -> LogFiles:
    """The log of one container of an attempt, in the folder of its run."""
    return LogFiles(folder / str(attempt) / container)


def delete_logs(folder: Path) -> None:
    """Delete all logs of a run, by its folder."""
    shutil.rmtree(folder, ignore_errors=True)
