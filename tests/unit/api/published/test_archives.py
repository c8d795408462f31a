"""Folders that are sent as archives: slow downloads take nothing from other requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from tests.support.loopback_api import keep_files
from tests.support.running_run import RUN, UUID

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.published import artifacts
from opstrand.api.published.archives import Archives
from opstrand.artifacts.archive import Sink, write_archive
from opstrand.artifacts.folder import RunFiles
from opstrand.runs.memory import MemoryRuns

Api = TestClient[Any, Any]
FOLDER = RUN.replace("/api/v1/", "/streams/v1/quick-start/") + "/artifacts"
#: Threads that all requests share, archives that are sent at the same time, and seconds.
SHARED, MOST, PATIENCE = 2, 16, 60


class Gate:
    """Archives stand still before their first byte until it opens."""

    def __init__(self) -> None:
        self.opened, self._arrived = threading.Event(), asyncio.Semaphore(0)
        self._loop = asyncio.get_running_loop()

    def write(self, files: RunFiles, path: str, sink: Sink) -> None:
        self._loop.call_soon_threadsafe(self._arrived.release)
        assert self.opened.wait(PATIENCE)
        write_archive(files, path, sink)

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            for _ in range(count):
                await self._arrived.acquire()


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    found = Gate()
    monkeypatch.setattr(artifacts, "write_archive", found.write)
    yield found
    found.opened.set()


@pytest.fixture
async def _few_threads() -> AsyncIterator[None]:
    """The threads that all requests share, of which the other tests have as many as usual."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(SHARED))
    yield
    loop.set_default_executor(ThreadPoolExecutor())


@pytest.fixture
async def api(
    runs: MemoryRuns, tmp_path: Path, gate: Gate, _few_threads: None
) -> AsyncIterator[Api]:
    files = keep_files(tmp_path)
    assert files is not None
    folder = (await files.open("quick-start", UUID)).folder
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    server = TestServer(create_app(runs, StaticToken("secret"), files=files))
    async with TestClient(server, headers={"Authorization": "Token secret"}) as client:
        yield client
        gate.opened.set()


def start(api: Api, count: int) -> list[asyncio.Task[ClientResponse]]:
    """Ask for so many archives at the same time."""

    async def download() -> ClientResponse:
        answer = await api.get(FOLDER)
        await answer.read()
        return answer

    return [asyncio.create_task(download()) for _ in range(count)]


async def test_slow_downloads_of_archives_leave_other_requests_their_threads(
    api: Api, gate: Gate
) -> None:
    downloads = start(api, SHARED + 1)
    await gate.wait_for(SHARED)
    async with asyncio.timeout(PATIENCE / 2):
        tree = await api.get(FOLDER + "/tree")
        assert (await tree.json())["files"] == {"a": 1}
    assert not any(one.done() for one in downloads)
    gate.opened.set()
    assert [(await one).status for one in downloads] == [200] * len(downloads)


async def test_of_many_archives_at_once_some_are_refused(api: Api, gate: Gate) -> None:
    downloads = start(api, MOST)
    await gate.wait_for(MOST)
    refused = await api.get(FOLDER)
    assert (refused.status, "Retry-After" in refused.headers) == (429, True)
    gate.opened.set()
    assert [(await one).status for one in downloads] == [200] * MOST
    assert (await api.get(FOLDER)).status == 200


async def test_the_end_of_the_api_waits_for_no_archive() -> None:
    archives, opened, arrived = Archives(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def write(sink: Sink) -> None:
        loop.call_soon_threadsafe(arrived.set)
        assert opened.wait(PATIENCE)
        sink.write(b"1")

    sending = asyncio.create_task(archives.send(web.StreamResponse(), write))
    async with asyncio.timeout(PATIENCE):
        await arrived.wait()
        await archives.close(web.Application())
        opened.set()
        with pytest.raises(ConnectionResetError, match="the API ends"):
            await sending
