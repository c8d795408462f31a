"""A relay before a server on the loopback that ends connections after so many bytes of an answer or
of a request, as a network and an API server with a limit of time do.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


class CuttingRelay:
    """`async with CuttingRelay(port) as relay`: clients connect to `relay.port`.

    `answers`, `requests`: bytes of each connection after which it ends, for the next connections in
    turn; those after them are not cut. `connections` counts.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        self.connections = 0
        self.answers: list[int] = []
        self.requests: list[int] = []

    async def __aenter__(self) -> CuttingRelay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answer = self.answers.pop(0) if self.answers else None
        request = self.requests.pop(0) if self.requests else None
        there, to = await asyncio.open_connection("127.0.0.1", self._to)
        tasks = [
            asyncio.create_task(_copy(reader, to, request)),
            asyncio.create_task(_copy(there, writer, answer)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for one in (writer, to):
            one.transport.abort()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None
) -> None:
    left = most
    with suppress(OSError):
        while data := await reader.read(65_536):
            if left is not None:
                data = data[:left]
                left -= len(data)
            writer.write(data)
            await writer.drain()
            if left == 0:
                return
