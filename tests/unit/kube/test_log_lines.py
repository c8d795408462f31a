"""A log as it is read from an API server: whole lines, and no more of a line than was requested."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from opstrand.kube.client import KubeApi
from opstrand.kube.session import Session

LOG = [b"first\nsec", b"ond\n\nx" + b"y" * 100_000, b"y" * 100_000 + b"\nlast, without its newline"]


@pytest.fixture
async def api() -> AsyncIterator[KubeApi]:
    """Serve one path of an API server: a log that arrives in pieces."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in LOG:
            await response.write(piece)
        return response

    app = web.Application()
    app.add_routes([web.get("/api/v1/namespaces/ns/pods/p/log", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as http:
        yield KubeApi(Session(f"http://{host}:{port}", "ns", http))
    await runner.cleanup()


async def test_lines_are_whole_whatever_their_length(api: KubeApi) -> None:
    lines = [line async for line in api.read_log_lines("ns", "p")]
    assert lines == [
        b"first\n",
        b"second\n",
        b"\n",
        b"x" + b"y" * 200_000 + b"\n",
        b"last, without its newline",
    ]


async def test_of_a_long_line_the_beginning_is_given_and_how_much_more_there_is(
    api: KubeApi,
) -> None:
    lines = [line async for line in api.read_log_lines("ns", "p", longest=10)]
    cut = [
        b"xyyyyyyyyy ... 199991 more bytes of this line\n",
        b"last, with ... 15 more bytes of this line",
    ]
    assert lines == [b"first\n", b"second\n", b"\n", *cut]
