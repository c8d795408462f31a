"""Names that users write stay one part of a URL's path, in every request of the session to the API
server.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError
from opstrand.kube.port_forward import forward
from opstrand.kube.resources import OPERATIONS
from opstrand.kube.session import open_session

ODD = (
    "../../x",
    "a/../b",
    "..",
    ".",
    "",
    "a?b=c",
    "a#b",
    "%2e%2e",
    "%2F",
    "a b",
    "a\\b",
    "a\r\nX: y",
    "ü",
    "\ud800",
)
NAMESPACE = "/apis/opstrand.dev/v1/namespaces"
POD_NAMESPACE = "/api/v1/namespaces"

Ask = Callable[[KubeApi, str, str], Awaitable[Any]]


async def drain(lines: AsyncIterator[Any]) -> None:
    async for _ in lines:
        pass


async def carry(api: KubeApi, namespace: str, name: str) -> None:
    reader = asyncio.StreamReader()
    reader.feed_eof()
    await forward(api, namespace, name, 80, reader=reader, writer=None)  # type: ignore[arg-type]


async def read_part(api: KubeApi, namespace: str, name: str) -> None:
    async with api.open_part("GET", OPERATIONS, namespace, name, "artifacts/a b/c"):
        pass


#: Each request that names something, and the parts after the namespace: a name is one part.
REQUESTS: dict[str, tuple[Ask, list[str]]] = {
    "get": (lambda api, place, name: api.get(OPERATIONS, place, name), ["operations", "NAME"]),
    "list": (lambda api, place, _: api.list(OPERATIONS, place), ["operations"]),
    "pages": (lambda api, place, _: drain(api.pages(OPERATIONS, place)), ["operations"]),
    "create": (lambda api, place, _: api.create(OPERATIONS, place, {}), ["operations"]),
    "preview": (lambda api, place, _: api.preview(OPERATIONS, place, {}), ["operations"]),
    "json_patch": (
        lambda api, place, name: api.json_patch(OPERATIONS, place, name, [], subresource="status"),
        ["operations", "NAME", "status"],
    ),
    "delete": (
        lambda api, place, name: api.delete(OPERATIONS, place, name),
        ["operations", "NAME"],
    ),
    "watch": (lambda api, place, _: drain(api.watch(OPERATIONS, place)), ["operations"]),
    "follow_log": (
        lambda api, place, name: drain(api.follow_log(place, name)),
        ["pods", "NAME", "log"],
    ),
    "read_log_lines": (
        lambda api, place, name: drain(api.read_log_lines(place, name)),
        ["pods", "NAME", "log"],
    ),
    "open_part": (read_part, ["operations", "NAME", "artifacts", "a%20b", "c"]),
    "forward": (carry, ["pods", "NAME", "portforward"]),
}


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[tuple[KubeApi, list[str]]]:
    """Yield a client of a server that refuses everything, and the paths of its requests as they
    arrived.
    """
    paths: list[str] = []

    async def refuse(request: web.BaseRequest) -> web.Response:
        paths.append(request.raw_path)
        return web.json_response({"kind": "Status", "message": "no"}, status=403)

    runner = web.ServerRunner(web.Server(refuse))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}
    document = {
        "current-context": "c",
        "contexts": [context],
        "clusters": [cluster],
        "users": [{"name": "c", "user": {"token": "t"}}],
    }
    (tmp_path / "config").write_text(
        yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **document})
    )
    async with await open_session(kubeconfig=str(tmp_path / "config")) as session:
        yield KubeApi(session), paths
    await runner.cleanup()


@pytest.mark.parametrize("request_name", REQUESTS)
async def test_a_name_is_one_part_of_every_path(
    asked: tuple[KubeApi, list[str]], request_name: str
) -> None:
    api, paths = asked
    ask, parts = REQUESTS[request_name]
    names = [odd for odd in ODD if odd or "NAME" not in parts]
    for place, name in [("ns", odd) for odd in names] + [(odd, "name") for odd in ODD if odd]:
        paths.clear()
        with pytest.raises((ApiError, aiohttp.ClientError)):
            await ask(api, place, name)
        [path] = paths
        bare = path.partition("?")[0]
        root = POD_NAMESPACE if parts[0] == "pods" else NAMESPACE
        assert bare.startswith(f"{root}/"), (place, name, path)
        found = bare.removeprefix(f"{root}/").split("/")
        assert len(found) == 1 + len(parts), (place, name, path)
        assert [one for one in found if one in ("", ".", "..")] == [], (place, name, path)
        wanted = [found[1:][at] if part == "NAME" else part for at, part in enumerate(parts)]
        assert found[1:] == wanted, (place, name, path)


def test_every_request_that_names_something_is_swept() -> None:
    """That is every method of the session with a namespace, a name or a Pod among its arguments."""
    named = {
        name
        for name, method in inspect.getmembers(KubeApi, inspect.isfunction)
        if not name.startswith("_")
        and {"namespace", "name", "pod"} & set(inspect.signature(method).parameters)
    }
    assert named <= set(REQUESTS)
