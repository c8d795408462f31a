"""Follow the log of a run's main containers, attempt after attempt, by requests that know only
where the previous one ended.

Owns the cursor (no line is lost or repeated, whichever replica of the API answers) and how long a
request is held. Must not know HTTP or where lines come from.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace

from opstrand.core.recorded import read_status
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.protocols import LogLine, Runs
from opstrand.types import Body

#: Bytes of one answer. The published command line asks at most five times for a finished run, so
#: this is generous.
CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Cursor:
    """The next answer starts after the `nth` line (from 1) with the time `at`, of this attempt.

    Times have nanoseconds, and two lines may still share one: hence the count. `at` is empty before
    the first line. `read`: the characters of that line that were read, if its end was not.
    """

    attempt: int = 0
    at: str = ""
    nth: int = 0
    read: int = 0

    def __str__(self) -> str:
        return f"{self.attempt}.{self.nth}{f'-{self.read}' if self.read else ''}.{self.at}"

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """The inverse of `str`; the beginning for any other text."""
        attempt, _, rest = (text or "").partition(".")
        count, _, at = rest.partition(".")
        nth, _, read = count.partition("-")
        if all(map(str.isdecimal, (attempt, nth, read or "0"))) and len(text or "") < 80:
            return cls(int(attempt), at, int(nth), int(read or 0))
        return cls()


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a first line, and for more lines once there is one."""

    first: float
    more: float


@dataclass
class Chunk:
    """What one request read. `is_complete`: the run is final, and no line is left."""

    cursor: Cursor
    lines: list[LogLine] = field(default_factory=list)
    is_complete: bool = False
    is_full: bool = False
    size: int = 0
    #: Bytes from which it is full.
    most: int = CHUNK_BYTES

    def add(self, line: LogLine, attempt: int) -> None:
        """Add a line that was read after the cursor."""
        self.lines.append(line)
        self.size += len(line.text) + 100
        self.is_full = self.size > self.most
        in_attempt = self.cursor.attempt == attempt
        if in_attempt and self.cursor.at and not line.at:
            # A node's own message: it does not move the cursor, so earlier lines are not repeated.
            return
        same = in_attempt and self.cursor.at == line.at
        read = 0 if line.is_whole else len(line.text)
        self.cursor = Cursor(attempt, line.at, self.cursor.nth + 1 if same else 1, read)

    def add_rest(self, line: LogLine) -> bool:
        """Add what was missing of the line at the cursor; return whether anything is there now."""
        missing = line.text[self.cursor.read :]
        if missing:
            self.lines.append(replace(line, text=missing))
            self.size += len(missing) + 100
            self.is_full = self.size > self.most
        read = 0 if line.is_whole else len(line.text)
        self.cursor = replace(self.cursor, read=read)
        return bool(missing)


async def read_chunk(runs: Runs, body: Body, cursor: Cursor, patience: Patience) -> Chunk:
    """The lines after the cursor: at once if the run is over, else within `patience`."""
    chunk, arrived = Chunk(cursor), asyncio.Event()
    following = asyncio.create_task(follow(runs, body, chunk, arrived))
    first = asyncio.create_task(arrived.wait())
    try:
        await asyncio.wait(
            {following, first}, timeout=patience.first, return_when=asyncio.FIRST_COMPLETED
        )
        await asyncio.wait({following}, timeout=patience.more if arrived.is_set() else 0)
    finally:
        for task in (following, first):
            finished = task.done()
            task.cancel()
            if not finished:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    trouble = following.exception() if following.done() and not following.cancelled() else None
    # Return the lines that were read before the error first.
    if trouble is not None and not chunk.lines:
        raise trouble
    return chunk


async def follow(runs: Runs, body: Body, chunk: Chunk, arrived: asyncio.Event) -> None:
    """Fill the chunk until it is full or the run is over."""
    attempt = chunk.cursor.attempt
    while not chunk.is_full:
        is_over = is_final(body) or attempt < current_attempt(body)
        await _follow_attempt(runs, body, attempt, chunk, arrived)
        if chunk.is_full:
            return
        # The container's log ends before the operator has observed the end, so only a final status
        # ends the log. Moreover, a followed log may end before its last lines arrived (seen with
        # containerd): read a finished log once more, from where it stopped.
        if not is_over:
            body = await _wait_for_more(runs, body, attempt)
        elif attempt < current_attempt(body):
            attempt += 1
        else:
            chunk.is_complete = True
            return


async def _follow_attempt(
    runs: Runs, body: Body, attempt: int, chunk: Chunk, arrived: asyncio.Event
) -> None:
    start = chunk.cursor if chunk.cursor.attempt == attempt else Cursor(attempt)
    skip = start.nth
    async with contextlib.aclosing(runs.log(body, attempt, start.at or None)) as lines:
        async for line in lines:
            if line.at < start.at:
                continue
            if line.at == start.at and skip > 0:
                skip -= 1
                if skip or not start.read or not chunk.add_rest(line):
                    continue
            else:
                chunk.add(line, attempt)
            arrived.set()
            if chunk.is_full:
                return


async def _wait_for_more(runs: Runs, body: Body, attempt: int) -> Body:
    def has_more(now: Body) -> bool:
        return is_final(now) or current_attempt(now) > attempt

    return await runs.wait(body["metadata"]["namespace"], run_uuid(body), has_more, 5)


def current_attempt(body: Body) -> int:
    """The number of the newest attempt, from 0; also 0 while the run has no Pod yet."""
    status = read_status(body)
    return int(status.get("attempt") or 0)
