"""What the operator makes of an API that it cannot trust, that breaks off, or that is slow."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from opstrand.api.certificates import issue
from opstrand.controller import store_client as module
from opstrand.controller.store_client import StoreClient
from opstrand.controller.store_reader import QuestionRefused
from opstrand.core.packed import from_parcel
from opstrand.core.resolving.stored import StoredRun, StoredRuns
from opstrand.errors import PlatformError
from opstrand.settings import Settings

RUN, SEARCH = StoredRun("0" * 32), StoredRuns("", "", 10)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(handler: Handler) -> TestServer:
    app = web.Application()
    app.router.add_post("/operator/v1/namespaces/{namespace}/runs", handler)
    return TestServer(app)


@pytest.fixture
def token(tmp_path: Path) -> str:
    file = tmp_path / "token"
    file.write_text("secret")
    return str(file)


async def answer_two(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b'{"a":1}\n{"a":2}\n{}')


async def test_the_api_is_trusted_by_its_authority_alone(tmp_path: Path, token: str) -> None:
    issued, other = issue(["127.0.0.1"]), issue(["127.0.0.1"])
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    for path, text in zip(files, (issued.certificate, issued.key), strict=True):
        path.write_text(text)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*files)
    server = serve(answer_two)
    await server.start_server(ssl=tls)
    url = f"https://127.0.0.1:{server.port}/"
    trusting = Settings(api_url=url, api_token=token, api_ca=issued.authority)
    async with StoreClient(trusting) as client:
        assert [from_parcel(one) for one in await client.ask("n", RUN)] == [{"a": 1}, {"a": 2}]
    for authority in (other.authority, ""):
        settings = Settings(api_url=url, api_token=token, api_ca=authority)
        async with StoreClient(settings) as client:
            with pytest.raises(PlatformError, match="does not answer"):
                await client.ask("n", RUN)
    await server.close()


@pytest.mark.parametrize("body", [b"", b'{"a":1}\n', b"<html>"])
async def test_an_answer_that_is_not_whole_is_none(token: str, body: bytes) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with serve(answer) as server:
        settings = Settings(api_url=str(server.make_url("/")), api_token=token)
        async with StoreClient(settings) as client:
            for question in (RUN, SEARCH):
                with pytest.raises(PlatformError, match="broke off its answer"):
                    await client.ask("n", question)


async def test_a_slow_search_is_refused_and_a_slow_answer_about_one_run_is_an_api_that_is_away(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PATIENCE", "_PATIENCE_OF_SEARCH"):
        monkeypatch.setattr(module, name, aiohttp.ClientTimeout(total=0.2))
    is_over = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await is_over.wait()
        return web.Response()

    async with serve(answer) as server:
        settings = Settings(api_url=str(server.make_url("/")), api_token=token)
        async with StoreClient(settings) as client:
            with pytest.raises(QuestionRefused, match="takes too long"):
                await client.ask("n", SEARCH)
            with pytest.raises(PlatformError, match="does not answer"):
                await client.ask("n", RUN)
        is_over.set()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "the API does not accept the operator's token"),
        (403, "the API does not accept the operator's token"),
        (429, "the API answers with the status 429"),
        (302, "the API answers with the status 302"),
        (503, "the API cannot read its store"),
    ],
)
async def test_a_refusal_has_the_same_message_each_time(
    token: str, status: int, message: str
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": "this time"}, status=status)

    async with serve(answer) as server:
        settings = Settings(api_url=str(server.make_url("/")), api_token=token)
        async with StoreClient(settings) as client:
            with pytest.raises(PlatformError) as caught:
                await client.ask("n", RUN)
    assert caught.value.message == message
