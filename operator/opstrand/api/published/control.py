"""What a user may request for a run: stop, skip, approve, invalidate, resume, restart, delete.

The operator carries it out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from opstrand.api.auth.callers import Verb
from opstrand.api.published.files import delete_files
from opstrand.api.published.request import (
    CALLER,
    RUN,
    RUNS,
    NotAcceptable,
    find_project,
    find_run,
    parse_body,
    parse_content,
    view_whole,
)
from opstrand.api.published.warnings import warn
from opstrand.api.submission import Submitted, new_operation
from opstrand.core.lifecycle.snapshot import describe_leaving
from opstrand.core.names import RESTART_OF, find_controller
from opstrand.core.names import run_uuid as uuid_of
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.protocols import Control, RunNotFound
from opstrand.types import Body


class Restart(BaseModel):
    """The body of POST restart; without `content` the run's own file is used."""

    model_config = ConfigDict(extra="ignore")

    content: str | None = None
    name: str | None = None
    description: str | None = None
    tags: list[str] | None = None


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
    asked = await parse_body(request, Restart)
    given = [key for key in Restart.model_fields if getattr(asked, key) is not None]
    if given:
        raise NotAcceptable(
            f"{given[0]}: a resumed run keeps its file and its facts; restart creates a new run "
            "with others"
        )
    project, runs = body["metadata"]["namespace"], request.app[RUNS].on_behalf_of(request[CALLER])
    if leaving := await _find_leaving(request, body):
        raise NotAcceptable(f"{leaving}: resume the pipeline, or restart this run")
    resumed = await runs.control(project, run_uuid(body), Control(resumes=True))
    return web.json_response(await view_whole(request, resumed), status=201)


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


async def restart(request: web.Request) -> web.Response:
    """Create a new run of the same operation."""
    body = await find_run(request, Verb.READ)
    project = await find_project(request, Verb.CREATE)
    asked = await parse_body(request, Restart)
    submitted = await _again(request, project, body["spec"], asked)
    again = _note_original(submitted.body, run_uuid(body))
    created = await request.app[RUNS].on_behalf_of(request[CALLER]).create(project, again)
    return warn(web.json_response(await view_whole(request, created), status=201), submitted.notes)


async def _again(
    request: web.Request, project: str, spec: dict[str, Any], asked: Restart
) -> Submitted:
    given = {"name": asked.name, "description": asked.description, "tags": asked.tags}
    if asked.content is not None:
        return await parse_content(request, project, asked.content, **given)
    return Submitted(
        new_operation({**spec, **{key: value for key, value in given.items() if value is not None}})
    )


def _note_original(made: dict[str, Any], uuid: str) -> dict[str, Any]:
    annotations = {**(made["metadata"].get("annotations") or {}), RESTART_OF: uuid}
    return {**made, "metadata": {**made["metadata"], "annotations": annotations}}


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
    web.delete(RUN, delete),
]
