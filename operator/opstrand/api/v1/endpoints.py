"""The table of what this API answers: the routes and the OpenAPI document are both made of it.

Must not answer anything itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from opstrand.api.v1.actions import list_actions, order_action
from opstrand.api.v1.artifacts import (
    delete_artifact,
    delete_artifacts,
    list_artifacts,
    read_artifact,
    write_artifact,
)
from opstrand.api.v1.content import read_content
from opstrand.api.v1.events import read_events
from opstrand.api.v1.lineage import read_lineage
from opstrand.api.v1.logs import read_log
from opstrand.api.v1.members import list_members
from opstrand.api.v1.models import (
    ActionList,
    ActionResult,
    ArtifactList,
    Deleted,
    FolderQuery,
    Lineage,
    LineageQuery,
    ListQuery,
    LogQuery,
    MemberList,
    Model,
    NoQuery,
    PartQuery,
    Received,
    Run,
    RunContent,
    RunList,
    SeriesList,
    SeriesQuery,
)
from opstrand.api.v1.runs import delete_run, get_run, list_all_runs, list_runs
from opstrand.kube.resources import RUNS

ROOT = f"/apis/{RUNS.group}/{RUNS.version}"
_RUNS = ROOT + "/namespaces/{namespace}/runs"


@dataclass(frozen=True)
class Endpoint:
    """What one method of a path does.

    `answer` is the model of the JSON, or a content type. `errors`: the HTTP statuses besides those
    that every path has. `has_content`: bytes are sent with it. The parameter `path` may have
    slashes.
    """

    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answer: type[Model] | str
    query: type[Model] = NoQuery
    errors: tuple[int, ...] = ()
    method: str = "GET"
    has_content: bool = False


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
        _RUNS + "/{name}",
        delete_run,
        "Delete a run for good: its Operation, its record and its files.",
        Deleted,
        errors=(400, 404),
        method="DELETE",
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
    Endpoint(
        _RUNS + "/{name}/artifacts/{path}",
        write_artifact,
        "Send a part of a file, which is the run's once all of it has arrived.",
        Received,
        PartQuery,
        (400, 404, 408, 409, 507),
        method="PUT",
        has_content=True,
    ),
    Endpoint(
        _RUNS + "/{name}/artifacts/{path}",
        delete_artifact,
        "Delete a file of a run, or a folder with all that is in it.",
        Deleted,
        errors=(400, 404),
        method="DELETE",
    ),
    Endpoint(
        _RUNS + "/{name}/artifacts",
        delete_artifacts,
        "Delete all files of a run.",
        Deleted,
        errors=(400, 404),
        method="DELETE",
    ),
    Endpoint(
        _RUNS + "/{name}/events/{kind}",
        read_events,
        "Read what a run logged of one kind, such as its metrics.",
        SeriesList,
        SeriesQuery,
        (400, 404),
    ),
    Endpoint(
        _RUNS + "/{name}/content",
        read_content,
        "Read a run's operation as it was written, and as it was compiled.",
        RunContent,
        errors=(404,),
    ),
    Endpoint(
        _RUNS + "/{name}/lineage",
        read_lineage,
        "Read which runs a run took values from, and which from it.",
        Lineage,
        LineageQuery,
        (400, 404),
    ),
    Endpoint(
        _RUNS + "/{name}/members",
        list_members,
        "List the operations of a pipeline, also those that have no run yet.",
        MemberList,
        errors=(404,),
    ),
    Endpoint(
        _RUNS + "/{name}/actions",
        list_actions,
        "List what the caller may ask of a run.",
        ActionList,
        errors=(404,),
    ),
    Endpoint(
        _RUNS + "/{name}/actions/{action}",
        order_action,
        "Ask something of a run.",
        ActionResult,
        errors=(400, 404, 408, 409),
        method="POST",
    ),
)


def _make_route(one: Endpoint) -> web.RouteDef:
    # With line feeds too, so that they are refused by name.
    path = one.path.replace("{path}", "{path:(?s:.+)}")
    # A GET answers HEAD too.
    return (
        web.get(path, one.handler)
        if one.method == "GET"
        else web.route(one.method, path, one.handler)
    )


ROUTES = [_make_route(one) for one in ENDPOINTS]
