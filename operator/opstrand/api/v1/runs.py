"""Lists of runs, and one run.

Owns what of a run is shown. Which runs a list means is decided by `listing`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.control import remove_run
from opstrand.api.published.request import OWNER, RUNS
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.listing import Wanted, read_page
from opstrand.api.v1.models import Deleted, ListMetadata, ListQuery, Run, RunList, RunMetadata
from opstrand.api.v1.request import find_project, find_run, parse_query, require
from opstrand.core.packed import STATUS
from opstrand.core.recorded import read_status
from opstrand.runs.bodies import run_uuid
from opstrand.types import Body

#: The keys of a status that a list shows: all but the values, which may be large.
_SHOWN = frozenset((*STATUS, "name", "tags", "progress", "best"))
_VALUES = frozenset(("inputs", "outputs"))


async def list_runs(request: web.Request) -> web.Response:
    query = parse_query(request, ListQuery)
    project = await find_project(request, Verb.LIST_RUNS)
    return await _answer_page(request, [project], query)


async def list_all_runs(request: web.Request) -> web.Response:
    query = parse_query(request, ListQuery)
    await require(request, Verb.LIST_RUNS, "")
    return await _answer_page(request, await request.app[RUNS].projects(), query)


async def _answer_page(
    request: web.Request, projects: Sequence[str], query: ListQuery
) -> web.Response:
    wanted = Wanted.parse(query, request.app[OWNER])
    page = await read_page(request.app[RUNS], projects, wanted)
    metadata = ListMetadata(more=str(page.more) if page.more else None)
    shown = _SHOWN | _VALUES if query.values == "true" else _SHOWN
    items = [_view_listed(body, shown) for body in page.runs]
    return answer_json(request, RunList(metadata=metadata, items=items).as_json())


async def get_run(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.GET_RUN)
    return answer_json(request, _view(body).as_json())


async def delete_run(request: web.Request) -> web.Response:
    """Delete a run for good, of a pipeline with all runs below it."""
    body = await find_run(request, Verb.DELETE_RUN)
    await require(request, Verb.DELETE, body["metadata"]["namespace"])
    await remove_run(request, body)
    name = body["metadata"]["name"]
    return web.json_response(Deleted(message=f"the run {name} is deleted").as_json())


def _view(body: Body) -> Run:
    """The run as its own path shows it."""
    return Run(
        metadata=RunMetadata.model_validate(body["metadata"]),
        spec=dict(body.get("spec") or {}),
        status={**read_status(body), "uuid": run_uuid(body)},
    )


def _view_listed(body: Body, shown: frozenset[str]) -> Run:
    status = {key: value for key, value in read_status(body).items() if key in shown}
    return Run(
        metadata=RunMetadata.model_validate(body["metadata"]),
        status={**status, "uuid": run_uuid(body)},
    )
