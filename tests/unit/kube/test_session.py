"""How credentials are found: as kubectl does it, whatever the kubeconfig says."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from tests.cluster.certificates import Authority

from opstrand.errors import PlatformError
from opstrand.kube import session as session_module
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import Unreachable
from opstrand.kube.resources import NAMESPACES
from opstrand.kube.session import open_session

PROBE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "here"}}


def kubeconfig(
    path: Path,
    server: str,
    user: dict[str, Any] | None = None,
    *,
    current: str = "c",
    **cluster: Any,
) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "contexts": [
            {
                "name": path.stem,
                "context": {"cluster": path.stem, "user": path.stem, "namespace": path.stem},
            }
        ],
        "clusters": [{"name": path.stem, "cluster": {"server": server, **cluster}}],
        "users": [{"name": path.stem, "user": user or {"token": "t"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


async def serve(handler: Any, tls: ssl.SSLContext | None = None) -> tuple[web.ServerRunner, int]:
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    return runner, runner.addresses[0][1]


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ("a", "b", "http://127.0.0.1:1"),
        ("", "b", "http://127.0.0.1:2"),
        ("b", "a", "http://127.0.0.1:2"),
    ],
)
async def test_of_several_files_the_first_that_names_a_context_has_the_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str, chosen: str
) -> None:
    a = kubeconfig(tmp_path / "a", "http://127.0.0.1:1", current=first)
    b = kubeconfig(tmp_path / "b", "http://127.0.0.1:2", current=second)
    (tmp_path / "empty").touch()
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/empty:{a}:{tmp_path}/nope:{b}")
    async with await open_session() as session:
        assert session.server == chosen
    async with await open_session(context="b") as session:
        assert (session.server, session.namespace) == ("http://127.0.0.1:2", "b")


async def test_a_name_for_the_certificate_is_the_one_that_is_checked(tmp_path: Path) -> None:
    """An API server behind a tunnel: its certificate does not have the address."""
    authority = Authority(tmp_path / "pki", "ca")
    pair = authority.issue("server", "/CN=server", ["cluster.example"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.json_response(PROBE)

    runner, port = await serve(answer, tls)
    facts = {
        "certificate-authority": str(authority.pair.certificate),
        "tls-server-name": "cluster.example",
    }
    async with await open_session(
        kubeconfig=str(kubeconfig(tmp_path / "c", f"https://127.0.0.1:{port}", **facts))
    ) as session:
        assert (await KubeApi(session).get(NAMESPACES, None, "here"))["kind"] == "Namespace"
    await runner.cleanup()


async def test_a_cluster_behind_a_proxy_is_asked_through_it(tmp_path: Path) -> None:
    asked = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path)
        return web.json_response(PROBE)

    runner, port = await serve(answer)
    config = kubeconfig(
        tmp_path / "c", "http://cluster.invalid", **{"proxy-url": f"http://127.0.0.1:{port}"}
    )
    async with await open_session(kubeconfig=str(config)) as session:
        await KubeApi(session).get(NAMESPACES, None, "here")
    assert asked == ["http://cluster.invalid/api/v1/namespaces/here"]
    await runner.cleanup()


@pytest.mark.parametrize("gives", ["token", "certificate"])
async def test_a_login_is_made_again_and_whatever_it_gives_the_session_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gives: str
) -> None:
    pair = Authority(tmp_path / "pki", "ca").issue("client", "/CN=ann")
    status = {"token": "t"}
    if gives == "certificate":
        status = {
            "clientCertificateData": pair.certificate.read_text(),
            "clientKeyData": pair.key.read_text(),
        }
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    (tmp_path / "answer").write_text(json.dumps(answer))
    script = f"echo x >> {tmp_path}/asked; cat {tmp_path}/answer"
    login = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", script],
        }
    }
    monkeypatch.setattr(session_module, "_LOGIN_INTERVAL", 0.01)
    session = await open_session(
        kubeconfig=str(kubeconfig(tmp_path / "c", "https://127.0.0.1:1", login))
    )
    while len((tmp_path / "asked").read_text().split()) < 3:
        assert session._refresher is not None
        assert not session._refresher.done()
        await asyncio.sleep(0.01)
    await session.close()


def test_a_user_without_a_home_has_credentials_all_the_same(tmp_path: Path) -> None:
    """A container may run as any user number; the official package looks for a home at import."""
    code = (
        "import os, pwd; os.environ.pop('HOME', None)\ndef nobody(uid): raise "
        "KeyError(uid)\npwd.getpwuid = nobody\n"
        "from opstrand.kube.session import _find_kubeconfigs; print(_find_kubeconfigs(None))"
    )
    config = kubeconfig(tmp_path / "c", "http://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"KUBECONFIG": str(config)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == (f"{[str(config)]}\n", "")


@pytest.mark.parametrize("text", ["<html>Log in, please</html>", "[]", "{}", '"hello"'])
async def test_another_server_in_place_of_a_cluster_is_recognized(
    tmp_path: Path, text: str
) -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(text=text)

    runner, port = await serve(answer)
    async with await open_session(
        kubeconfig=str(kubeconfig(tmp_path / "c", f"http://127.0.0.1:{port}"))
    ) as session:
        for ask in (
            KubeApi(session).get(NAMESPACES, None, "here"),
            KubeApi(session).list(NAMESPACES),
        ):
            with pytest.raises(Unreachable, match="what answers is no Kubernetes API server"):
                await ask
    await runner.cleanup()


@pytest.mark.parametrize("server", ["127.0.0.1:6443", "ftp://cluster.example"])
async def test_a_server_that_is_no_address_is_reported(tmp_path: Path, server: str) -> None:
    with pytest.raises(PlatformError, match=f"the kubeconfig's server '{server}' is no address"):
        await open_session(kubeconfig=str(kubeconfig(tmp_path / "c", server)))
