"""The API's process: what it does beside the requests."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from opstrand.api import server
from opstrand.errors import PlatformError
from opstrand.settings import Settings

#: Seconds; the machine may be slow.
PATIENCE = 60.0
#: More threads than Python starts by itself on any machine.
MANY = 64


async def test_files_that_did_not_arrive_whole_are_forgotten_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after the disk failed once; and not in the loop, which answers requests."""
    loop, done, calls = asyncio.get_running_loop(), asyncio.Event(), list[Path]()

    def forget(base: Path, now: float) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        calls.append(base)
        if len(calls) == 1:
            raise OSError("the disk is away")
        loop.call_soon_threadsafe(done.set)

    monkeypatch.setattr(server, "forget_stale", forget)
    task = asyncio.create_task(server.keep_forgetting(tmp_path, interval=0.01))
    try:
        async with asyncio.timeout(PATIENCE):
            await done.wait()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert calls[:2] == [tmp_path, tmp_path]
    assert "the disk is away" in caplog.text


def test_many_requests_wait_for_files_at_the_same_time_also_without_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that is added later finds the threads that it needs."""

    async def refuse(**_: Any) -> NoReturn:
        raise PlatformError("no cluster")

    async def wait_together() -> None:
        with pytest.raises(PlatformError, match="no cluster"):
            await server.serve(Settings(data=str(tmp_path)))
        together = threading.Barrier(MANY)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(MANY):
                tasks.create_task(asyncio.to_thread(together.wait, PATIENCE / 2))

    monkeypatch.setattr(server, "open_session", refuse)
    # A loop of its own: it has the threads and the signals of a process.
    asyncio.run(wait_together())
