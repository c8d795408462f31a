"""The table of what this API answers: the routes and the OpenAPI document are both made of it.

Must not answer anything itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from opstrand.api.v1.logs import read_log
from opstrand.api.v1.models import ListQuery, LogQuery, Model, NoQuery, Run, RunList
from opstrand.api.v1.runs import get_run, list_all_runs, list_runs
from opstrand.kube.resources import RUNS

ROOT = f"/apis/{RUNS.group}/{RUNS.version}"
_RUNS = ROOT + "/namespaces/{namespace}/runs"


@dataclass(frozen=True)
class Endpoint:
    """One path that is read.

    `answer` is the model of the JSON; None: plain text. `errors`: the HTTP statuses besides those
    that every path has.
    """

    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answer: type[Model] | None
    query: type[Model] = NoQuery
    errors: tuple[int, ...] = ()


ENDPOINTS = (
    Endpoint(
        ROOT + "/runs", list_all_runs, "List the runs of all projects.", RunList, ListQuery, (400,)
    ),
    Endpoint(_RUNS, list_runs, "List the runs of a project.", RunList, ListQuery, (400, 404)),
    Endpoint(
        _RUNS + "/{name}",
        get_run,
        "Read a run by its uuid, or the newest of a name.",
        Run,
        errors=(404,),
    ),
    Endpoint(
        _RUNS + "/{name}/log",
        read_log,
        "Read what a run's program wrote.",
        None,
        LogQuery,
        (400, 404, 429),
    ),
)
ROUTES = [web.get(one.path, one.handler) for one in ENDPOINTS]
