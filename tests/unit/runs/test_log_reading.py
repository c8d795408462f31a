"""Programs that print at full speed leave the process time for other work, and a log that ends
while its lines are being written loses none.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.leaps import in_leaps
from tests.support.running_run import operation

from opstrand.artifacts.log_chunks import LogFiles
from opstrand.kube.errors import NotFound
from opstrand.runs.log_reading import LogReading, Pace

#: Seconds that a disk takes: longer than a task that does not wait for it.
SLOW = 0.5
LINES = [f"2026-01-02T03:04:05.{number:09}Z line {number}\n".encode() for number in range(4)]


async def spend(pace: Pace, *, times: int, lines: int, size: int) -> float:
    """Return the seconds that it takes."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for _ in range(times):
        await pace.spend(lines, size)
    return loop.time() - begin


@in_leaps
async def test_a_million_lines_take_ten_seconds() -> None:
    assert 9 < await spend(Pace(), times=1000, lines=1000, size=0) < 11


@in_leaps
async def test_long_lines_are_counted_by_their_bytes() -> None:
    assert 9 < await spend(Pace(), times=320, lines=0, size=1024 * 1024) < 11


@in_leaps
async def test_all_logs_share_one_pace() -> None:
    pace = Pace()
    logs = [spend(pace, times=100, lines=1000, size=0) for _ in range(10)]
    assert max(await asyncio.gather(*logs)) > 9


@in_leaps
async def test_a_few_lines_wait_for_nothing() -> None:
    pace = Pace()
    assert await spend(pace, times=1, lines=5000, size=0) < 0.04
    await asyncio.sleep(1)
    assert await spend(pace, times=1, lines=5000, size=0) < 0.04


class SlowFiles(LogFiles):
    """Files of a disk that takes a while for the first lines."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.has_begun = threading.Event()

    def growing(self, number: int) -> Path:
        if not self.has_begun.is_set():
            self.has_begun.set()
            time.sleep(SLOW)
        return super().growing(number)


class BusyThread(ThreadPoolExecutor):
    """One thread, which is busy from `hold` on for a while after the next job was given to it."""

    def __init__(self) -> None:
        super().__init__(1)
        self.has_begun = threading.Event()
        self._is_held = False

    def hold(self) -> None:
        super().submit(lambda: self.has_begun.wait() and time.sleep(SLOW))
        self._is_held = True

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        if self._is_held:
            self.has_begun.set()
        return super().submit(work, *given, **named)


async def wait(event: threading.Event) -> None:
    """Wait without a thread."""
    for _ in range(6000):
        if event.is_set():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen in time")


class EndingLog:
    """The log of a Pod that ends, and is gone, at the moment in which the first line is being
    written.
    """

    def __init__(self, has_begun: threading.Event, begin: Callable[[], None]) -> None:
        self._has_begun, self._begin = has_begun, begin
        self.reading: LogReading | None = None

    async def follow_log(self, _: str, __: str, **query: Any) -> AsyncGenerator[bytes, None]:
        self._begin()
        yield LINES[0]
        await wait(self._has_begun)
        assert self.reading is not None
        self.reading.over.set()
        for line in LINES[1:]:
            yield line

    async def read_log_lines(self, _: str, name: str, **query: Any) -> AsyncGenerator[bytes, None]:
        raise NotFound("no such Pod", status=404)
        yield b""


async def keep(files: LogFiles, log: EndingLog) -> None:
    body = operation(pod={"name": "run-0"}, uuid=f"{0:032}")
    log.reading = LogReading(log, body, 0, Pace())
    await log.reading.keep(files)


def read(files: LogFiles) -> list[bytes]:
    return [line for part in files.read() for line in part]


def test_a_log_that_ends_while_a_thread_writes_is_kept_in_order(tmp_path: Path) -> None:
    files = SlowFiles(tmp_path / "log")
    asyncio.run(keep(files, EndingLog(files.has_begun, lambda: None)))
    assert (read(files), files.is_complete()) == (LINES, True)


def test_lines_that_wait_for_a_thread_when_their_log_ends_are_kept(tmp_path: Path) -> None:
    files, thread = LogFiles(tmp_path / "log"), BusyThread()

    def hold() -> None:
        asyncio.get_running_loop().set_default_executor(thread)
        thread.hold()

    asyncio.run(keep(files, EndingLog(thread.has_begun, hold)))
    assert (read(files), files.is_complete()) == (LINES, True)


async def test_what_stops_a_reading_waits_for_the_thread_that_writes(tmp_path: Path) -> None:
    files = SlowFiles(tmp_path / "log")
    keeping = asyncio.create_task(keep(files, EndingLog(threading.Event(), lambda: None)))
    await wait(files.has_begun)
    keeping.cancel()
    await asyncio.wait({keeping})
    # The folder is not used any more.
    assert read(files) == LINES[:1]
