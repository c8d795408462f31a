"""The public paths: is the process alive, can it serve, and which installation is it?"""

from __future__ import annotations

from aiohttp import web

from opstrand import __version__
from opstrand.api.published.request import RUNS

#: The version of the published client, which compares it with its own and warns if they differ.
PUBLISHED_VERSION = "2.18.0"
_PUBLIC = frozenset({"/", "/ui", "/healthz", "/readyz", "/api/v1/installation"})


def is_public(request: web.Request) -> bool:
    # The pages have nothing of a run in them: what they show they read with a token.
    return request.path in _PUBLIC or request.path.startswith(("/api/v1/compatibility/", "/ui/"))


async def live(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    if await request.app[RUNS].ready():
        return web.json_response({"status": "ok"})
    return web.json_response({"detail": "The runs cannot be read yet."}, status=503)


async def installation(request: web.Request) -> web.Response:
    """`dist: ce` keeps the published command line from asking for an organisation."""
    return web.json_response(
        {"key": "opstrand", "version": PUBLISHED_VERSION, "dist": "ce", "opstrand": __version__}
    )


async def compatibility(request: web.Request) -> web.Response:
    """The published command line asks whether it is too old; extra keys make it crash."""
    return web.json_response({"cli": {"min": PUBLISHED_VERSION, "latest": PUBLISHED_VERSION}})


ROUTES = [
    web.get("/healthz", live),
    web.get("/readyz", ready),
    web.get("/api/v1/installation", installation),
    web.get("/api/v1/compatibility/{key}/{version}/{service}", compatibility),
]
