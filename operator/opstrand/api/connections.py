"""Connections to the API, and how long one may stay open without progress.

aiohttp closes an idle connection, but keeps one open for ever that has sent half a request, or
whose client does not read its answer. Owns those time limits, the number of connections, and that a
malformed request causes at most an occasional log line. Must not know what a request means.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from opstrand.api.failures import answer_detail
from opstrand.api.handshakes import Handshakes, TlsConnection
from opstrand.api.limits import network_of
from opstrand.logs import Sparse

_sparse = Sparse(logging.getLogger(__name__))
ReadContext = Callable[[], ssl.SSLContext]
#: Connections that are checked for one that is idle.
_LOOKED_AT = 64


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of connections.

    Seconds: `head_seconds` for the head of a request, from its first byte or from the connection;
    `idle_seconds` between two requests; `stuck_seconds` for a client to continue reading;
    `lingering_seconds` for the rest of an unwanted body; `goodbye_seconds` for the TLS shutdown.
    Numbers: of all connections, of those from one address, of those that have sent no request yet,
    and of those still in their handshake.
    """

    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    stuck_seconds: float = 30.0
    lingering_seconds: float = 3.0
    goodbye_seconds: float = 2.0
    most: int = 4000
    most_per_address: int = 2000
    most_unproven: int = 500
    most_handshakes: int = 500


class Connections:
    """All open connections, by address too, and those that have not sent a request yet.

    The one that has sent no request for the longest time comes first.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.handshakes = Handshakes(limits.most_handshakes)
        self._open: OrderedDict[Connection, str] = OrderedDict()
        self._by_address: dict[str, OrderedDict[Connection, None]] = {}
        self._unproven: OrderedDict[Connection, None] = OrderedDict()

    def admit(self, connection: Connection, address: str) -> bool:
        """Whether the connection may stay.

        Room is made by closing one that is idle between two requests, so that a client with many
        open connections does not shut out another. Of those that never sent a whole request the
        oldest is closed: a client sends its first request at once.
        """
        if not (self._has_room(address) or self._make_room(address)):
            _sparse.info("closed: too many connections", peer=address)
            return False
        if len(self._unproven) >= self.limits.most_unproven:
            oldest, _ = self._unproven.popitem(last=False)
            oldest.drop("closed: too many connections without a request")
        self._open[connection] = address
        self._by_address.setdefault(address, OrderedDict())[connection] = None
        self._unproven[connection] = None
        return True

    def _has_room(self, address: str) -> bool:
        of_address = len(self._by_address.get(address, ()))
        return len(self._open) < self.limits.most and of_address < self.limits.most_per_address

    def _make_room(self, address: str) -> bool:
        of_address = self._by_address.get(address)
        is_own = of_address is not None and len(of_address) >= self.limits.most_per_address
        among: OrderedDict[Connection, Any] = (
            of_address if is_own and of_address is not None else self._open
        )
        for _ in range(min(len(among), _LOOKED_AT)):
            oldest = next(iter(among))
            if oldest.is_idle:
                self.forget(oldest)
                oldest.drop("closed: idle, and there are too many connections")
                return self._has_room(address)
            # The connection is busy: the next search starts after it.
            among.move_to_end(oldest)
        return False

    def prove(self, connection: Connection) -> None:
        self._unproven.pop(connection, None)
        address = self._open.get(connection)
        if address is not None:
            self._open.move_to_end(connection)
            self._by_address[address].move_to_end(connection)

    def forget(self, connection: Connection) -> None:
        self._unproven.pop(connection, None)
        address = self._open.pop(connection, None)
        if address is not None:
            self._by_address[address].pop(connection, None)
            if not self._by_address[address]:
                del self._by_address[address]


class Connection(RequestHandler):
    """One connection with two timers: for a complete head, and for a client that does not read."""

    __slots__ = ("_all", "_head_timer", "_stuck_timer")

    def __init__(self, manager: web.Server, everything: Connections, **options: Any) -> None:
        super().__init__(manager, **options)
        self._all = everything
        self._head_timer: asyncio.TimerHandle | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._all.handshakes.end(self)
        peer = transport.get_extra_info("peername")
        if self._all.admit(self, network_of(str(peer[0])) if peer else ""):
            self._expect_head()
        else:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._all.prove(self)
            self._stop_timers(head=True)
        elif self._head_timer is None and self._waiter is not None and not self._waiter.done():
            self._expect_head()

    @property
    def is_idle(self) -> bool:
        """Whether a request was answered, and no byte of the next one has arrived."""
        return self._head_timer is None and self._waiter is not None and not self._waiter.done()

    def _expect_head(self) -> None:
        message = "closed: the head of a request did not come in time"
        self._head_timer = self._loop.call_later(self._all.limits.head_seconds, self.drop, message)

    def pause_writing(self) -> None:
        super().pause_writing()
        message = "closed: the client does not read its answer"
        self._stuck_timer = self._loop.call_later(
            self._all.limits.stuck_seconds, self.drop, message
        )

    def resume_writing(self) -> None:
        # Over TLS, asyncio's `sendfile` takes the pause in our place, and may end before this.
        if self.writing_paused:
            super().resume_writing()
        self._stop_timers(stuck=True)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timers(head=True, stuck=True)
        self._all.forget(self)
        super().connection_lost(exc)

    def _stop_timers(self, *, head: bool = False, stuck: bool = False) -> None:
        if head and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if stuck and self._stuck_timer is not None:
            self._stuck_timer.cancel()
            self._stuck_timer = None

    def drop(self, message: str) -> None:
        """Close without waiting for data that is still to be written."""
        _sparse.info(message, peer=str(self.peername))
        if self.transport is not None:
            self.transport.abort()

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log an error in the rest of a body as one line without a traceback.

        After an answer aiohttp reads the rest of the body, which may still be unreadable, or the
        client may be gone.
        """
        error = options.get("exc_info")
        if isinstance(error, web.RequestPayloadError | ConnectionError):
            _sparse.info(
                "closed: the rest of a body cannot be read",
                peer=str(self.peername),
                why=type(error).__name__,
            )
        else:
            super().log_exception(*args, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a malformed request; aiohttp would log it with a traceback."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        _sparse.info("refused: a malformed request", peer=request.remote, why=type(exc).__name__)
        answer = answer_detail(status, "This is no HTTP request that can be read.")
        answer.force_close()
        return answer


class _Server(web.Server):
    """Creates our connections instead of aiohttp's."""

    def __init__(self, made: web.Server, limits: ConnectionLimits, tls: ReadContext | None) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory)
        self._everything, self._tls = Connections(limits), tls

    def __call__(self) -> Connection | TlsConnection:  # type: ignore[override]
        limits = self._everything.limits
        options = {
            "keepalive_timeout": limits.idle_seconds,
            "lingering_time": limits.lingering_seconds,
        }
        connection = Connection(self, self._everything, loop=self._loop, access_log=None, **options)
        if self._tls is None:
            return connection
        times = {"patience": limits.head_seconds, "goodbye": limits.goodbye_seconds}
        return TlsConnection(connection, self._tls(), self._everything.handshakes, **times)


class Runner(web.AppRunner):
    """Runs an application behind these limits, and behind TLS if given: `tls` is called for the
    context of each new connection.

    The site must be created without TLS.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        limits: ConnectionLimits = ConnectionLimits(),
        shutdown_timeout: float,
        tls: ReadContext | None = None,
    ) -> None:
        super().__init__(
            app, handle_signals=False, access_log=None, shutdown_timeout=shutdown_timeout
        )
        self._limits, self._tls = limits, tls

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._limits, self._tls)
