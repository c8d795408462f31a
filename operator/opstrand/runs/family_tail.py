"""Follow the logs of all runs of a pipeline at once, by requests that know only where the previous
one ended.

Owns the cursor over many logs, so that no line is lost or repeated, whichever replica of the API
answers. Must not know HTTP, and must not read a log itself: `log_tail` does.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.descendants import Descendant, Place, find_descendants
from opstrand.runs.log_tail import CHUNK_BYTES, Chunk, Cursor, Patience, follow
from opstrand.runs.protocols import Listed, LogLine, RunNotFound, Runs
from opstrand.types import Body, RecordedPod

#: Logs that are read at the same time for one request; the others wait for their turn.
_MOST_OPEN = 32
#: Bytes of one log in an answer, at least: all that are open fill it together.
_SHARE = 64 * 1024
#: Seconds between two looks for runs that have begun.
_LOOK_AGAIN = 0.5
#: The most characters of a cursor: it is a part of a URL.
_LONGEST = 6 * 1024
_MARK = "p."


@dataclass(frozen=True)
class FamilyCursor:
    """Where the next answer starts, in each log.

    `done`: for each pipeline, by its place, a bit for each of its runs whose log was read to its
    end. `open`: where it was left, for each log that was begun.
    """

    done: Mapping[Place, int] = field(default_factory=dict)
    open: Mapping[Place, Cursor] = field(default_factory=dict)

    def is_done(self, place: Place) -> bool:
        return bool(self.done.get(place[:-1], 0) >> place[-1] & 1)

    def __str__(self) -> str:
        facts = (
            {_join(place): f"{bits:x}" for place, bits in self.done.items()},
            {_join(place): str(cursor) for place, cursor in self.open.items()},
        )
        data = zlib.compress(json.dumps(facts, separators=(",", ":")).encode(), 9)
        return _MARK + base64.urlsafe_b64encode(data).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str | None) -> FamilyCursor:
        """The inverse of `str`; the beginning for any other text."""
        if text is None or not text.startswith(_MARK) or len(text) > _LONGEST:
            return cls()
        try:
            done, opened = json.loads(_inflate(text.removeprefix(_MARK)))
            return cls(
                {_split(place): int(bits, 16) for place, bits in done.items()},
                {_split(place): Cursor.parse(cursor) for place, cursor in opened.items()},
            )
        except (ValueError, TypeError, AttributeError, RecursionError, zlib.error):
            return cls()


def _inflate(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return zlib.decompressobj().decompress(data, 16 * _LONGEST)


def _join(place: Place) -> str:
    return ".".join(map(str, place))


def _split(text: str) -> Place:
    return tuple(int(index) for index in text.split(".")) if text else ()


@dataclass(frozen=True)
class Said:
    """One line of a run of a pipeline. The text has the name of the run's operation before it."""

    line: LogLine
    pod: RecordedPod


@dataclass(frozen=True)
class FamilyChunk:
    """What one request read. `is_complete`: the pipeline is over, and no line is left."""

    cursor: FamilyCursor
    lines: tuple[Said, ...] = ()
    is_complete: bool = False

    @property
    def newest(self) -> str:
        return max((said.line.at for said in self.lines), default="")


async def read_family(
    runs: Runs, body: Body, cursor: FamilyCursor, patience: Patience
) -> FamilyChunk:
    """The lines of a pipeline's runs after the cursor: at once if all are over, else within
    `patience`.
    """
    reading = _Reading(runs, body, cursor)
    try:
        await reading.read(patience)
    finally:
        await reading.stop()
    return reading.result()


@dataclass
class _Log:
    """One log that is being read."""

    descendant: Descendant
    chunk: Chunk
    task: asyncio.Task[None]

    @property
    def is_read(self) -> bool:
        """Whether nothing is left of it: a run that is gone has no log."""
        if not self.task.done() or self.task.cancelled():
            return False
        return self.chunk.is_complete or isinstance(self.task.exception(), RunNotFound)

    @property
    def trouble(self) -> BaseException | None:
        if not self.task.done() or self.task.cancelled():
            return None
        error = self.task.exception()
        return None if isinstance(error, RunNotFound) else error

    def said(self) -> Iterator[tuple[str, Said]]:
        """Each line after the time by which it is sorted: a node's message has no time."""
        pod = read_status(self.descendant.run.head).get("pod") or {}
        at = ""
        for line in self.chunk.lines:
            at = line.at or at
            named = LogLine(line.at, f"[{self.descendant.name}] {line.text}")
            yield at, Said(named, pod)


class _Reading:
    """One request's reading of many logs."""

    def __init__(self, runs: Runs, body: Body, cursor: FamilyCursor) -> None:
        self._runs, self._body, self._cursor = runs, body, cursor
        self._project = body["metadata"]["namespace"]
        self._logs: dict[Place, _Log] = {}
        #: What was found below the pipeline, and what each of the pipelines had made then.
        self._found: list[Descendant] = []
        self._versions: dict[str, int] = {}
        #: Runs that have no object any more, by what made them; None until they are asked for.
        self._gone: Mapping[str, Sequence[Listed]] | None = None
        self._arrived = asyncio.Event()
        self._is_complete = False

    async def read(self, patience: Patience) -> None:
        loop = asyncio.get_running_loop()
        deadline, is_met = loop.time() + patience.first, False
        while not (await self._begin() or self._is_full):
            if self._arrived.is_set() and not is_met:
                is_met = True
                deadline = loop.time() + patience.more
            left = min(deadline - loop.time(), _LOOK_AGAIN)
            if left <= 0:
                return
            await self._wait(left, wakes=not is_met)

    async def _begin(self) -> bool:
        """Begin to read the logs whose turn it is. Returns whether nothing more comes of them."""
        # The pipeline is read before its runs: once it is over, it makes no more.
        pipeline = await self._runs.get(self._project, run_uuid(self._body))
        await self._find_gone(pipeline)
        left = [one for one in self._look(pipeline) if not self._cursor.is_done(one.place)]
        share = max(CHUNK_BYTES // max(1, len(left)), _SHARE)
        for one in sorted(left, key=_by_start):
            is_free = sum(not log.task.done() for log in self._logs.values()) < _MOST_OPEN
            if is_free and one.place not in self._logs and _has_begun(one):
                self._logs[one.place] = self._open(one, share)
        if not is_final(pipeline):
            return False
        logs = [self._logs.get(one.place) for one in left]
        self._is_complete = all(log is not None and log.is_read for log in logs)
        return all(log is not None and log.task.done() for log in logs)

    async def _find_gone(self, pipeline: Body) -> None:
        """Once the pipeline is over, find the runs below it that have no object any more."""
        if self._gone is None and is_final(pipeline):
            self._gone = await self._runs.gone_below(pipeline)
            self._versions.clear()

    def _look(self, pipeline: Body) -> list[Descendant]:
        """The runs below the pipeline, looked for again if any of them changed."""
        if not self._versions or self._has_changed():
            self._versions.clear()
            self._found = find_descendants(pipeline, self._made_by)
        return self._found

    def _made_by(self, uid: str) -> Sequence[Listed]:
        self._versions[uid] = self._runs.version_below(self._project, uid)
        living = self._runs.made_by(self._project, uid)
        known = {one.head["metadata"]["uid"] for one in living}
        gone = (self._gone or {}).get(uid, ())
        return [*living, *(one for one in gone if one.head["metadata"]["uid"] not in known)]

    def _has_changed(self) -> bool:
        """Whether any run of any of these pipelines changed since it was looked at."""
        return any(
            self._runs.version_below(self._project, uid) != version
            for uid, version in self._versions.items()
        )

    def _open(self, one: Descendant, share: int) -> _Log:
        chunk = Chunk(self._cursor.open.get(one.place) or Cursor(), most=share)
        work = follow(self._runs, one.run.whole, chunk, self._arrived)
        return _Log(one, chunk, asyncio.create_task(work))

    @property
    def _is_full(self) -> bool:
        return sum(log.chunk.size for log in self._logs.values()) > CHUNK_BYTES

    async def _wait(self, seconds: float, *, wakes: bool) -> None:
        """Wait until a log has ended or, with `wakes`, until the first line is there."""
        reading: set[asyncio.Task[Any]] = {
            log.task for log in self._logs.values() if not log.task.done()
        }
        first = asyncio.create_task(self._arrived.wait() if wakes else asyncio.sleep(seconds))
        try:
            await asyncio.wait(
                {first, *reading}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            first.cancel()

    async def stop(self) -> None:
        for log in self._logs.values():
            if not log.task.done():
                log.task.cancel()
                with contextlib.suppress(asyncio.CancelledError, PlatformError, RunNotFound):
                    await log.task

    def result(self) -> FamilyChunk:
        said = [one for log in self._logs.values() for one in log.said()]
        troubles = [log.trouble for log in self._logs.values() if log.trouble is not None]
        # Return the lines that were read before the error first.
        if troubles and not said:
            raise troubles[0]
        done, opened = dict(self._cursor.done), dict(self._cursor.open)
        for place, log in self._logs.items():
            opened.pop(place, None)
            if log.is_read:
                done[place[:-1]] = done.get(place[:-1], 0) | 1 << place[-1]
            elif log.chunk.cursor != Cursor():
                opened[place] = log.chunk.cursor
        lines = tuple(one for _, one in sorted(said, key=lambda pair: pair[0]))
        return FamilyChunk(FamilyCursor(done, opened), lines, self._is_complete)


def _has_begun(one: Descendant) -> bool:
    """Whether the run has a log, or will never have one."""
    return bool((read_status(one.run.head).get("pod") or {}).get("name")) or is_final(one.run.head)


def _by_start(one: Descendant) -> tuple[str, Place]:
    return str(read_status(one.run.head).get("startedAt") or "~"), one.place
