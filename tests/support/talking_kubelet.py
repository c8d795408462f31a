"""A kubelet that only serves container logs, which a test writes, for a real API server's node."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from datetime import UTC, datetime

from aiohttp import web

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import Resource
from tests.cluster.certificates import Authority

NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


class TalkingKubelet:
    """Inside `async with`, the node `name` exists.

    A followed log ends when the test ends it, as that of a container does when the container ends.
    """

    def __init__(self, kube: KubeApi, authority: Authority, name: str = "talking") -> None:
        self.name = name
        self._kube, self._authority = kube, authority
        self._lines: defaultdict[str, list[bytes]] = defaultdict(list)
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._runner: web.AppRunner | None = None

    def write(self, pod: str, text: str) -> None:
        """Write a line of the Pod's main container, with the current time."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        self._lines[pod].append(f"{stamp} {text}\n".encode())

    def end(self, pod: str) -> None:
        self._ended[pod].set()

    async def __aenter__(self) -> TalkingKubelet:
        pair = self._authority.issue(self.name, f"/CN={self.name}", ["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._tell)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}}
        await self._kube.create(NODES, None, node)
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._runner.addresses[0][1]}},
        }
        ops = [{"op": "add", "path": "/status", "value": status}]
        await self._kube.json_patch(NODES, None, self.name, ops, subresource="status")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kube.delete(NODES, None, self.name)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        pod, query = request.match_info["pod"], request.query
        answer = web.StreamResponse()
        await answer.prepare(request)
        if query.get("follow") == "true":
            await self._ended[pod].wait()
        for line in self._lines[pod]:
            stamped = query.get("timestamps") == "true"
            await answer.write(line if stamped else line.partition(b" ")[2])
        return answer
