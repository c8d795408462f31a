"""End a service: its limits, its stop, and the wait until nothing of it is left.

Every end goes through Stopping, with its reason: the run is over once its Deployment and its Pods
are gone. Must not create objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opstrand.core.diagnosis.pod_status import is_being_deleted
from opstrand.core.lifecycle.actions import Delete
from opstrand.core.lifecycle.retry import Spent
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot, stamp
from opstrand.core.lifecycle.transitions import advanced, end
from opstrand.core.phase import Phase
from opstrand.core.planning.culling import ASK_AGAIN, read_culling
from opstrand.core.pods.attempt import parse_count
from opstrand.core.recorded import parse_moment
from opstrand.core.runtimes.replicas import is_live
from opstrand.core.runtimes.resuming import resume
from opstrand.core.runtimes.service_facts import with_pods
from opstrand.core.runtimes.service_snapshot import DEPLOYMENT, SERVICE, ServiceSnapshot, name_of
from opstrand.types import Pod

#: Reasons of Stopping that lead to Stopped, and the final reason; any other is a failure.
_WANTED = {
    "Stopping": "Stopped",
    "DeadlineExceeded": "DeadlineExceeded",
    "Culled": "Culled",
    "NamespaceTerminating": "NamespaceTerminating",
}


def clear_service(snapshot: ServiceSnapshot) -> Decision:
    """Delete the Deployment of a service that is over.

    An operator that was shutting down may have created it too late.
    """
    stray = any(is_live(pod) for pod in snapshot.replicas) and not snapshot.deployment_is_gone
    return Decision(actions=delete_objects(snapshot)) if stray else NOTHING


def resume_service(snapshot: ServiceSnapshot) -> Decision:
    """Let a service that is over serve again, with its retries renewed.

    Its limits count from its next start: a service starts once it serves.
    """
    if any(is_live(pod) for pod in snapshot.replicas):
        return clear_service(snapshot)
    again = resume(
        snapshot,
        attempt=int(snapshot.status.get("attempt") or 0) + 1,
        retries=Spent().as_dict(),
        pod={},
        service=with_pods(snapshot, ()),
    )
    kept = {key: value for key, value in (again.status or {}).items() if key != "startedAt"}
    return Decision(kept, requeue_after=again.requeue_after)


def stop_service(snapshot: Snapshot, reason: str, message: str) -> Decision:
    return Decision(advanced(snapshot, Phase.STOPPING, reason, message), delete_objects(snapshot))


def wind_down(snapshot: ServiceSnapshot) -> Decision:
    """Delete the service and wait until nothing of it is left.

    The operator that wrote Stopping may have died before it deleted anything, so delete again.
    """
    if not snapshot.deployment_is_gone:
        return Decision(actions=delete_objects(snapshot))
    reason, message = str(snapshot.status.get("reason")), str(snapshot.status.get("message") or "")
    if any(_is_waited_for(pod, reason) for pod in snapshot.replicas):
        return NOTHING
    if reason in _WANTED:
        return end(
            snapshot,
            Phase.STOPPED,
            _WANTED[reason],
            "stopped on request" if reason == "Stopping" else message,
        )
    return end(snapshot, Phase.FAILED, reason, message)


def _is_waited_for(pod: Pod, reason: str) -> bool:
    """Return whether the run must wait for this Pod to end.

    After a name conflict the existing Deployment belongs to another owner and keeps its Pods: only
    Pods that are being deleted can be this run's.
    """
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return False
    return reason != "NameConflict" or is_being_deleted(pod)


def find_limit(snapshot: ServiceSnapshot) -> Decision:
    """Stop the service if its timeout or idle time is over, else say when to look again."""
    started = snapshot.status.get("startedAt")
    if not started:
        return NOTHING
    termination = snapshot.termination
    timeout = parse_count(termination.get("timeout"))
    left = None if timeout is None else snapshot.left(started, timeout)
    if left is not None and left <= 0:
        return stop_service(
            snapshot, "DeadlineExceeded", f"it was stopped after its timeout of {timeout} s"
        )
    idle = _find_idleness(snapshot, termination, started)
    return idle if idle.actions else Decision(requeue_after=soonest(left, idle.requeue_after))


def _find_idleness(
    snapshot: ServiceSnapshot, termination: Mapping[str, Any], started: str
) -> Decision:
    culling = read_culling(termination)
    if culling is None:
        return NOTHING
    left = snapshot.left(started, culling.timeout)
    if left <= 0:
        if snapshot.activity is None or snapshot.activity.last is None:
            return Decision(requeue_after=ASK_AGAIN)
        left = _left_since_use(snapshot, snapshot.activity.last, started, culling.timeout)
    if left <= 0:
        return stop_service(snapshot, "Culled", f"it was not used for {culling.timeout} s")
    return Decision(requeue_after=left)


def _left_since_use(
    snapshot: ServiceSnapshot, last: datetime, started: str, timeout: float
) -> float:
    """Return the seconds left since the last use, which the page reports by its own clock.

    The last use cannot be before the start, and the wait is never longer than the whole timeout.
    """
    began = parse_moment(started)
    text = started if began is None or last <= began else stamp(last.astimezone(UTC))
    return snapshot.left(text, timeout, is_reported=True)


def delete_objects(snapshot: Snapshot) -> tuple[Delete, ...]:
    """Return the actions that delete the service's objects; its Pods get their grace period.

    The Service goes first, so that no traffic is sent to Pods that are about to end.
    """
    name = name_of(snapshot)
    return Delete(SERVICE, name), Delete(DEPLOYMENT, name)


def soonest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)
