"""TLS under a connection to the API: limits on the time of a handshake, on the number of
handshakes, and on the memory of a connection.

asyncio gives every TLS connection a read buffer of 256 KiB (a thousand followed logs would exceed
the Pod's memory), and does not limit handshakes. Must not know HTTP.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from asyncio.sslproto import SSLProtocol
from collections import OrderedDict

#: Bytes: the maximum length of a TLS record.
_RECORD = 16 * 1024


class Handshakes:
    """The connections whose handshake is in progress, the oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun: OrderedDict[asyncio.BaseProtocol, asyncio.Transport] = OrderedDict()

    def begin(self, connection: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        """Add a connection; if there are too many, close the oldest: an honest client finishes at
        once.
        """
        if len(self._begun) >= self._most:
            _, oldest = self._begun.popitem(last=False)
            oldest.abort()
        self._begun[connection] = transport

    def end(self, connection: asyncio.BaseProtocol) -> None:
        self._begun.pop(connection, None)


class TlsConnection(SSLProtocol):
    """asyncio's layer between a socket and `above`, with less memory and shorter timeouts."""

    max_size = _RECORD

    def __init__(
        self,
        above: asyncio.Protocol,
        context: ssl.SSLContext,
        handshakes: Handshakes,
        *,
        patience: float,
        goodbye: float,
    ) -> None:
        super().__init__(
            asyncio.get_running_loop(),
            above,
            context,
            None,  # type: ignore[arg-type]  # nothing awaits the handshake: `above` is notified
            server_side=True,
            ssl_handshake_timeout=math.ceil(patience),
            ssl_shutdown_timeout=math.ceil(goodbye),
        )
        self._above, self._handshakes = above, handshakes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._handshakes.begin(self._above, transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._handshakes.end(self._above)
        super().connection_lost(exc)
