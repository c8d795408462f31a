"""Projects (namespaces): read them, list their runs, and create runs in them."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from opstrand.api.auth.access import authorize
from opstrand.api.auth.callers import Forbidden, Verb
from opstrand.api.published.listing import Searched
from opstrand.api.published.request import (
    AUTH,
    CALLER,
    OWNER,
    PROJECT,
    RUNS,
    WATCHERS,
    NotAcceptable,
    caller_key,
    find_project,
    make_page,
    page,
    parse_body,
    parse_content,
    parse_page,
    parse_project,
    view_whole,
)
from opstrand.api.published.warnings import warn
from opstrand.runs.bodies import run_uuid
from opstrand.runs.protocols import ProjectNotFound, RunNotFound, Search
from opstrand.runs.status_edits import Edit, MapEdit, check_budgets, make_storable


class NewProject(BaseModel):
    """The body of a POST that makes a project."""

    model_config = ConfigDict(extra="ignore")

    name: str


class NewRun(BaseModel):
    """The body of POST runs: `content` is a component or an operation, as JSON or YAML text."""

    model_config = ConfigDict(extra="ignore")

    content: str | None = None
    name: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    meta_info: dict[str, Any] | None = None
    pending: str | None = None
    is_managed: bool | None = None
    managed_by: str | None = None


async def get_project(request: web.Request) -> web.Response:
    project = parse_project(request)
    # A run knows its own project's name.
    if not request[CALLER].is_run_of(project):
        await find_project(request, Verb.READ)
    await request.app[RUNS].list(project)
    return web.json_response({"name": project, "owner": request.app[OWNER]})


async def create_project(request: web.Request) -> web.Response:
    """Answer an existing namespace as if it were created: only cluster administrators create
    namespaces.
    """
    name = (await parse_body(request, NewProject)).name
    await authorize(request.app[AUTH], request[CALLER], Verb.CREATE, name)
    try:
        await request.app[RUNS].list(name)
    except ProjectNotFound:
        raise NotAcceptable(
            f"name: a project is a namespace, and there is none called {name[:63]!r}; ask for it: "
            f"kubectl create namespace {name[:63]}"
        ) from None
    return web.json_response({"name": name, "owner": request.app[OWNER]})


async def list_projects(request: web.Request) -> web.Response:
    found = []
    for project in await request.app[RUNS].projects():
        try:
            await authorize(request.app[AUTH], request[CALLER], Verb.LIST, project)
        except (Forbidden, RunNotFound):
            continue
        found.append({"name": project, "owner": request.app[OWNER]})
    return web.json_response(page(found, request))


async def list_runs(request: web.Request) -> web.Response:
    project, owner = await find_project(request, Verb.LIST), request.app[OWNER]
    limit, offset = parse_page(request)
    found = await request.app[RUNS].search(
        project,
        Search(
            request.query.get("query"),
            request.query.get("sort"),
            offset,
            limit,
            fields=lambda run: Searched(run, owner),
        ),
    )
    views = [Searched(one.run, owner).view() for one in found.runs]
    return web.json_response(make_page(views, found.count, limit, offset))


async def create_run(request: web.Request) -> web.Response:
    """Create a run. A file that cannot run is answered with 400 and every reason, and nothing is
    created.
    """
    project = await find_project(request, Verb.CREATE)
    new = await parse_body(request, NewRun)
    _check_offered(new)
    given = {"name": new.name, "description": new.description, "tags": new.tags}
    submitted = await parse_content(request, project, new.content or "", **given)
    edit = Edit(maps={"meta": MapEdit(make_storable(new.meta_info))}) if new.meta_info else Edit()
    check_budgets(edit, {})
    body = await request.app[RUNS].on_behalf_of(request[CALLER]).create(project, submitted.body)
    if not edit.is_empty():
        await request.app[RUNS].edit(project, run_uuid(body), edit)
    request.app[WATCHERS].answered(run_uuid(body), caller_key(request))
    return warn(web.json_response(await view_whole(request, body), status=201), submitted.notes)


def _check_offered(new: NewRun) -> None:
    if new.is_managed is False or new.content is None:
        raise NotAcceptable(
            "content: only runs of a polyaxonfile are kept; tracking a run from outside the "
            "cluster is not offered by this version"
        )
    if new.pending == "upload":
        raise NotAcceptable(
            "pending: uploading files with a run is not offered by this version; use init.git or "
            "init.file"
        )
    if new.managed_by == "cli":
        raise NotAcceptable(
            "managed_by: runs are executed in the cluster; for no cluster at all use `opstrand run "
            "--local`"
        )


ROUTES = [
    web.get("/api/v1/{owner}/projects/list", list_projects),
    web.post("/api/v1/{owner}/projects/create", create_project),
    web.get(PROJECT, get_project),
    web.get(PROJECT + "/runs", list_runs),
    web.post(PROJECT + "/runs", create_run),
]
