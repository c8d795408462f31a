"""The pages of a cluster on this machine: a proxy with the caller's credentials, and its door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from tests.support.loopback_api import TOKEN, LoopbackApi
from tests.support.running_run import UUID, operation
from yarl import URL

from opstrand.api.pages.loopback import Door
from opstrand.cli.errors import CliError
from opstrand.cli.ui import create_cluster_app, listen, require_api
from opstrand.kube.session import Session
from opstrand.runs.memory import MemoryRuns

RUN = f"/apis/runs.opstrand.dev/v1alpha1/namespaces/quick-start/runs/{UUID}"
Client = TestClient[Any, Any]


@pytest.fixture
def behind() -> Iterator[LoopbackApi]:
    """Yield the API, in the place of the API server that passes requests on to it."""
    serving = LoopbackApi(MemoryRuns())
    serving.do(serving.runs.put(operation()))
    serving.start()
    yield serving
    serving.close()


@pytest.fixture
async def session(behind: LoopbackApi) -> AsyncIterator[Session]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield Session(f"http://127.0.0.1:{behind.port}", "quick-start", http)


@pytest.fixture
def used() -> list[str]:
    return []


@pytest.fixture
def door(used: list[str]) -> Door:
    return Door(used.append)


@pytest.fixture
async def client(door: Door, session: Session) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_cluster_app(door, session))) as opened:
        door.port = opened.port or 0
        yield opened


def key(door: Door) -> dict[str, str]:
    return {"Authorization": f"Bearer {door.key}"}


async def test_a_code_gives_the_key_once(client: Client, door: Door, used: list[str]) -> None:
    code = door.address("default/a/runs").partition("#code=")[2]
    answer = await client.post("/ui/-/session", json={"code": code})
    assert (await answer.json()) == {"token": door.key}
    assert used == [door.code]
    assert (await client.post("/ui/-/session", json={"code": code})).status == 401


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": 1}, [], {"code": "x" * 5000}])
async def test_no_other_body_gives_it(client: Client, body: Any) -> None:
    assert (await client.post("/ui/-/session", json=body)).status in (400, 401)


async def test_requests_have_the_credentials_of_the_session(client: Client, door: Door) -> None:
    async with client.get(RUN, headers=key(door)) as answer:
        assert answer.status == 200
        tag = answer.headers["ETag"]
        assert (await answer.json())["status"]["uuid"] == UUID
    async with client.get(RUN, headers={**key(door), "If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with client.post(f"{RUN}/actions/stop", headers=key(door), json={}) as answer:
        assert answer.status == 200
    async with client.get(f"{RUN}/nothing", headers=key(door)) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer guess"}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 401),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_no_other_page_and_no_other_program_may_ask(
    client: Client, door: Door, headers: dict[str, str], status: int
) -> None:
    given = headers if status == 401 else {**key(door), **headers}
    assert (await client.get(RUN, headers=given)).status == status
    if status == 403:
        assert (await client.get("/ui/", headers=headers)).status == 403


@pytest.mark.parametrize(
    "path", ["/api/v1/namespaces", "/apis/apps/v1/deployments", "/apis/runs.opstrand.dev.x/y"]
)
async def test_nothing_else_of_the_cluster_is_reached(
    client: Client, door: Door, path: str
) -> None:
    assert (await client.get(path, headers=key(door))).status == 404


@pytest.mark.parametrize("below", ["", "/k8s/clusters/one"])
@pytest.mark.parametrize(
    ("path", "reaches"),
    [
        ("/apis/runs.opstrand.dev/v1alpha1/a%20b/%C3%BC?path=../x", True),
        ("/apis/runs.opstrand.dev/../../api/v1/secrets", False),
        ("/apis/runs.opstrand.dev/%2e%2e/apps/v1/deployments", False),
        ("/apis/runs.opstrand.dev/v1alpha1/.%2E/%2e./%2E%2e/api/v1/secrets", False),
        ("/apis/runs.opstrand.dev/..%2f..%2Fapi/v1/secrets", False),
        ("/apis/runs.opstrand.dev/../../../../../api", False),
        ("/apis/runs.opstrand.dev/..", False),
    ],
)
async def test_dot_segments_lead_nowhere_else(
    door: Door, path: str, reaches: bool, below: str
) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response()

    server = web.Application()
    server.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(server) as api, aiohttp.ClientSession() as http:
        session = Session(f"http://127.0.0.1:{api.port}{below}", "a", http)
        async with TestServer(create_cluster_app(door, session)) as own:
            door.port = own.port or 0
            address = URL(f"http://127.0.0.1:{own.port}{path}", encoded=True)
            async with http.get(address, headers=key(door)) as found:
                assert found.status == (200 if reaches else 404)
    assert asked == ([below + path] if reaches else [])


async def test_a_server_that_is_away_is_said(
    client: Client, door: Door, behind: LoopbackApi
) -> None:
    behind.stop()
    async with client.get(RUN, headers=key(door)) as answer:
        assert answer.status == 503
        assert "does not answer" in (await answer.json())["message"]
    behind.start()


async def test_without_the_api_behind_the_server_it_is_said_what_to_do(door: Door) -> None:
    server = TestServer(web.Application())
    await server.start_server()
    async with aiohttp.ClientSession() as http:
        with pytest.raises(CliError, match="not behind") as raised:
            await require_api(Session(str(server.make_url("")).rstrip("/"), "a", http))
        assert "manifests/aggregated" in raised.value.hint
    await server.close()


async def test_a_log_that_is_closed_leaves_no_connection_behind(
    behind: LoopbackApi, door: Door
) -> None:
    behind.do(behind.runs.write_log(UUID, "the first line"))
    one = aiohttp.TCPConnector(limit=1)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers, connector=one) as http,
        listen(
            create_cluster_app(door, Session(f"http://127.0.0.1:{behind.port}", "a", http)),
            door,
            0,
            ends_with_reader=True,
        ),
        aiohttp.ClientSession(headers=key(door), timeout=aiohttp.ClientTimeout(30)) as browser,
    ):
        for _ in range(2):
            log = f"http://127.0.0.1:{door.port}{RUN}/log?follow=true"
            async with browser.get(log) as answer:
                assert await answer.content.readline() == b"the first line\n"


@asynccontextmanager
async def in_front_of(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], door: Door
) -> AsyncIterator[Client]:
    """Ask `opstrand ui` in front of an API server that answers so."""
    server = web.Application()
    server.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(server) as api, aiohttp.ClientSession() as http:
        session = Session(f"http://127.0.0.1:{api.port}", "a", http)
        async with Client(TestServer(create_cluster_app(door, session))) as client:
            door.port = client.port or 0
            yield client


@pytest.mark.parametrize("announced", [100_000, None])
async def test_what_breaks_half_way_does_not_look_whole(door: Door, announced: int | None) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        found = web.StreamResponse()
        found.content_length = announced
        await found.prepare(request)
        await found.write(b"x" * 5000)
        assert request.transport is not None
        request.transport.abort()
        return found

    async with in_front_of(answer, door) as client:
        with pytest.raises(aiohttp.ClientError):
            async with client.get(f"{RUN}/log", headers=key(door)) as found:
                await found.read()


@pytest.mark.parametrize("packs", [False, True])
async def test_the_size_of_a_file_is_passed_on(door: Door, packs: bool) -> None:
    async def answer(request: web.Request) -> web.Response:
        found = web.Response(body=b"x" * 5000, content_type="text/plain")
        if packs:
            found.enable_compression(web.ContentCoding.gzip)
        else:
            found.enable_compression()  # as the request accepts
        return found

    async with (
        in_front_of(answer, door) as client,
        client.get(f"{RUN}/artifacts/a.txt", headers=key(door)) as found,
    ):
        assert found.headers.get("Content-Length") == (None if packs else "5000")
        assert await found.read() == b"x" * 5000
