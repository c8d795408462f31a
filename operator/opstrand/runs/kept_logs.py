"""The log of a run from the files that the API keeps, and after these from its Pod, without a seam.

Owns that no line is lost or repeated between the two, and that a gap is said. Reads only, but for
the deletion of a run's logs; `log_keeper` writes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from opstrand.artifacts.log_chunks import (
    SECOND,
    LogFiles,
    delete_logs,
    just_before,
    note,
    open_log,
    run_folder,
)
from opstrand.core.names import MAIN_CONTAINER
from opstrand.core.recorded import read_status
from opstrand.runs.bodies import run_uuid
from opstrand.runs.pod_logs import parse_line
from opstrand.runs.protocols import LogLine
from opstrand.types import Body

Lines = AsyncGenerator[LogLine, None]
#: Reads a log from the whole second of a time on, or from its beginning.
ReadLive = Callable[[str | None], Lines]
#: Folders that are remembered.
_FOLDERS = 10_000


@dataclass
class Position:
    """Where a log was read to: the `nth` line in a row with the time `at`, which is empty at the
    beginning.
    """

    at: str = ""
    nth: int = 0

    def pass_line(self, at: str) -> None:
        self.nth = self.nth + 1 if at == self.at else 1
        self.at = at


class KeptLogs:
    """The kept logs of all runs. `base` is the folder of all files of runs.

    `read_uid` returns the uid of the namespace that a run's object is in, or None if that is gone.
    """

    def __init__(self, base: Path, read_uid: Callable[[Body], Awaitable[str | None]]) -> None:
        self.base, self._read_uid = base, read_uid
        #: By the uid of the run: its namespace never changes.
        self._folders: OrderedDict[str, Path] = OrderedDict()

    async def folder(self, body: Body) -> Path | None:
        """Where the logs of a run are; None if its namespace is gone."""
        run = body["metadata"]["uid"]
        if run in self._folders:
            return self._folders[run]
        uid = await self._read_uid(body)
        if uid is None:
            return None
        found = self._folders[run] = run_folder(self.base, uid, run_uuid(body))
        while len(self._folders) > _FOLDERS:
            self._folders.popitem(last=False)
        return found

    async def delete(self, body: Body) -> None:
        """Delete all logs of a run."""
        folder = await self.folder(body)
        if folder is not None:
            await asyncio.to_thread(delete_logs, folder)

    async def find_tail(self, body: Body, attempt: int, lines: int) -> str | None:
        """A time from which on the log of an attempt has at least so many lines, if it is known."""
        folder = await self.folder(body)
        if folder is None:
            return None
        files = open_log(folder, attempt, MAIN_CONTAINER)
        return await asyncio.to_thread(files.find_tail, lines)

    async def read(
        self, body: Body, attempt: int, since: str | None, read_live: ReadLive | None
    ) -> Lines:
        """The lines of an attempt from the whole second of `since` on: those that are kept, then
        those that the Pod has, if there is one to read.
        """
        folder = await self.folder(body)
        end, is_complete = Position(), False
        if folder is not None:
            files = open_log(folder, attempt, MAIN_CONTAINER)
            # Asked first: what is added after the answer is read from the Pod.
            is_complete = await asyncio.to_thread(files.is_complete)
            async for part in _read_parts(files, since):
                for line in part:
                    end.pass_line(line.at)
                    yield line
        if read_live is None or is_complete:
            return
        lines = continue_after(read_live(end.at or since), end, explain_gap(body))
        async with contextlib.aclosing(lines):
            async for line in lines:
                yield line


async def _read_parts(files: LogFiles, since: str | None) -> AsyncGenerator[list[LogLine], None]:
    """The kept lines, chunk by chunk: one at a time is in memory."""
    parts = files.read(since)
    while (part := await asyncio.to_thread(_parse_next, parts)) is not None:
        yield part


def _parse_next(parts: Iterator[Sequence[bytes]]) -> list[LogLine] | None:
    part = next(parts, None)
    return None if part is None else [parse_line(line) for line in part]


async def continue_after(lines: Lines, end: Position, why: str) -> Lines:
    """Those of the lines that come after `end`, which were read from the whole second of its time
    on.

    If the line at `end` is not among them, it is gone, and maybe others after it: a line says so,
    and `why`.
    """
    left, is_joined = end.nth, not end.at
    async with contextlib.aclosing(lines):
        async for line in lines:
            if not end.at:
                yield line
            elif not line.at:
                # A node's own message instead of a log of which lines are there already.
                continue
            elif line.at < end.at or (line.at == end.at and left > 0):
                is_joined, left = True, left - (line.at == end.at)
            else:
                if not is_joined:
                    yield describe_gap(end.at, line.at, why)
                is_joined, left = True, 0
                yield line


def explain_gap(body: Body) -> str:
    """Why lines of a run's log may be missing where it is read on."""
    if "service" in read_status(body):
        return "the container or the Pod was replaced"
    return "the node had deleted its older log files before they were read"


def describe_gap(begin: str, end: str, why: str) -> LogLine:
    """A line before the one with the time `end`, about what is missing since `begin`."""
    text = f"lines from {begin[:SECOND]}Z to {end[:SECOND]}Z may be missing: {why}"
    return LogLine(max(just_before(end), begin), note(text))
