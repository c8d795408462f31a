"""The proxy between here and the API server: chosen as kubectl chooses it, and really used."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from tests.cluster.certificates import Authority

from opstrand.errors import PlatformError
from opstrand.kube.client import KubeApi
from opstrand.kube.proxy import find_proxy
from opstrand.kube.resources import NAMESPACES
from opstrand.kube.session import open_session

PROXY = "http://proxy.example:3128"
SERVER = "https://cluster.example:6443"
#: A name that no resolver knows: only the proxy below can reach it.
HOST = "cluster.invalid"
VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")


@pytest.mark.parametrize(
    ("server", "variables", "expected"),
    [
        (SERVER, {}, None),
        (SERVER, {"HTTPS_PROXY": PROXY}, PROXY),
        (SERVER, {"https_proxy": PROXY}, PROXY),
        (SERVER, {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        (SERVER, {"HTTP_PROXY": PROXY}, None),
        ("http://cluster.example", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://localhost:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:6443", {"HTTPS_PROXY": PROXY}, None),
    ],
)
def test_the_proxy_of_the_environment(
    server: str, variables: dict[str, str], expected: str | None
) -> None:
    assert find_proxy(server, variables) == expected


@pytest.mark.parametrize(
    ("server", "entries", "is_excluded"),
    [
        (SERVER, "*", True),
        (SERVER, "cluster.example", True),
        (SERVER, "CLUSTER.example", True),
        (SERVER, "example", True),
        (SERVER, ".example", True),
        (SERVER, "*.example", True),
        (SERVER, "other, cluster.example", True),
        (SERVER, "cluster.example:6443", True),
        (SERVER, "cluster.example:443", False),
        (SERVER, ".cluster.example", False),
        (SERVER, "uster.example", False),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://10.1.2.3", "10.1.2.3:443", True),
        ("https://10.1.2.3", "10.1.2.4,192.168.0.0/16,nonsense/8", False),
        ("https://[fd00::1]", "fd00::1", True),
        ("https://[fd00::1]:8", "[fd00::1]:8", True),
        ("https://[fd00::1]", "fd00::/8", True),
    ],
)
def test_hosts_that_no_proxy_leaves_out(server: str, entries: str, is_excluded: bool) -> None:
    chosen = find_proxy(server, {"HTTPS_PROXY": PROXY, "NO_PROXY": entries})
    assert (chosen is None) == is_excluded


class Tunnel:
    """A small CONNECT proxy: leads every name to a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []
        self.credentials: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.splitlines()[0])
        self.credentials += [
            base64.b64decode(line.split()[-1]).decode()
            for line in head.splitlines()
            if line.lower().startswith("proxy-authorization:")
        ]
        there, onward = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, onward), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def cluster_behind_a_proxy(
    tmp_path: Path, **cluster: str
) -> AsyncIterator[tuple[Tunnel, str]]:
    """A TLS server that only the proxy can reach, its kubeconfig in $KUBECONFIG's place; yields
    the proxy and its address.
    """
    authority = Authority(tmp_path / "pki", "ca")
    pair = authority.issue("server", "/CN=server", [HOST])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)

    async def answer(_: web.BaseRequest) -> web.Response:
        probe = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "here"}}
        return web.json_response(probe)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    tunnel = Tunnel(runner.addresses[0][1])
    listening = await asyncio.start_server(tunnel.serve, "127.0.0.1", 0)
    address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    at = {
        "server": f"https://{HOST}:6443",
        "certificate-authority": str(authority.pair.certificate),
    }
    at |= {key: value.replace("PROXY", address) for key, value in cluster.items()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": at}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
    try:
        yield tunnel, address
    finally:
        listening.close()
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))


async def ask() -> str:
    async with await open_session() as session:
        found = await KubeApi(session).get(NAMESPACES, None, "here")
    return str(found["metadata"]["name"])


async def test_a_cluster_is_reached_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster_behind_a_proxy(tmp_path) as (tunnel, address):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{address}")
        assert await ask() == "here"
    assert tunnel.asked == [f"CONNECT {HOST}:6443 HTTP/1.1"]
    assert tunnel.credentials == ["me:secret"]


async def test_no_proxy_goes_past_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster_behind_a_proxy(tmp_path) as (tunnel, address):
        monkeypatch.setenv("HTTPS_PROXY", address)
        monkeypatch.setenv("NO_PROXY", f"other,{HOST}")
        with pytest.raises(PlatformError, match=HOST):
            await ask()
    assert tunnel.asked == []


async def test_the_kubeconfig_s_own_proxy_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    async with cluster_behind_a_proxy(tmp_path, **{"proxy-url": "http://PROXY"}) as (tunnel, _):
        assert await ask() == "here"
    assert len(tunnel.asked) == 1


async def test_a_proxy_that_is_not_spoken_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster_behind_a_proxy(tmp_path):
        monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret@proxy.example:1080")
        with pytest.raises(PlatformError) as caught:
            await ask()
    assert "$HTTPS_PROXY names the proxy 'socks5://proxy.example'" in caught.value.message
    assert "expected http://HOST:PORT" in caught.value.message
    assert "secret" not in caught.value.message


async def test_a_proxy_that_is_down_is_blamed_and_not_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster_behind_a_proxy(tmp_path):
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        with pytest.raises(PlatformError) as caught:
            await ask()
    assert f"the proxy that leads to https://{HOST}:6443 did not connect" in caught.value.message
    assert "127.0.0.1:1" in caught.value.message
    assert caught.value.advice.startswith("Is the proxy up?")


async def test_a_proxy_that_refuses_is_blamed_with_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Log in first\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with cluster_behind_a_proxy(tmp_path):
        listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(PlatformError) as caught:
            await ask()
        listening.close()
    assert "did not connect: 407 Log in first" in caught.value.message
