"""However many connections are kept open, a new client is served, and a connection that waits for
its answer is not closed for it.
"""

import asyncio
import gc
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from opstrand.api.certificates import issue
from opstrand.api.connections import ConnectionLimits, Runner

QUICK, SLOW = (f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in ("quick", "slow"))
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(
    limits: ConnectionLimits, release: asyncio.Event, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    async def quick(request: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def slow(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="slow")

    app = web.Application()
    app.add_routes([web.get("/quick", quick), web.get("/slow", slow)])
    runner = Runner(app, limits=limits, shutdown_timeout=0.1, tls=(lambda: tls) if tls else None)
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
    """Return the first line of an answer; nothing if the connection is closed."""
    try:
        async with asyncio.timeout(60):
            head = await streams[0].readuntil(b"\r\n\r\n")
            await streams[0].readexactly(5 if b"Content-Length: 5" in head else 4)
            return head.partition(b"\r\n")[0]
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


LIMITS = {
    "of all": ConnectionLimits(most=5),
    "of one address": ConnectionLimits(most_per_address=5),
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
async def test_idle_connections_shut_out_no_one(limits: ConnectionLimits) -> None:
    release = asyncio.Event()
    async with serving(limits, release) as port:
        waiting = await send(port, SLOW)
        kept = []
        for _ in range(20):
            kept.append(await send(port, QUICK))
            assert await answer(kept[-1]) == b"HTTP/1.1 200 OK"
        kept[-1][1].write(QUICK)  # the connection that was used last is still open
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


POST = b"POST /quick HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
IN_DROPS = {
    "the first head": (b"", b"GET /quick HTTP/1.1\r\nX-Drops: " + b"." * 400),
    "the second head": (QUICK, b"GET /quick HTTP/1.1\r\nX-Drops: " + b"." * 400),
    "the end of a head that came with the first": (
        QUICK + b"GET /quick HTTP/1.1\r\nX-",
        b"." * 400,
    ),
    "empty lines": (QUICK, b"\r\n" * 200),
    "a body": (POST + b"Content-Length: 5000\r\n\r\n", b"." * 400),
    "a chunk": (CHUNKED + b"1388\r\n", b"." * 400),
    "the extension of a chunk": (CHUNKED + b"1;x=", b"." * 400),
    "the trailer of a body": (CHUNKED + b"0\r\nX-Drops: ", b"." * 400),
}


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("first", "drops"), IN_DROPS.values(), ids=IN_DROPS)
async def test_the_time_of_a_whole_head_and_body_is_bounded_however_often_a_byte_comes(
    first: bytes, drops: bytes, by_tls: bool, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """Without a bound of the whole, the last of the drops is sent after 20 seconds."""
    limits = ConnectionLimits(head_seconds=0.5, lingering_seconds=0.5)
    async with serving(limits, asyncio.Event(), tls if by_tls else None) as port:
        reader, writer = (
            await send_by_tls(port, first, tmp_path / "ca") if by_tls else await send(port, first)
        )
        closed = asyncio.create_task(reader.read())
        sent = 0
        with suppress(ConnectionError):
            while sent < len(drops) and not closed.done():
                writer.write(drops[sent : sent + 1])
                await writer.drain()
                await asyncio.wait({closed}, timeout=0.05)
                sent += 1
        assert sent < len(drops)
        await asyncio.wait({closed}, timeout=60)
        assert closed.done()
        closed.exception()
        writer.close()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    issued, context = issue(["127.0.0.1"]), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for name, text in (("crt", issued.certificate), ("key", issued.key), ("ca", issued.authority)):
        (tmp_path / name).write_text(text)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    return context


async def send_by_tls(port: int, data: bytes, authority: Path) -> Streams:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=ssl.create_default_context(cafile=authority)
    )
    writer.write(data)
    await writer.drain()
    return reader, writer


async def test_handshakes_that_never_end_shut_out_no_one_and_are_ended(
    tls: ssl.SSLContext, tmp_path: Path
) -> None:
    limits = ConnectionLimits(head_seconds=1, most_handshakes=5)
    async with serving(limits, asyncio.Event(), tls) as port:
        half = [await send(port, b"\x16\x03\x01") for _ in range(20)]
        assert await answer(await send_by_tls(port, QUICK, tmp_path / "ca")) == b"HTTP/1.1 200 OK"
        ends = await asyncio.wait_for(
            asyncio.gather(*(reader.read() for reader, _ in half), return_exceptions=True), 60
        )
        assert [end for end in ends if end and not isinstance(end, ConnectionError)] == []


async def test_clear_text_on_a_tls_port_is_closed_without_a_word_of_a_bug(
    tls: ssl.SSLContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(ConnectionLimits(), asyncio.Event(), tls) as port:
        reader, _ = await send(port, QUICK)
        assert b"HTTP/1.1" not in await asyncio.wait_for(reader.read(), 60)
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())
        assert await answer(await send_by_tls(port, QUICK, tmp_path / "ca")) == b"HTTP/1.1 200 OK"
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


async def test_a_connection_by_tls_is_small(tls: ssl.SSLContext) -> None:
    """A thousand followed logs must fit into the Pod's memory beside the rest; asyncio itself takes
    256 KiB for each.
    """
    count = 20
    async with serving(ConnectionLimits(), asyncio.Event(), tls) as port:
        tracemalloc.start()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        half = [await send(port, b"\x16\x03\x01") for _ in range(count)]
        await asyncio.sleep(0.1)
        taken = (tracemalloc.get_traced_memory()[0] - before) / count
        tracemalloc.stop()
        assert 16 * 1024 < taken < 100 * 1024
        for _, writer in half:
            writer.close()
