"""However many connections are kept open, a new client is served; one that waits for its answer is not closed for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from opstrand.tracking.connections import ConnectionLimits, Runner

QUICK, SLOW = (f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in ("quick", "slow"))
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(limits: ConnectionLimits, release: asyncio.Event) -> AsyncIterator[int]:
    async def quick(request: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def slow(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="slow")

    app = web.Application()
    app.add_routes([web.get("/quick", quick), web.get("/slow", slow)])
    runner = Runner(app, limits=limits, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def send(port: int, data: bytes) -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def answer(streams: Streams) -> bytes:
    """The first line of an answer, and nothing where the connection is closed."""
    try:
        async with asyncio.timeout(5):
            head = await streams[0].readuntil(b"\r\n\r\n")
            await streams[0].readexactly(5 if b"Content-Length: 5" in head else 4)
            return head.partition(b"\r\n")[0]
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


LIMITS = {"of all": ConnectionLimits(most=5), "of one address": ConnectionLimits(most_per_address=5)}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
async def test_idle_connections_shut_out_no_one(limits: ConnectionLimits) -> None:
    release = asyncio.Event()
    async with serving(limits, release) as port:
        waiting = await send(port, SLOW)
        kept = []
        for _ in range(20):
            kept.append(await send(port, QUICK))
            assert await answer(kept[-1]) == b"HTTP/1.1 200 OK"
        kept[-1][1].write(QUICK)  # what was used last is still open
        assert await answer(kept[-1]) == b"HTTP/1.1 200 OK"
        assert await kept[0][0].read() == b""
        release.set()
        assert await answer(waiting) == b"HTTP/1.1 200 OK"
        for _, writer in kept:
            writer.close()


async def test_where_all_are_at_work_a_further_one_is_refused() -> None:
    release = asyncio.Event()
    async with serving(ConnectionLimits(most=3), release) as port:
        at_work = [await send(port, SLOW) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert await answer(await send(port, QUICK)) == b""
        release.set()
        assert [await answer(streams) for streams in at_work] == [b"HTTP/1.1 200 OK"] * 3
        assert await answer(await send(port, QUICK)) == b"HTTP/1.1 200 OK"  # they are idle now
