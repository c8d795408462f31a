"""What a user may request for a run: stop, skip, approve, invalidate, resume, delete.

The operator carries it out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.cloning import Clone, copy, restart
from opstrand.api.published.files import delete_files
from opstrand.api.published.request import (
    CALLER,
    RUN,
    RUNS,
    NotAcceptable,
    find_run,
    parse_body,
    view_whole,
)
from opstrand.core.lifecycle.snapshot import describe_leaving
from opstrand.core.names import find_controller
from opstrand.core.names import run_uuid as uuid_of
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.protocols import Control, RunNotFound
from opstrand.types import Body


def _asks(control: Control) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A route that requests this of a run; after the run's end only `invalidate` has an effect, and
    `resume`, which has a route of its own.
    """

    async def ask(request: web.Request) -> web.Response:
        body = await find_run(request, Verb.CONTROL)
        if not is_final(body) or "invalidate" in control.switches:
            await (
                request.app[RUNS]
                .on_behalf_of(request[CALLER])
                .control(body["metadata"]["namespace"], run_uuid(body), control)
            )
        return web.json_response({})

    return ask


async def resume(request: web.Request) -> web.Response:
    """Let a run that is over run again. It stays the run that it is: with another file, name or
    tags it would be a new one.
    """
    body = await find_run(request, Verb.CONTROL)
    asked = await parse_body(request, Clone)
    given = [
        key for key in ("content", "name", "description", "tags") if getattr(asked, key) is not None
    ]
    if given:
        raise NotAcceptable(
            f"{given[0]}: a resumed run keeps its file and its facts; restart creates a new run "
            "with others"
        )
    resumed = await order_to_resume(request, body)
    return web.json_response(await view_whole(request, resumed), status=201)


async def order_to_resume(request: web.Request, body: Body) -> Body:
    """Store that the run runs again. Raises `NotAcceptable` and `Refused`."""
    project, runs = body["metadata"]["namespace"], request.app[RUNS].on_behalf_of(request[CALLER])
    if leaving := await _find_leaving(request, body):
        raise NotAcceptable(f"{leaving}: resume the pipeline, or restart this run")
    return await runs.control(project, run_uuid(body), Control(resumes=True))


async def _find_leaving(request: web.Request, body: Body) -> str:
    """Why the pipeline of a run wants it no more; empty if it does, or if there is none."""
    controller = find_controller(body)
    if controller is None:
        return ""
    uid, project = str(controller["uid"]), body["metadata"]["namespace"]
    try:
        pipeline = await request.app[RUNS].get(project, uuid_of(uid))
    except RunNotFound:
        pipeline = None
    return describe_leaving(pipeline, str(controller["name"]), uid)


async def delete(request: web.Request) -> web.Response:
    await remove_run(request, await find_run(request, Verb.DELETE))
    return web.Response(status=204)


async def remove_run(request: web.Request, body: Body) -> None:
    """Delete a run for good: its Operation, its record and its files."""
    project, uuid = body["metadata"]["namespace"], run_uuid(body)
    await request.app[RUNS].on_behalf_of(request[CALLER]).delete(project, uuid)
    await delete_files(request, project, uuid)


ROUTES = [
    web.post(RUN + "/stop", _asks(Control({"stop": True}))),
    web.post(RUN + "/skip", _asks(Control({"skip": True}))),
    web.post(RUN + "/invalidate", _asks(Control({"invalidate": True}))),
    web.post(RUN + "/approve", _asks(Control(is_approved=True))),
    web.post(RUN + "/resume", resume),
    web.post(RUN + "/restart", restart),
    web.post(RUN + "/copy", copy),
    web.delete(RUN, delete),
]
