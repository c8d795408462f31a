"""The real API on a loopback port in a thread of its own, and the environment of a Pod of its one run."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from opstrand.tracking.app import create_app
from opstrand.tracking.auth import StaticToken
from opstrand.tracking.memory import MemoryRuns

UUID = "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"
MESSAGE = 'it\'s "quoted" $(HOME) $$ \n ünïcode'


class Api:
    """The application over one running run, stopped and started at will on one port."""

    def __init__(self, runs: MemoryRuns) -> None:
        self.runs = runs
        self.port = 0
        self.requests: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def start(self) -> None:
        self.do(self._start())

    async def _start(self) -> None:
        app = create_app(self.runs, StaticToken("secret"))
        app.on_response_prepare.append(self._note)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _note(self, request: web.Request, _: web.StreamResponse) -> None:
        self.requests.append(f"{request.method} {request.path.rpartition(UUID)[2]}")

    def stop(self) -> None:
        self.do(self._runner.cleanup())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.do(self.runs.get("quick-start", UUID))["status"])


def body() -> dict[str, Any]:
    meta = {"name": "echo", "namespace": "quick-start", "uid": UUID, "creationTimestamp": "2026-01-02T03:04:05Z"}
    status = {"uuid": UUID, "kind": "job", "phase": "Running", "inputs": {"message": MESSAGE}, "outputs": {}, "meta": {}}
    return {"metadata": meta, "spec": {}, "status": status}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    server = Api(MemoryRuns())
    server.do(server.runs.put(body()))
    server.start()
    for name, value in environment(server, tmp_path).items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


def environment(server: Api, root: Path) -> dict[str, str]:
    return {
        "POLYAXON_HOST": f"http://127.0.0.1:{server.port}",
        "POLYAXON_IS_MANAGED": "true",
        "POLYAXON_RUN_INSTANCE": f"default.quick-start.runs.{UUID}",
        "POLYAXON_AUTH_TOKEN": "secret",
        "POLYAXON_CONTEXT_ROOT": str(root),
    }
