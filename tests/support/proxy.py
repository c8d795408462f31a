"""A reverse proxy between the operator and the API server that simulates network and server
failures.

It speaks plain HTTP on the loopback to the operator, and uses the operator's own client certificate
to the API server, so that the audit log shows the right user. `kubeconfig` is the file to start an
operator with. Attributes control the failures, at any time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}


class Proxy:
    """`async with Proxy(kubeconfig, folder) as proxy`.

    Counts the requests in `asked` (list, watch, and the verbs of the others).
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._upstream = yaml.safe_load(kubeconfig.read_text())
        self._folder = folder
        self.kubeconfig = folder / "proxy.kubeconfig"
        self.asked: Counter[str] = Counter()
        #: Seconds of delay before each request is forwarded.
        self.delay = 0.0
        #: Answers instead of the API server's: (status, headers), for requests of these kinds (""
        #: for all).
        self.refuses: tuple[int, dict[str, str]] | None = None
        self.refuses_only: frozenset[str] = frozenset()
        #: For this many requests that change something, the API server does the work and the answer
        #: is dropped.
        self.loses_answers = 0
        #: Names of objects whose DELETED events are dropped.
        self.hides_deletions_of: frozenset[str] = frozenset()
        self._passable = asyncio.Event()
        self._passable.set()
        #: Every watch reports this error when it is opened, and nothing else: (code, message).
        self.fails_watches: tuple[int, str] | None = None
        self._streams: set[tuple[asyncio.Task[Any], asyncio.Future[tuple[int, str]]]] = set()

    async def __aenter__(self) -> Proxy:
        cluster, user = self._upstream["clusters"][0]["cluster"], self._upstream["users"][0]["user"]
        self._server = cluster["server"]
        context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        pair = self._folder / "proxy.pem"
        pair.write_bytes(
            base64.b64decode(user["client-certificate-data"])
            + b"\n"
            + base64.b64decode(user["client-key-data"])
        )
        context.load_cert_chain(pair)
        connector = aiohttp.TCPConnector(ssl=context, limit=200)
        self._http = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        )
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.kubeconfig.write_text(yaml.safe_dump(_plain_kubeconfig(f"http://127.0.0.1:{port}")))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._passable.set()
        self.cut()
        await self._runner.cleanup()
        await self._http.close()

    def cut(self) -> None:
        """End every watch in the middle of an event."""
        for task, _ in list(self._streams):
            task.cancel()

    def expire(self) -> None:
        """Report to every watch that its version is too old, as after a compaction."""
        self.fail(410, "too old resource version")

    def fail(self, code: int, message: str) -> None:
        """Report an error to every watch."""
        for _, failure in list(self._streams):
            if not failure.done():
                failure.set_result((code, message))

    def go_silent(self) -> None:
        """Hold back all data in both directions and keep all connections open, as a network that is
        down.
        """
        self._passable.clear()

    def speak(self) -> None:
        """Forward what was held back."""
        self._passable.set()

    @property
    def watches(self) -> int:
        return len(self._streams)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        kind = _kind(request)
        self.asked[kind] += 1
        await self._passable.wait()
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.refuses is not None and (not self.refuses_only or kind in self.refuses_only):
            status, headers = self.refuses
            refusal = {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "code": status,
                "message": f"the proxy answers {status}",
            }
            return web.json_response(refusal, status=status, headers=headers)
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _HOP
        }
        data = await request.read()
        async with self._http.request(
            request.method, self._server + request.path_qs, headers=headers, data=data or None
        ) as upstream:
            if kind == "watch" and upstream.status == 200:
                return await self._stream(request, upstream)
            body = await upstream.read()
        await self._passable.wait()
        if self.loses_answers and kind in ("create", "patch", "delete"):
            self.loses_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        answer = {
            name: value for name, value in upstream.headers.items() if name.lower() not in _HOP
        }
        return web.Response(body=body, status=upstream.status, headers=answer)

    async def _stream(
        self, request: web.Request, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        failure: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(self._pass_lines(upstream, response))
        entry = (task, failure)
        self._streams.add(entry)
        if self.fails_watches is not None:
            failure.set_result(self.fails_watches)
        try:
            waited: set[asyncio.Future[Any]] = {task, failure}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                code, message = failure.result()
                status = {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "status": "Failure",
                    "code": code,
                    "message": message,
                }
                await response.write(
                    json.dumps({"type": "ERROR", "object": status}, separators=(",", ":")).encode()
                    + b"\n"
                )
            elif task.cancelled() and request.transport is not None:
                request.transport.abort()
        finally:
            self._streams.discard(entry)
            task.cancel()
            failure.cancel()
        return response

    async def _pass_lines(
        self, upstream: aiohttp.ClientResponse, response: web.StreamResponse
    ) -> None:
        rest = b""
        with suppress(aiohttp.ClientError, ConnectionError):
            async for chunk in upstream.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    await self._passable.wait()
                    if not self._is_hidden(line):
                        await response.write(line + b"\n")

    def _is_hidden(self, line: bytes) -> bool:
        head = line[:40]
        return b'"DELETED"' in head and any(
            f'"name":"{name}"'.encode() in line for name in self.hides_deletions_of
        )


def _kind(request: web.Request) -> str:
    if request.method != "GET":
        return {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(
            request.method, request.method.lower()
        )
    if request.query.get("watch") == "true":
        return "watch"
    return "list" if request.path.endswith(("/operations", "/components", "/pods")) else "get"


def _plain_kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "only",
        "contexts": [{"name": "only", "context": {"cluster": "only", "user": "only"}}],
        "clusters": [{"name": "only", "cluster": {"server": server}}],
        "users": [{"name": "only", "user": {}}],
    }
