"""TLS under a connection to the API: how long a handshake may take, how many there are at once, and
how much memory one connection takes.

asyncio gives every TLS connection 256 KiB to read into (a thousand followed logs would be more than
the Pod's memory), and counts handshakes as nothing. Must not know HTTP.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from asyncio.sslproto import SSLProtocol
from collections import OrderedDict

#: Bytes: no record of TLS is longer.
_RECORD = 16 * 1024


class Handshakes:
    """The connections whose handshake has not ended, the oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begun: OrderedDict[asyncio.BaseProtocol, asyncio.Transport] = OrderedDict()

    def begin(self, connection: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        """Of too many the oldest is closed: who means it is done at once."""
        if len(self._begun) >= self._most:
            _, oldest = self._begun.popitem(last=False)
            oldest.abort()
        self._begun[connection] = transport

    def end(self, connection: asyncio.BaseProtocol) -> None:
        self._begun.pop(connection, None)


class TlsConnection(SSLProtocol):
    """What asyncio would put between a socket and `above`, with less memory and shorter times."""

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
            None,  # type: ignore[arg-type]  # no one waits for the handshake: `above` is told
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
