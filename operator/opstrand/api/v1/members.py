"""The operations of a pipeline, or the runs of a matrix or a schedule.

Owns which runs are read. What became of an operation that has no run is said by `runs.family`,
which compiles the pipeline's file: in a worker, where there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from opstrand.api import members_job
from opstrand.api.auth.callers import Verb
from opstrand.api.published.listing import Searched
from opstrand.api.published.request import CONTENTS, OWNER, RUNS
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.models import Member, MemberList
from opstrand.api.v1.request import find_run
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError, SpecError
from opstrand.runs.bodies import run_kind, run_uuid
from opstrand.runs.members import is_pipeline
from opstrand.runs.protocols import Search
from opstrand.types import Body
from opstrand.workers.pool import Busy, Exceeded

#: Members of one answer, at most.
_MOST = 2000
#: CPU seconds in a worker.
_WORK = 2.0
#: Keys of a status that decide what is said of a run.
_STATUS = ("uuid", "kind", "phase", "reason", "message", "children", "schedule", "conditions")


async def list_members(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.GET_RUN)
    items: list[Member] = []
    is_cut = False
    if is_pipeline(body):
        found, is_cut = await _find_made(request, body)
        made = {str(one["metadata"]["name"]): one for one in found}
        read = await _read(request, body, list(made.values()))
        items = [_complete(one, made.get(one["name"])) for one in read[:_MOST]]
        is_cut = is_cut or len(read) > _MOST
    answer = MemberList(pipeline=run_uuid(body), items=items, is_cut=is_cut)
    return answer_json(request, answer.as_json())


async def _find_made(request: web.Request, body: Body) -> tuple[list[Body], bool]:
    def fields(run: Any) -> Searched:
        return Searched(run, request.app[OWNER])

    search = Search(f"pipeline: {run_uuid(body)}", "created_at", 0, _MOST, fields=fields)
    found = await request.app[RUNS].search(body["metadata"]["namespace"], search)
    return [one.run.whole for one in found.runs], found.count > _MOST


async def _read(request: web.Request, pipeline: Body, runs: Sequence[Body]) -> list[dict[str, Any]]:
    """What there is to say of each member. Raises `PlatformError`."""
    pool, cut = request.app[CONTENTS].pool, [_cut(one) for one in runs]
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


def _cut(body: Body) -> dict[str, Any]:
    """What of a run decides what is said of it."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    status: Mapping[str, Any] = read_status(body)
    return {
        "metadata": dict(metadata),
        "spec": {key: spec[key] for key in ("params", "control", "isApproved") if key in spec},
        "status": {key: status[key] for key in _STATUS if key in status},
    }


def _complete(read: Mapping[str, Any], body: Body | None) -> Member:
    """The member with what its run says of itself."""
    if body is None:
        return Member(**read)
    status = read_status(body)
    return Member(
        **read,
        uuid=run_uuid(body),
        kind=run_kind(body),
        started_at=status.get("startedAt"),
        duration=status.get("duration"),
        outputs=dict(status.get("outputs") or {}),
    )
