"""Serves the real HTTP API over runs in memory, on a loopback port, in its own thread: for clients
that block.
"""

import asyncio
import threading
from pathlib import Path
from typing import Any

from aiohttp import web

from opstrand.api.app import create_app
from opstrand.api.auth.callers import Auth, StaticToken
from opstrand.api.pages import routes as pages
from opstrand.api.published.files import KeptFiles
from opstrand.api.v1 import discovery
from opstrand.artifacts.bucket import Bucket
from opstrand.artifacts.bucket_files import BucketFiles
from opstrand.artifacts.folder import RunFiles
from opstrand.runs.memory import MemoryRuns

TOKEN = "secret"
#: Seconds that the application may take for a call, also on a machine that is busy.
_PATIENCE = 60


def keep_files(folder: Path | None, bucket: Bucket | None = None) -> KeptFiles | None:
    """Return the files of runs below a folder (and in a bucket), with a fixed uid for each
    namespace.
    """

    async def read_uid(project: str) -> str:
        return f"uid-of-{project}"

    def of_run(base: Path, project_uid: str, uuid: str) -> RunFiles:
        if bucket is None:
            return RunFiles(base, project_uid, uuid)
        return BucketFiles(base, project_uid, uuid, bucket)

    return None if folder is None else KeptFiles(folder, read_uid, of_run)


class LoopbackApi:
    """Stops and starts the application on one port on demand. `requests` records what was
    requested.
    """

    def __init__(
        self,
        runs: MemoryRuns,
        files: Path | None = None,
        auth: Auth | None = None,
        bucket: Bucket | None = None,
    ) -> None:
        self.runs = runs
        self.bucket = bucket
        self.auth = auth or StaticToken(TOKEN)
        self.files = files
        self.port = 0
        self.requests: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Any) -> Any:
        """Run a coroutine in the loop of the application."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def start(self) -> None:
        self.do(self._start())

    async def _start(self) -> None:
        files = keep_files(self.files, self.bucket)
        resources = (*discovery.ROUTES, *pages.ROUTES)
        app = create_app(self.runs, self.auth, files=files, resources=resources)
        app.on_response_prepare.append(self._note)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def _note(self, request: web.Request, _: web.StreamResponse) -> None:
        self.requests.append(f"{request.method} {request.path}")

    def stop(self) -> None:
        self.do(self._runner.cleanup())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def environment(self, uuid: str, root: Path) -> dict[str, str]:
        """Return the variables that the operator gives to the Pod of a run in `quick-start`."""
        return {
            "POLYAXON_HOST": f"http://127.0.0.1:{self.port}",
            "POLYAXON_IS_MANAGED": "true",
            "POLYAXON_RUN_INSTANCE": f"default.quick-start.runs.{uuid}",
            "POLYAXON_AUTH_TOKEN": TOKEN,
            "POLYAXON_CONTEXT_ROOT": str(root),
        }
