"""The pages on the loopback, for the one person who started the program that serves them.

Owns how a browser proves that this person opened it: by a code that works once, for which it gets a
key that only this program knows. No credentials of a cluster reach the browser. The headers Host
and Origin distinguish our page from another one in the same browser. Must not know what is behind
the key.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from opstrand.api.app import Handler
from opstrand.api.auth.callers import Forbidden, Unauthenticated, parse_token
from opstrand.api.published.request import NotAcceptable, parse_json

#: Bytes of a body with a code.
_MOST = 1024
_HOSTS = ("127.0.0.1", "localhost")


class Door:
    """Lets in who has the key. `on_used` is called when a code was used, with the next one."""

    def __init__(self, on_used: Callable[[str], None] = lambda code: None) -> None:
        self.key = secrets.token_urlsafe(32)
        self.code = secrets.token_urlsafe(16)
        self.port = 0
        self._on_used = on_used

    def address(self, path: str = "") -> str:
        """The address to open once. A browser sends no server what is behind the #."""
        return f"http://127.0.0.1:{self.port}/ui/{path}#code={self.code}"

    def require_key(self, request: web.Request) -> None:
        """Raises `Unauthenticated` unless the request has the key."""
        token = parse_token(request.headers.getall("Authorization", []))
        if not hmac.compare_digest(token.encode(), self.key.encode()):
            raise Unauthenticated(
                "This page was opened by another `opstrand ui`: open the address that this one "
                "printed."
            )

    def guard(self) -> Middleware:
        """The middleware that refuses the requests of other pages."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            hosts = {f"{name}:{self.port}" for name in _HOSTS}
            # A name that leads here by another server's DNS would make a foreign page ours.
            if request.headers.get("Host") not in hosts:
                raise Forbidden(f"These pages are at http://127.0.0.1:{self.port}/ui/ alone.")
            origin = request.headers.get("Origin")
            if origin is not None and origin not in {f"http://{host}" for host in hosts}:
                raise Forbidden("Another site's page may not ask this.")
            return await handler(request)

        return check

    async def exchange(self, request: web.Request) -> web.Response:
        """The key, for the code. Each code works once."""
        if (request.content_length or 0) > _MOST:
            raise NotAcceptable("body: expected a code")
        given = parse_json(await request.read())
        code = str(given.get("code", "")) if isinstance(given, dict) else ""
        if not hmac.compare_digest(code.encode(errors="replace"), self.code.encode()):
            raise Unauthenticated("The code was used: open the address that was printed last.")
        self.code = secrets.token_urlsafe(16)
        self._on_used(self.code)
        return web.json_response({"token": self.key})

    @property
    def routes(self) -> list[web.RouteDef]:
        return [web.post("/ui/-/session", self.exchange)]
