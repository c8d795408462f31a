"""Read the log of one attempt's Pod into its files: while the Pod runs, and again after its end.

Owns that a log is complete only after it was read to its end, or its Pod is gone, and that a few
lines at a time are in memory. Must not know which logs are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, Protocol

from opstrand.artifacts.log_chunks import LogFiles, note
from opstrand.artifacts.log_writer import LogWriter
from opstrand.core.names import attempt_pod
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError
from opstrand.kube.errors import Invalid, NotFound
from opstrand.runs.kept_logs import Position, continue_after, explain_gap
from opstrand.runs.pod_logs import read_pod
from opstrand.runs.protocols import LogLine
from opstrand.types import Body

logger = logging.getLogger(__name__)

#: Bytes of one line that are kept: less than a follower gets, since so many logs are read at once.
_LONGEST_LINE = 256 * 1024
#: Bytes that one log holds in memory before they are written, and the seconds until they are.
_BUFFER = 64 * 1024
_WINDOW = 1.0
#: How much all logs together may be read: a line costs some 5 µs, so this is half of a processor.
_LINES_PER_SECOND = 100_000
_BYTES_PER_SECOND = 32 * 1024 * 1024
#: Seconds of reading that need no wait.
_BURST = 0.1
#: Seconds that the log of an ended Pod may send nothing: while it is followed, before it is read
#: again to its end, and while it is read to its end, before that is tried again later.
_IDLE = 5.0
_SILENT = 30.0
#: Seconds between two tries to follow a log, at first and at most.
_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
#: Said at the end of a log.
_CUT = "the Pod was deleted while its log was read: lines may be missing here"


class Cluster(Protocol):
    """The part of a cluster that is needed here."""

    def follow_log(self, namespace: str, pod: str, **query: Any) -> AsyncGenerator[bytes, None]: ...

    def read_log_lines(
        self, namespace: str, name: str, **query: Any
    ) -> AsyncGenerator[bytes, None]: ...


class Pace:
    """Slows down all logs of a process together, so that programs that print at full speed leave it
    time to answer.
    """

    def __init__(self) -> None:
        self._until = 0.0

    async def spend(self, lines: int, size: int) -> None:
        """Wait for as long as it takes to read this much at the allowed speed."""
        now = asyncio.get_running_loop().time()
        seconds = lines / _LINES_PER_SECOND + size / _BYTES_PER_SECOND
        self._until = max(self._until, now) + seconds
        await asyncio.sleep(max(self._until - now - _BURST, 0))


class LogReading:
    """One log that is being read. `body` may be replaced by a newer one; `over` is to be set once
    the Pod has ended.
    """

    def __init__(self, cluster: Cluster, body: Body, attempt: int, pace: Pace) -> None:
        self.body, self.attempt = body, attempt
        self.over = asyncio.Event()
        self._cluster, self._pace = cluster, pace
        self._buffer: list[LogLine] = []
        self._size = 0
        #: Lines that were read.
        self._read = 0
        #: Whether the node itself ended the log that was followed last.
        self._is_whole = False
        self._filled = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def pod(self) -> tuple[str, str]:
        """The namespace and the name of the attempt's Pod."""
        name = attempt_pod(read_status(self.body), self.attempt)
        return self.body["metadata"]["namespace"], name

    async def keep(self, files: LogFiles) -> None:
        """Read the log to its end, and complete the files.

        Raises PlatformError and OSError, and FileNotFoundError if the files were deleted; what was
        read is kept then.
        """
        if await asyncio.to_thread(files.is_complete):
            return
        writer = LogWriter(files)
        await _run_whole(writer.open)
        await self._follow(writer)
        rest = None
        try:
            rest = await self._read_once(writer, follow=False)
        except NotFound:
            if writer.at and not self._is_whole:
                rest = LogLine(writer.at, note(_CUT))
        except Invalid:
            # Its container never started.
            pass
        if rest is not None:
            self._add(rest)
        await self._write(writer)
        await _run_whole(writer.finish)

    async def _follow(self, writer: LogWriter) -> None:
        failed = 0
        while not self.over.is_set():
            before = self._read
            try:
                await self._read_once(writer, follow=True)
            except PlatformError as error:
                logger.info("a log is followed again: %s", error.message)
            failed = 0 if self._read > before else failed + 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_PAUSE * 2 ** min(failed, 8), _LONGEST_PAUSE)):
                    await self.over.wait()

    async def _read_once(self, writer: LogWriter, *, follow: bool) -> LogLine | None:
        """Read the log from where its files end. Returns its last line if that has no end yet."""
        self._is_whole = self._is_whole and not follow
        reading = asyncio.create_task(self._read_lines(writer, follow=follow))
        writing = asyncio.create_task(self._write_regularly(writer))
        over = asyncio.create_task(self.over.wait())
        tasks: set[asyncio.Task[Any]] = {reading, writing, over}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._wait_for_silence({reading, writing}, _IDLE if follow else _SILENT)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not reading.cancelled() and isinstance(reading.exception(), OSError):
            # Its lines could not be written: those after them must not follow.
            reading.result()
        if not writing.cancelled():
            writing.result()
        await self._write(writer)
        if not reading.cancelled():
            rest = reading.result()
            self._is_whole = True
            return rest
        if follow:
            return None
        raise PlatformError("a node sends nothing of the log of an ended Pod")

    async def _wait_for_silence(self, tasks: set[asyncio.Task[Any]], seconds: float) -> None:
        """Wait until one of the tasks is done, or no line was read for so long."""
        before = -1
        while before < self._read and not any(task.done() for task in tasks):
            before = self._read
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _read_lines(self, writer: LogWriter, *, follow: bool) -> LogLine | None:
        namespace, pod = self.pod
        read = self._cluster.follow_log if follow else self._cluster.read_log_lines
        end = Position(writer.at, writer.nth)
        found = read_pod(read, namespace, pod, end.at or None, _LONGEST_LINE)
        lines = continue_after(found, end, explain_gap(self.body))
        rest = None
        async with contextlib.aclosing(lines):
            async for line in lines:
                # A line without a time is the node's message that it cannot read the log.
                rest = None if line.is_whole else line
                if line.is_whole and line.at:
                    self._add(line)
                if self._size >= _BUFFER:
                    await self._write(writer)
        return rest if rest is not None and rest.at else None

    def _add(self, line: LogLine) -> None:
        self._buffer.append(line)
        self._size += len(line.text) + 100
        self._read += 1
        self._filled.set()

    async def _write_regularly(self, writer: LogWriter) -> None:
        while True:
            await self._filled.wait()
            await asyncio.sleep(_WINDOW)
            await self._write(writer)

    async def _write(self, writer: LogWriter) -> None:
        """Append to the files what is in memory."""
        async with self._lock:
            lines, size, self._buffer, self._size = self._buffer, self._size, [], 0
            self._filled.clear()
            if lines:
                await _run_whole(partial(_append, writer, lines))
                await self._pace.spend(len(lines), size)


async def _run_whole(work: Callable[[], None]) -> None:
    """Do this in a thread, and return only after it, also when the task is cancelled: a thread
    cannot be stopped, and the next one must not use the same writer beside it.

    Raises what the work raises, if need be instead of the cancellation.
    """
    job = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        while not job.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({job})
        job.result()
        raise


def _append(writer: LogWriter, lines: list[LogLine]) -> None:
    writer.append([_encode(line) for line in lines])


def _encode(line: LogLine) -> bytes:
    end = "\n" if line.is_whole else ""
    return f"{line.at} {line.text}{end}".encode(errors="replace")
