"""The API's process under hostile and faulty clients: it serves other clients as always, and its
log stays readable.

The clients use real sockets to the real process on the loopback; the API server is real, and behind
it is a kubelet whose logs never have a line.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio
from aiohttp import web

from opstrand.core.names import run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS, Resource
from opstrand.types import Manifest
from tests.cluster.certificates import Authority
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import (
    API_USER,
    AUDIENCE,
    CHECKOUT,
    make_namespace,
    make_token,
    operation,
    run_kubectl,
)
from tests.support.audit import count_requests
from tests.support.operator_process import OperatorProcess

NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
pytestmark = pytest.mark.alone

HEAD_SECONDS = 2
BODY_SECONDS = 2
FOLLOWERS = 200


@dataclass
class SilentKubelet:
    """Sends nothing to a client that follows a log, and counts the waiting clients."""

    port: int = 0
    waiting: int = 0
    most: int = 0
    runner: web.AppRunner = field(init=False)

    async def start(self, authority: Authority) -> None:
        pair = authority.issue("silent-kubelet", "/CN=silent-kubelet", ["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        app = web.Application()
        app.router.add_get("/containerLogs/{tail:.*}", self._hold)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await asyncio.sleep(120)
        finally:
            self.waiting -= 1
        return answer


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(quiet_plane: ControlPlane, quiet_kube: KubeApi) -> AsyncIterator[SilentKubelet]:
    """Yield the kubelet of the node `silent`."""
    silent = SilentKubelet()
    await silent.start(quiet_plane.authority)
    await quiet_kube.create(
        NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "silent"}}
    )
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": silent.port}},
    }
    await quiet_kube.json_patch(
        NODES,
        None,
        "silent",
        [{"op": "add", "path": "/status", "value": status}],
        subresource="status",
    )
    yield silent
    await quiet_kube.delete(NODES, None, "silent")
    await silent.runner.cleanup()


@dataclass
class Api:
    """The process and its address."""

    process: OperatorProcess
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, path: str, token: str = "", **options: Any) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession(self.url, headers=headers) as http,
            http.request(method, path, **options) as answer,
        ):
            await answer.read()
            return answer.status

    async def seconds(self, method: str, path: str, token: str = "", **options: Any) -> float:
        """Return how long an answer of 200 takes."""
        began = time.monotonic()
        status = await self.ask(method, path, token, **options)
        assert status == 200, f"{method} {path}: {status}\n{self.process.read_log()[-3000:]}"
        return time.monotonic() - began

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.process.read_log().splitlines()]

    @asynccontextmanager
    async def connection(
        self, data: bytes
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a bare connection and send this."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def until_closed(self, data: bytes, seconds: float, drops: bytes = b"") -> bytes:
        """Send this on a connection, then the drops one by one; return what comes back before the
        process closes it.
        """
        async with self.connection(data) as (reader, writer), asyncio.timeout(seconds):
            answer = asyncio.create_task(read_all(reader))
            with suppress(ConnectionError):
                for drop in drops:
                    if answer.done():
                        break
                    writer.write(bytes([drop]))
                    await writer.drain()
                    await asyncio.wait({answer}, timeout=0.2)
            return await answer


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Return what arrives until the connection is closed or reset."""
    read = b""
    with suppress(ConnectionError):
        while some := await reader.read(1 << 16):
            read += some
    return read


@pytest.fixture(scope="module")
def api(quiet_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Yield an API with short time limits.

    Its log has no error and no traceback after everything that these tests do to it.
    """
    kubeconfig = quiet_plane.kubeconfig
    run_kubectl(kubeconfig, "create", "namespace", "opstrand", check=False)
    run_kubectl(
        kubeconfig,
        "apply",
        "--server-side",
        "-n",
        "opstrand",
        "-f",
        str(CHECKOUT / "manifests/base/rbac-api.yaml"),
    )
    for role in ("opstrand-api", "system:service-account-issuer-discovery"):
        binding = ("create", "clusterrolebinding", f"api-under-load-{role.rpartition(':')[2]}")
        run_kubectl(kubeconfig, *binding, f"--clusterrole={role}", f"--user={API_USER}")
    port = free_port("127.0.0.1")
    log = tmp_path_factory.mktemp("api") / "api.log"
    settings = {
        "api_listen_port": port,
        "api_head_seconds": HEAD_SECONDS,
        "api_body_seconds": BODY_SECONDS,
    }
    process = OperatorProcess(
        Path(quiet_plane.user(API_USER)), log, module="opstrand.api", **settings
    )
    process.start()
    process.wait_until_started()
    yield Api(process, port)
    assert process.stop() == 0
    found = Api(process, port).entries()
    # Allow warnings: the API server that they are about starts together with these tests.
    wrong = [
        entry
        for entry in found
        if entry["level"] not in ("info", "warning") or "traceback" in entry
    ]
    assert not wrong, "\n".join(
        f"{entry['message']}\n{entry.get('traceback', '')}" for entry in wrong
    )
    assert max(Counter(entry["message"] for entry in found).values()) < 20, (
        "what clients do as often as they like is logged as often"
    )


@dataclass(frozen=True)
class Run:
    """A run as the operator leaves it once its Pod runs, with the Pod's token."""

    path: str
    logs: str
    token: str


@pytest.fixture
def make_run(quiet_kube: KubeApi, kubelet: SilentKubelet) -> Any:
    async def make(namespace: str, name: str) -> Run:
        with suppress(Exception):
            await make_namespace(quiet_kube, namespace)
        containers = [{"name": "main", "image": "x"}]
        pod: Manifest = {
            "metadata": {"name": f"{name}-0"},
            "spec": {"nodeName": "silent", "containers": containers},
        }
        pod = await quiet_kube.create(PODS, namespace, pod)
        running = [{"op": "add", "path": "/status/phase", "value": "Running"}]
        await quiet_kube.json_patch(PODS, namespace, f"{name}-0", running, subresource="status")
        body = await quiet_kube.create(OPERATIONS, namespace, operation(name))
        uuid = run_uuid(body["metadata"]["uid"])
        frozen = {
            "uuid": uuid,
            "kind": "job",
            "phase": "Running",
            "inputs": {},
            "outputs": {},
            "artifacts": [],
            "tags": [],
            "meta": {},
        }
        status = {
            **frozen,
            "pod": {"name": f"{name}-0", "uid": pod["metadata"]["uid"]},
            "startedAt": "2026-01-02T03:04:05Z",
        }
        ops = [{"op": "add", "path": "/status", "value": status}]
        await quiet_kube.json_patch(OPERATIONS, namespace, name, ops, subresource="status")
        token = await make_token(quiet_kube, namespace, "default", pod=pod, audience=AUDIENCE)
        project = f"default/{namespace}/runs/{uuid}"
        return Run(f"/api/v1/{project}", f"/streams/v1/{namespace}/{project}/logs", token)

    return make


async def test_followers_of_one_run_keep_no_report_of_another_waiting(
    api: Api, make_run: Any, kubelet: SilentKubelet
) -> None:
    followed, other = await make_run("followed", "a"), await make_run("reporting", "b")
    assert await api.ask("GET", other.path, other.token) == 200
    headers = {"Authorization": f"Bearer {followed.token}"}
    async with aiohttp.ClientSession(
        api.url, headers=headers, connector=aiohttp.TCPConnector(limit=0)
    ) as http:

        async def follow() -> int:
            async with http.get(followed.logs, params={"last_file": "0.0."}) as answer:
                return answer.status

        followers = [asyncio.create_task(follow()) for _ in range(FOLLOWERS)]
        refused, held = await asyncio.wait(followers, timeout=8)
        # Later requests count too: the number of waiting requests is bounded.
        assert Counter(task.result() for task in refused) == {429: FOLLOWERS - 50}
        assert (len(held), kubelet.waiting) == (50, 50)
        took = [
            await api.seconds(
                "PATCH", other.path, other.token, json={"outputs": {"n": n}, "merge": True}
            )
            for n in range(20)
        ]
        assert max(took) < 2.0, took
        assert await api.seconds("GET", other.path, other.token) < 2.0
        for task in held:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
    deadline = time.monotonic() + 15
    # a closed connection holds nothing, long before the 20 s of an answer are over
    while kubelet.waiting:
        assert time.monotonic() < deadline, f"{kubelet.waiting} logs are followed for no one"
        await asyncio.sleep(0.1)


HALF_SENT = [
    b"",
    b"G",
    b"GET /healthz HTTP/1.1\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ",
    b"POST /api/v1/default/p/runs HTTP/1.1\r\nContent-",
]


async def test_half_sent_heads_are_closed_in_time(api: Api) -> None:
    began = time.monotonic()
    waiting = [
        asyncio.create_task(api.until_closed(HALF_SENT[n % len(HALF_SENT)], 3 * HEAD_SECONDS + 5))
        for n in range(400)
    ]
    await asyncio.sleep(0.5)
    assert await api.seconds("GET", "/healthz") < 2.0
    await asyncio.gather(*waiting)
    assert time.monotonic() - began >= HEAD_SECONDS - 0.5


async def test_a_head_that_comes_in_drops_is_closed_in_time_too(api: Api) -> None:
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with api.connection(whole) as (reader, writer), asyncio.timeout(4 * HEAD_SECONDS + 5):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        with suppress(ConnectionError):
            # the second request of a connection
            for drop in b"GET /healthz HTTP/1.1\r\nX-Drops: " + b"." * 500:
                writer.write(bytes([drop]))
                await writer.drain()
                await asyncio.sleep(0.1)
                if reader.at_eof():
                    break
            await reader.read()
    assert await api.seconds("GET", "/healthz") < 2.0


async def test_more_half_sent_heads_than_there_is_room_for_shut_out_no_one(api: Api) -> None:
    waiting = [
        asyncio.create_task(api.until_closed(b"GET ", 4 * HEAD_SECONDS + 10)) for _ in range(900)
    ]
    took = []
    for _ in range(5):
        took.append(await api.seconds("GET", "/healthz"))
        await asyncio.sleep(0.1)
    assert max(took) < 3.0, took
    await asyncio.gather(*waiting)


@pytest.mark.parametrize(
    "framing", ["Content-Length: 5000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"]
)
async def test_unfinished_bodies_are_answered_and_closed_in_time(
    api: Api, make_run: Any, framing: str
) -> None:
    slow, other = (
        await make_run("slow", f"a{len(framing)}"),
        await make_run("quick", f"b{len(framing)}"),
    )
    for token, most in ((slow.token, 16), ("", 100)):
        head = (
            f"PATCH {slow.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            f"{token}\r\nContent-Type: application/json\r\n{framing}"
        )
        waiting = [
            asyncio.create_task(
                api.until_closed(head.encode(), BODY_SECONDS + 13, b" " * (n % 2) * 1000)
            )
            for n in range(most)
        ]
        await asyncio.sleep(0.3)
        assert (
            await api.seconds(
                "PATCH", other.path, other.token, json={"outputs": {"n": 1}, "merge": True}
            )
            < 2.0
        )
        answers = Counter(answer.split(b"\r\n")[0] for answer in await asyncio.gather(*waiting))
        assert answers == {
            b"HTTP/1.1 408 Request Timeout" if token else b"HTTP/1.1 401 Unauthorized": most
        }


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS
    b"\0" * 100 + b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    b"GET /\xff\xfe%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /api/v1/default/%2e%2e%2f/runs/..%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //[ HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 500 + b"\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\nConnection: close\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x01a",
    b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xc3\xa9\xff\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a.b.c\r\nConnection: close\r\n\r\n",
]


@pytest.mark.parametrize("sent", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_no_request_is_refused(api: Api, sent: bytes) -> None:
    async with api.connection(sent) as (reader, _), asyncio.timeout(HEAD_SECONDS + 10):
        answer = b""
        with suppress(ConnectionError):
            answer = await reader.readline()
    # 302: `/` leads to the pages for everyone, whatever else the request says.
    assert not answer or answer.split()[1] in (b"302", b"400", b"401", b"404", b"405", b"417"), (
        answer
    )
    assert await api.ask("GET", "/healthz") == 200


ODD_BODIES = [
    ("application/json", "", b"{"),
    ("application/json", "", b"\xff\xfe\xfd"),
    ("application/json; charset=nonsense", "", b"{}]"),
    ("application/json", "gzip", b"not gzip"),
    ("application/json", "deflate", b"\x00\x01\x02"),
    ("application/json", "br", b"{}{"),
    ("multipart/form-data", "", b"--x"),
    ("application/json", "", b"[" * 100_000),
]


@pytest.mark.parametrize(("kind", "encoding", "body"), ODD_BODIES, ids=range(len(ODD_BODIES)))
async def test_bodies_that_cannot_be_read_are_the_clients_mistake(
    api: Api, make_run: Any, kind: str, encoding: str, body: bytes
) -> None:
    run = await make_run("odd", f"r{secrets.token_hex(4)}")
    head = (
        f"PATCH {run.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        f"{run.token}\r\nContent-Type: {kind}\r\nConnection: close\r\n"
    )
    head += (
        f"Content-Encoding: {encoding}\r\n" if encoding else ""
    ) + f"Content-Length: {len(body)}\r\n\r\n"
    answer = await api.until_closed(head.encode() + body, BODY_SECONDS + 10)
    assert answer.split()[1] == b"400", answer


async def test_clients_that_hang_up_leave_nothing_behind(api: Api, make_run: Any) -> None:
    """Clients close while a body is sent, while an answer is awaited, and while a log is followed;
    by a reset as well as in order.
    """
    run = await make_run("hanging-up", "a")
    own = f"Host: x\r\nAuthorization: Bearer {run.token}\r\n"
    sent = [
        f"PATCH {run.path} HTTP/1.1\r\n{own}Content-Length: 500\r\n\r\n{{",
        f"PATCH {run.path} HTTP/1.1\r\n{own}Content-Length: 500\r\nExpect: 100-continue\r\n\r\n",
        f"GET {run.path} HTTP/1.1\r\n{own}\r\n" * 20,
        f"GET {run.logs}?last_file=0.0. HTTP/1.1\r\n{own}\r\n",
        f"GET {run.path}/statuses HTTP/1.1\r\n{own}\r\n",
        "GET /heal",
    ]
    for number in range(60):
        async with api.connection(sent[number % len(sent)].encode()) as (_, writer):
            await asyncio.sleep(0.02 * (number % 3))
            if number % 2:
                writer.transport.abort()
    assert await api.seconds("GET", run.path, run.token) < 2.0


async def make_up(api: Api, quiet_kube: KubeApi, namespace: str, kind: str) -> list[str]:
    """Return 300 tokens that belong to no account."""
    pod = await quiet_kube.create(
        PODS,
        namespace,
        {"metadata": {"name": kind}, "spec": {"containers": [{"name": "main", "image": "x"}]}},
    )
    good = await make_token(quiet_kube, namespace, "default", pod=pod, audience=AUDIENCE)
    claims, header = (
        jwt.decode(good, options={"verify_signature": False}),
        jwt.get_unverified_header(good),
    )
    signing = secrets.token_bytes(32)
    made = []
    for number in range(300):
        said = {**claims, "jti": str(number)}
        match kind:
            case "altered":
                made.append(".".join((*good.split(".")[:2], secrets.token_urlsafe(64))))
            case "with-a-known-key":
                made.append(jwt.encode(said, signing, "HS256", {"kid": header["kid"]}))
            case "with-an-unknown-key":
                made.append(jwt.encode(said, signing, "HS256", {"kid": secrets.token_hex(8)}))
            case "of-a-person":
                made.append(
                    jwt.encode({**said, "sub": "alice"}, signing, "HS256", {"kid": header["kid"]})
                )
            case _:
                made.append(secrets.token_urlsafe(40))
    return made


@pytest.mark.parametrize(
    "kind", ["altered", "with-a-known-key", "with-an-unknown-key", "of-a-person", "opaque"]
)
async def test_made_up_tokens_do_not_cost_a_review_each(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, api: Api, make_run: Any, kind: str
) -> None:
    namespace = f"made-up-{kind}"
    run = await make_run(namespace, "a")
    assert await api.ask("GET", run.path, run.token) == 200
    offset = quiet_plane.audit_log.stat().st_size
    made = await make_up(api, quiet_kube, namespace, kind)
    at_once = asyncio.Semaphore(40)

    async def present(token: str) -> int:
        async with at_once:
            return await api.ask("GET", run.path, token)

    answers = asyncio.gather(*(present(token) for token in made))
    took = [await api.seconds("GET", run.path, run.token) for _ in range(5)]
    assert set(await answers) <= {401, 429}
    assert max(took) < 5.0, took  # known callers are served beside them, from the same address
    await asyncio.sleep(0.3)
    reviews = count_requests(quiet_plane.audit_log, API_USER, after=offset)[
        "create", "tokenreviews", 201
    ]
    assert reviews <= (0 if kind in ("altered", "with-a-known-key") else 60), reviews
