"""A real S3 server for tests: versitygw over a folder, in which objects are files. And a proxy
before it, which answers 500 and 503 on demand.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from tests.cluster.control_plane import free_port
from tests.cluster.programs import program

_HOST = "127.0.0.1"
KEY, SECRET = "test-key", "test-secret"
BUCKET = "runs"
#: Seconds until the server answers; the machine may be slow.
_PATIENCE = 60.0
_HOP = {"connection", "transfer-encoding", "keep-alive", "expect"}


class S3Server:
    """Started by `start`. `objects` is the folder of the bucket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.objects = folder / "data" / BUCKET
        self.objects.mkdir(parents=True)
        (folder / "sidecar").mkdir()
        self.port = free_port(_HOST)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def start(self) -> None:
        words = [str(program("versitygw")), "--port", f"{_HOST}:{self.port}"]
        words += ["--access", KEY, "--secret", SECRET, "--region", "us-east-1", "--quiet"]
        # Not in extended attributes, which some file systems lack.
        words += ["posix", "--sidecar", str(self._folder / "sidecar"), str(self._folder / "data")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self._folder)
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=5)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def list_objects(self) -> list[str]:
        return sorted(
            str(one.relative_to(self.objects))
            for one in self.objects.rglob("*")
            if one.is_file() and not one.relative_to(self.objects).parts[0].startswith(".")
        )


def variables(url: str) -> dict[str, str]:
    """Return the variables by which a client finds the server and is let in."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


class FailingProxy:
    """A proxy in its own thread. The next answers are those of `failures`, each a status; with
    `is_away` every one is 503.
    """

    def __init__(self, to: str) -> None:
        self._to = to
        self.failures: list[int] = []
        self.is_away = False
        self.refused = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    async def _start(self) -> int:
        self._http = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        body = await request.content.read()
        if self.is_away or self.failures:
            self.refused += 1
            return web.Response(status=503 if self.is_away else self.failures.pop(0))
        # The signature is about the Host that the client asked.
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        url = URL(f"{self._to}{request.raw_path}", encoded=True)
        async with self._http.request(
            request.method, url, data=io.BytesIO(body), headers=headers
        ) as answer:
            content = await answer.read()
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
            if request.method != "HEAD":
                kept.pop("Content-Length", None)
            return web.Response(status=answer.status, body=content, headers=kept)

    def stop(self) -> None:
        async def end() -> None:
            await self._runner.cleanup()
            await self._http.close()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
