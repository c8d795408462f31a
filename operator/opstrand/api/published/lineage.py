"""Lineage: the artifacts that a run read or made, and its upstream and downstream runs.

Owns that the series in a run's folder are artifacts, although no one reports them: the published
sidecar does, and what it says is in the files. What was reported under the same name wins.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field, model_validator

from opstrand.api.auth.callers import Verb
from opstrand.api.published.files import NoFiles, open_run_files
from opstrand.api.published.listing import Searched
from opstrand.api.published.reports import read_report, store_report
from opstrand.api.published.request import OWNER, RUN, RUNS, find_run, page
from opstrand.api.published.views import artifact_view, clone_view, edge_view, stored_artifact
from opstrand.artifacts.summaries import list_series
from opstrand.core.recorded import read_status
from opstrand.runs.bodies import run_name, run_uuid
from opstrand.runs.protocols import RunNotFound, Search
from opstrand.runs.status_edits import Edit
from opstrand.types import Body, UpstreamEdge

#: The most runs that are listed as linked to one run.
_MOST = 5000


class Artifact(BaseModel):
    """One entry of the lineage table, unique by name within its run."""

    name: str = Field(min_length=1, max_length=256)
    kind: str | None = None
    path: str | None = None
    state: str | None = None
    summary: dict[str, Any] | None = None
    meta_info: dict[str, Any] | None = None
    connection: str | None = None
    is_input: bool | None = None


class Artifacts(BaseModel):
    """The body of POST lineage/artifacts; a bare list is accepted too."""

    artifacts: list[Artifact] = Field(max_length=1000)

    @model_validator(mode="before")
    @classmethod
    def _wrap(cls, report: Any) -> Any:
        return {"artifacts": report} if isinstance(report, list) else report


async def log_artifacts(request: web.Request) -> web.Response:
    body, report = await read_report(request, Artifacts)
    # The last artifact of a name wins.
    artifacts = {item.name: stored_artifact(item.model_dump()) for item in report.artifacts}
    if artifacts:
        await store_report(request, body, Edit(artifacts=artifacts))
    return web.json_response({}, status=201)


async def list_artifacts(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    wanted = request.query.get("query", "").replace(" ", "")
    found = [item for item in await _artifacts(request, body) if _matches(item, wanted)]
    return web.json_response(page(found, request))


async def _artifacts(request: web.Request, body: Body) -> list[dict[str, Any]]:
    stored = _reported(body)
    known = {item["name"] for item in stored}
    return stored + [one for one in await _series(request, body) if one["name"] not in known]


def _reported(body: Body) -> list[dict[str, Any]]:
    uuid = run_uuid(body)
    return [artifact_view(item, uuid) for item in read_status(body).get("artifacts") or ()]


async def _series(
    request: web.Request, body: Body, only: str | None = None
) -> list[dict[str, Any]]:
    """The series among the run's files, or those of one name."""
    try:
        files = await open_run_files(request, body)
    except (NoFiles, RunNotFound):
        return []
    found = await asyncio.to_thread(list_series, files, only)
    return [artifact_view(one, run_uuid(body)) for one in found]


def _matches(item: dict[str, Any], wanted: str) -> bool:
    """Whether the item matches a query such as `name: env, kind: metric|image`.

    An unknown field matches nothing.
    """
    conditions = (part.partition(":") for part in wanted.split(",") if part)
    return all(str(item.get(key)) in values.split("|") for key, _, values in conditions)


async def get_artifact(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    name = request.match_info["name"]
    # A reported one costs no reading of files.
    found = [item for item in _reported(body) if item["name"] == name]
    found = found or await _series(request, body, name)
    if not found:
        raise RunNotFound(name)
    return web.json_response(found[0])


async def list_artifact_names(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    found = await _artifacts(request, body)
    names = [{key: item.get(key) for key in ("name", "kind", "is_input")} for item in found]
    return web.json_response(page(names, request))


async def list_upstream(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    uuids = [str(edge["uuid"]) for edge in _upstream(body)]
    found = await request.app[RUNS].find(body["metadata"]["namespace"], uuids) if uuids else ()
    known = {run_uuid(run): run for run in found}
    edges = [edge_view(edge, "upstream", known.get(edge["uuid"])) for edge in _upstream(body)]
    return web.json_response(page(edges, request))


async def list_downstream(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    uuid, edges = run_uuid(body), []
    for run in await _search(request, body, f"upstream: {uuid}"):
        far = {"uuid": run_uuid(run), "name": run_name(run)}
        edges += [
            edge_view({**edge, **far}, "downstream", run)
            for edge in _upstream(run)
            if edge.get("uuid") == uuid
        ]
    return web.json_response(page(edges, request))


def _upstream(body: Body) -> list[UpstreamEdge]:
    return list(read_status(body).get("upstream") or ())


async def list_clones(request: web.Request) -> web.Response:
    """The restarts and the copies of a run."""
    body = await find_run(request, Verb.READ)
    runs = await _search(request, body, f"original: {run_uuid(body)}")
    return web.json_response(page([clone_view(run) for run in runs], request))


async def _search(request: web.Request, body: Body, query: str) -> list[Body]:
    """The whole bodies of the runs beside this one that a query selects."""
    search = Search(query, None, 0, _MOST, fields=lambda run: Searched(run, request.app[OWNER]))
    found = await request.app[RUNS].search(body["metadata"]["namespace"], search)
    return [one.run.whole for one in found.runs]


ROUTES = [
    web.post(RUN + "/lineage/artifacts", log_artifacts),
    web.get(RUN + "/lineage/artifacts", list_artifacts),
    web.get(RUN + "/lineage/artifacts/names", list_artifact_names),
    web.get(RUN + "/lineage/artifacts/{name}", get_artifact),
    web.get(RUN + "/lineage/upstream", list_upstream),
    web.get(RUN + "/lineage/downstream", list_downstream),
    web.get(RUN + "/lineage/clones", list_clones),
]
