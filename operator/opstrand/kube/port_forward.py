"""One connection to a port of a Pod through the API server: a WebSocket, in which the first byte of
each message names the channel.

Owns that protocol (`v4.channel.k8s.io`, which every supported API server and kubelet uses). The
protocol cannot close one direction alone: the connection ends when either side ends it. Must not
choose the Pod and must not listen.
"""

from __future__ import annotations

import asyncio

import aiohttp

from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, NotFound, Unreachable
from opstrand.kube.resources import PODS

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
#: Bytes of the port number at the start of each channel, which are skipped.
_HEAD = 2
_PIECE = 64 * 1024


async def forward(
    api: KubeApi,
    namespace: str,
    pod: str,
    port: int,
    *,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> str | None:
    """Carry bytes both ways until one side ends.

    Returns the kubelet's message if no program listens on the port in the Pod. Raises ApiError if
    the connection cannot be made.
    """
    what = f"forward to port {port} of pod {namespace}/{pod}"
    url = api.session.server + PODS.path(namespace, pod, "portforward")
    try:
        async with api.session.http.ws_connect(
            url, params={"ports": str(port)}, protocols=[_PROTOCOL], max_msg_size=0
        ) as socket:
            sending = asyncio.create_task(_send(reader, socket))
            try:
                return await _receive(socket, writer)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
    except aiohttp.WSServerHandshakeError as error:
        kind = NotFound if error.status == 404 else ApiError
        raise kind(f"could not {what}: HTTP {error.status}", status=error.status) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"could not {what}: {error or type(error).__name__}", status=0) from error


async def _send(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    while piece := await reader.read(_PIECE):
        await socket.send_bytes(bytes([_DATA]) + piece)
    await socket.close()


async def _receive(
    socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter
) -> str | None:
    begun = set()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, content = message.data[0], message.data[1:]
        if channel not in begun:
            begun.add(channel)
            content = content[_HEAD:]
        if channel == _ERROR and content:
            return str(content.decode(errors="replace"))
        if channel == _DATA and content:
            writer.write(content)
            await writer.drain()
    return None
