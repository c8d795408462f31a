"""The table of what this API answers: the routes and the OpenAPI document are both made of it.

Must not answer anything itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from opstrand.api.v1.artifacts import list_artifacts, read_artifact
from opstrand.api.v1.logs import read_log
from opstrand.api.v1.models import (
    ArtifactList,
    FolderQuery,
    ListQuery,
    LogQuery,
    Model,
    NoQuery,
    Run,
    RunList,
)
from opstrand.api.v1.runs import get_run, list_all_runs, list_runs
from opstrand.kube.resources import RUNS

ROOT = f"/apis/{RUNS.group}/{RUNS.version}"
_RUNS = ROOT + "/namespaces/{namespace}/runs"


@dataclass(frozen=True)
class Endpoint:
    """One path that is read.

    `answer` is the model of the JSON, or a content type. `errors`: the HTTP statuses besides those
    that every path has. The parameter `path` may have slashes.
    """

    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answer: type[Model] | str
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
        "text/plain",
        LogQuery,
        (400, 404),
    ),
    Endpoint(
        _RUNS + "/{name}/artifacts",
        list_artifacts,
        "List what is in a folder of a run's files.",
        ArtifactList,
        FolderQuery,
        (400, 404),
    ),
    Endpoint(
        _RUNS + "/{name}/artifacts/{path}",
        read_artifact,
        "Read a file of a run, or a range of it.",
        "application/octet-stream",
        errors=(206, 304, 400, 404, 412, 416),
    ),
)
ROUTES = [web.get(one.path.replace("{path}", "{path:.+}"), one.handler) for one in ENDPOINTS]
