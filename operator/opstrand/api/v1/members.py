"""The operations of a pipeline, or the runs of a matrix or a schedule.

Owns which runs are read, and how many of their values one answer has. What became of an operation
that has no run is said by `runs.family`, which compiles the pipeline's file: in a worker, where
there is one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from opstrand.api import members_job
from opstrand.api.auth.callers import Verb
from opstrand.api.published.listing import Searched
from opstrand.api.published.request import CONTENTS, OWNER, RUNS
from opstrand.api.v1.answers import answer_long_json
from opstrand.api.v1.models import Member, MemberList
from opstrand.api.v1.request import find_run
from opstrand.core.pipelines.matrix import matrix_names
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError, SpecError
from opstrand.runs.bodies import run_kind, run_uuid
from opstrand.runs.members import is_pipeline
from opstrand.runs.protocols import Listed, Search
from opstrand.types import Body
from opstrand.workers.pool import Busy, Exceeded

#: Members of one answer, at most.
_MOST = 2000
#: Characters of the JSON of all params and outputs of one answer, at most.
_VALUES = 8 * 1024 * 1024
#: CPU seconds in a worker.
_WORK = 2.0
#: Keys of a status that decide what is said of a run.
_STATUS = ("uuid", "kind", "phase", "reason", "message", "children", "schedule", "conditions")
#: Keys of the metadata that may be long and decide nothing.
_BULK = ("annotations", "managedFields")


@dataclass(frozen=True)
class _Made:
    """A run of the pipeline: what decides what is said of it (`cut`), and what it says of itself.

    `outputs`: None if there is no room for them.
    """

    cut: dict[str, Any]
    uuid: str
    kind: str | None
    started_at: str | None
    duration: float | None
    outputs: dict[str, Any] | None


async def list_members(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.GET_RUN)
    made: dict[str, _Made] = {}
    read: list[dict[str, Any]] = []
    is_cut = False
    if is_pipeline(body):
        found, is_cut = await _find_made(request, body)
        made = await asyncio.to_thread(_keep, body, found)
        read = await _read(request, body, [one.cut for one in made.values()])
        is_cut = is_cut or len(read) > _MOST

    def write() -> dict[str, Any]:
        # One by one: while a model is written, no other thread runs.
        items = [_complete(one, made.get(one["name"])).as_json() for one in read[:_MOST]]
        answer = MemberList(pipeline=run_uuid(body), items=[], is_cut=is_cut)
        return {**answer.as_json(), "items": items}

    return await answer_long_json(request, await asyncio.to_thread(write))


async def _find_made(request: web.Request, body: Body) -> tuple[list[Listed], bool]:
    def fields(run: Any) -> Searched:
        return Searched(run, request.app[OWNER])

    search = Search(f"pipeline: {run_uuid(body)}", "created_at", 0, _MOST, fields=fields)
    found = await request.app[RUNS].search(body["metadata"]["namespace"], search)
    return [one.run for one in found.runs], found.count > _MOST


def _keep(pipeline: Body, runs: Sequence[Listed]) -> dict[str, _Made]:
    """What counts of these runs, by name. Each is unpacked alone: a whole one may take megabytes.

    A run's params or outputs that have no room beside those of the runs before it are left out.
    """
    wanted, left, kept = _list_params(pipeline), _VALUES, dict[str, _Made]()
    for run in runs:
        body = run.whole
        spec, status = body.get("spec") or {}, read_status(body)
        given, outputs = spec.get("params") or {}, dict(status.get("outputs") or {})
        params = {key: one for key, one in given.items() if wanted is None or key in wanted}
        is_given, left = _spend(left, params)
        is_shown, left = _spend(left, outputs)
        kept[str(body["metadata"]["name"])] = _Made(
            cut=_cut(body, params if is_given else {}),
            uuid=run_uuid(body),
            kind=run_kind(body),
            started_at=status.get("startedAt"),
            duration=status.get("duration"),
            outputs=outputs if is_shown else None,
        )
    return kept


def _spend(left: int, values: Mapping[str, Any]) -> tuple[bool, int]:
    """Whether there is room for these values, and how much is left after them."""
    size = len(json.dumps(values)) if values else 0
    return (True, left - size) if size <= left else (False, left)


def _list_params(pipeline: Body) -> set[str] | None:
    """The params that may be shown of each run: those of the matrix; None for all."""
    if read_status(pipeline).get("kind") == "dag":
        return set()
    spec = pipeline.get("spec") or {}
    component = spec.get("component") or read_status(pipeline).get("component") or {}
    return {*matrix_names(spec.get("matrix")), *matrix_names(component.get("matrix"))} or None


async def _read(
    request: web.Request, pipeline: Body, cut: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What there is to say of each member. Raises `PlatformError`."""
    pool = request.app[CONTENTS].pool
    whole = {
        "metadata": pipeline["metadata"],
        "spec": pipeline.get("spec") or {},
        "status": pipeline.get("status") or {},
    }
    if pool is None:
        read: list[dict[str, Any]] = await asyncio.to_thread(members_job.read_members, whole, cut)
        return read
    try:
        done = await pool.run(
            f"{members_job.MODULE}:read_members",
            whole,
            cut,
            group=pipeline["metadata"]["namespace"],
            seconds=_WORK,
        )
    except (Busy, Exceeded, SpecError) as error:
        raise PlatformError(f"the pipeline's file cannot be read now: {error}") from None
    value: list[dict[str, Any]] = done.value
    return value


def _cut(body: Body, params: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run decides what is said of it."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    status: Mapping[str, Any] = read_status(body)
    return {
        "metadata": {key: metadata[key] for key in metadata if key not in _BULK},
        "spec": {
            "params": dict(params),
            **{key: spec[key] for key in ("control", "isApproved") if key in spec},
        },
        "status": {key: status[key] for key in _STATUS if key in status},
    }


def _complete(read: Mapping[str, Any], made: _Made | None) -> Member:
    """The member with what its run says of itself."""
    if made is None:
        return Member(**read)
    return Member(
        **read,
        uuid=made.uuid,
        kind=made.kind,
        started_at=made.started_at,
        duration=made.duration,
        outputs=made.outputs,
    )
