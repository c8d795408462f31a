"""The statuses of a run: read them (held back a little for who waits), and what a managed run may say about its own."""

from __future__ import annotations

from aiohttp import web

from opstrand.tracking.auth import Verb
from opstrand.tracking.routes.request import RUN, find_reporting_run, find_run
from opstrand.tracking.views import statuses_view


async def list_statuses(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    return web.json_response(statuses_view(body))


async def log_status(request: web.Request) -> web.Response:
    """Accepted and not kept: the operator sees what became of the container, and owns the status of a managed run."""
    await find_reporting_run(request)
    return web.json_response({}, status=201)


ROUTES = [
    web.get(RUN + "/statuses", list_statuses),
    web.post(RUN + "/statuses", log_status),
]
