"""What a caller may do to a project and to its runs.

Owns the rule of a run's token: it writes the reports of its own run until shortly after the end,
and reads that run, its upstreams and its pipeline. The cluster's RBAC decides everything else; for
a run's token, by the rights of its service account. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from opstrand.api.auth.callers import Auth, Caller, Forbidden, Verb
from opstrand.core.lifecycle.conditions import FINISHED, get_condition
from opstrand.core.recorded import read_status
from opstrand.runs.bodies import is_final, pipeline_of, run_uuid
from opstrand.runs.protocols import ProjectNotFound, RunNotFound, Runs
from opstrand.types import Body

#: Seconds after the end of a run in which its own token may still report: sidecars and collectors
#: end after the main container.
REPORTS_AFTER_END = 60.0
#: Maximum depth of enclosing pipelines that is searched: forged owner references may form a cycle.
_MOST_PIPELINES = 8
_REACH = (
    "a run reads itself, its upstreams and its pipeline; for anything else its service account "
    "needs the right"
)


async def authorize(
    auth: Auth, caller: Caller, verb: Verb, project: str, *, is_known: bool = False
) -> None:
    """Raise unless the caller may do this in the project.

    Raises `Forbidden` if the caller may know of the project, because it may read it or `is_known`
    is set; else `RunNotFound`.
    """
    if await auth.may(caller, verb, project):
        return
    if is_known or (verb is not Verb.READ and await auth.may(caller, Verb.READ, project)):
        what = "read the logs of Pods" if verb is Verb.LOGS else f"{verb.value} operations"
        raise Forbidden(
            f"{caller.name} may not {what} in {project}"
            + (f": {_REACH}." if caller.is_run else ".")
        )
    raise RunNotFound(project)


async def authorize_report(auth: Auth, caller: Caller, body: Body) -> None:
    """Raise unless the caller may write the reports of this run.

    Raises `RunNotFound` for other runs, which must not learn that it exists.
    """
    if not caller.is_pod_of(body):
        await authorize(auth, caller, Verb.CONTROL, body["metadata"]["namespace"])
    elif is_over(body, datetime.now(UTC)):
        raise Forbidden(
            f"The run has ended, and its own token reports until {REPORTS_AFTER_END:.0f} s after "
            "the end."
        )


def is_over(body: Body, now: datetime) -> bool:
    """Whether the run ended so long ago that none of its containers can still report.

    True also for an end without a readable time.
    """
    if not is_final(body):
        return False
    status = read_status(body)
    finished = get_condition(status.get("conditions"), FINISHED) or {}
    # The condition has the operator's clock. `finishedAt` has the node's clock, which may differ,
    # and a run is final only when the operator says so.
    ended = _parse_time(finished.get("lastTransitionTime")) or _parse_time(status.get("finishedAt"))
    return ended is None or (now - ended).total_seconds() > REPORTS_AFTER_END


def _parse_time(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def find_known_run(runs: Runs, caller: Caller, project: str, uuid: str) -> Body | None:
    """The run of this uuid if it is the caller's own run, one of its upstreams or a pipeline around
    it.

    Returns None for any other run. Raises `RunNotFound`.
    """
    body = await runs.get(project, uuid)
    if not caller.is_pod_of(body) and not is_final(body):
        # It may be the caller's own run, frozen a moment ago: the cached body would then lack its
        # inputs, and the caller would be denied.
        body = await runs.get(project, uuid, newest=True)
    if caller.is_pod_of(body):
        return body
    own = await _find_own_run(runs, caller)
    return body if own is not None and await _is_around(runs, own, run_uuid(body)) else None


async def is_upstream_of(runs: Runs, caller: Caller, uuid: str) -> bool:
    """Whether the caller is a run with the run of this uuid, which may be gone, as upstream."""
    own = await _find_own_run(runs, caller)
    return own is not None and uuid in _upstreams(own)


async def _find_own_run(runs: Runs, caller: Caller) -> Body | None:
    try:
        listed = await runs.list(caller.namespace)
    except ProjectNotFound:
        return None
    for one in listed:
        if caller.is_pod_of(one.head):
            return one.whole
    for body in (one.head for one in listed):
        # The run may have been frozen a moment ago. The Pod's name contains the first digits of its
        # run's uuid; use it only to choose which run to read.
        if f"-{run_uuid(body)[:8]}-" in caller.pod_name and not is_final(body):
            newest = await runs.get(caller.namespace, run_uuid(body), newest=True)
            if caller.is_pod_of(newest):
                return newest
    return None


async def _is_around(runs: Runs, own: Body, uuid: str) -> bool:
    """Whether the run of this uuid is an upstream of `own` or a pipeline around it."""
    return uuid in _upstreams(own) or uuid in [found async for found in _pipelines(runs, own)]


def _upstreams(body: Body) -> Iterator[str]:
    """The uuids of the upstreams, which only the operator writes, at the freeze.

    The files of an upstream that took an earlier run's result are that run's.
    """
    for edge in read_status(body).get("upstream") or ():
        yield from (str(edge[key]) for key in ("uuid", "original") if edge.get(key))


async def _pipelines(runs: Runs, body: Body) -> Any:
    project = body["metadata"]["namespace"]
    for _ in range(_MOST_PIPELINES):
        pipeline = pipeline_of(body["metadata"])
        if pipeline is None:
            return
        yield pipeline["uuid"]
        try:
            body = await runs.get(project, pipeline["uuid"])
        except RunNotFound:
            return
