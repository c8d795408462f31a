"""The statuses of a run: read them (the answer is held for a client that polls), and accept those
that a managed run reports.
"""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.limits import Busy
from opstrand.api.published.request import (
    CALLER,
    HELD,
    RUN,
    RUNS,
    WATCHERS,
    caller_key,
    find_reporting_run,
    find_run,
    wait_with,
)
from opstrand.api.published.views import statuses_view
from opstrand.core.phase import FINAL, Phase
from opstrand.runs.bodies import phase, run_uuid
from opstrand.types import Body

#: The published client proceeds to the log in these phases.
_STARTED = FINAL | {Phase.STARTING, Phase.RUNNING, Phase.PROCESSING}
#: Seconds; the client's own timeout is 60.
_HOLD = 20.0


async def list_statuses(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    uuid, watchers, caller = run_uuid(body), request.app[WATCHERS], caller_key(request)
    if not _is_started(body) and watchers.is_watching(uuid, caller):
        # If all places are in use, answer at once: the client sleeps before it polls again.
        with suppress(Busy), request.app[HELD].hold(uuid, request[CALLER].name):
            body = await wait_with(
                request,
                request.app[RUNS].wait(body["metadata"]["namespace"], uuid, _is_started, _HOLD),
            )
    watchers.answered(uuid, caller)
    return web.json_response(statuses_view(body))


def _is_started(body: Body) -> bool:
    return phase(body) in _STARTED


async def log_status(request: web.Request) -> web.Response:
    """Accept a status without storing it: the operator observes the container and owns the run's
    status.
    """
    await find_reporting_run(request)
    return web.json_response({}, status=201)


ROUTES = [
    web.get(RUN + "/statuses", list_statuses),
    web.post(RUN + "/statuses", log_status),
]
