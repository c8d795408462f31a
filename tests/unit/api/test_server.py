"""The API's process: what it does beside the requests."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from opstrand.api import server

#: Seconds; the machine may be slow.
PATIENCE = 60.0


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
