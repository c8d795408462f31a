"""How a run ends, and what every step of its status has in common: identity, times, the Pod.

Must not decide that a run ends; `runtimes` and `admission` do.
"""

from __future__ import annotations

from typing import Any

from opstrand.core import names
from opstrand.core.diagnosis.diagnose import observe_pod
from opstrand.core.diagnosis.observation import Observation, State
from opstrand.core.diagnosis.pod_status import has_company, is_over
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, DeletePod, Snapshot, StopPod
from opstrand.core.lifecycle.status import Status, advance
from opstrand.core.phase import Phase
from opstrand.core.pods.attempt import parse_count
from opstrand.core.recorded import parse_moment
from opstrand.errors import SpecError
from opstrand.types import Pod


def clear(snapshot: Snapshot) -> Decision:
    """Clean up after a run that is over, which must have no Pod that starts or runs.

    Its Pod may have been due for deletion when the operator died, or may have been created too
    late.
    """
    pod = snapshot.pod
    if (
        pod is None
        or "deletionTimestamp" in pod["metadata"]
        or not names.is_owned_by(pod, snapshot.body["metadata"]["uid"])
    ):
        return NOTHING
    match observe_pod(pod).state:
        case State.PENDING:
            return Decision(actions=(DeletePod(pod),))
        case State.RUNNING:
            return Decision(actions=stop_pod(pod))
        case _ if is_left_running(pod):
            return Decision(actions=stop_pod(pod))
        case _:
            return _expire(snapshot, pod)


def is_left_running(pod: Pod) -> bool:
    """Return whether main is over but an injected container keeps the Pod running.

    Such a Pod would hold its resources until it is deleted.
    """
    return has_company(pod) and not is_over(pod)


def stop_pod(pod: Pod) -> tuple[StopPod, ...]:
    """Return the action that stops the Pod, or nothing if that was done already."""
    return () if (pod.get("spec") or {}).get("activeDeadlineSeconds") == 1 else (StopPod(pod),)


def _expire(snapshot: Snapshot, pod: Pod) -> Decision:
    """Delete the Pods of a finished run after `termination.ttl` or the default TTL.

    Until then its logs stay readable.
    """
    left = _stays_for(snapshot, _ended_at(snapshot))
    if left > 0:
        return Decision(requeue_after=left)
    uid = snapshot.body["metadata"]["uid"]
    return Decision(
        actions=tuple(
            DeletePod(one) for one in (pod, *snapshot.earlier_pods) if names.is_owned_by(one, uid)
        )
    )


def _ended_at(snapshot: Snapshot) -> str:
    """Return when the run ended.

    If that was removed from the status, return the last step of the history, or the creation time.
    """
    known = (
        snapshot.status.get("finishedAt"),
        snapshot.last_step,
        snapshot.body["metadata"].get("creationTimestamp"),
    )
    return next((text for text in known if text), snapshot.stamp)


def _stays_for(snapshot: Snapshot, finished: str) -> float:
    """Return the seconds until the Pod is deleted."""
    asked = parse_count(snapshot.termination.get("ttl"))
    return snapshot.left(finished, float(snapshot.settings.pod_ttl if asked is None else asked))


def finish(
    snapshot: Snapshot, phase: Phase, reason: str, message: str, seen: Observation
) -> Decision:
    """End a run with the result of its Pod and the kubelet's own times."""
    started = snapshot.status.get("startedAt") or seen.started_at
    finished = seen.finished_at or snapshot.stamp
    facts = {"pod": pod_facts(snapshot), **_times(started, finished)}
    status = advanced(snapshot, phase, reason, message, **facts)
    if snapshot.pod is None:
        return Decision(status)
    # No watch event may ever come for this Pod again: look again when its TTL is over.
    again = 0.0 if is_left_running(snapshot.pod) else max(0.0, _stays_for(snapshot, finished))
    return Decision(status, requeue_after=again)


def end(snapshot: Snapshot, phase: Phase, reason: str, message: str) -> Decision:
    """End a run whose end no Pod caused."""
    return Decision(advanced(snapshot, phase, reason, message, **ending_times(snapshot, phase)))


def ending_times(snapshot: Snapshot, phase: Phase) -> dict[str, Any]:
    """Return when the run ended and how long it took; empty for a phase that is not final."""
    return _times(snapshot.status.get("startedAt"), snapshot.stamp) if phase.is_final else {}


def _times(started: str | None, finished: str) -> dict[str, Any]:
    if not started:
        return {"finishedAt": finished}
    began, ended = parse_moment(started), parse_moment(finished)
    seconds = (
        0 if began is None or ended is None else max(0, round((ended - began).total_seconds()))
    )
    return {"startedAt": started, "finishedAt": finished, "duration": seconds}


def advanced(
    snapshot: Snapshot,
    phase: Phase,
    reason: str,
    message: str,
    *,
    renew: bool = False,
    **facts: Any,
) -> Status:
    """Return the snapshot's status in this phase, with the run's identity on the first write."""
    metadata = snapshot.body["metadata"]
    identity = (
        {}
        if snapshot.status.get("uuid")
        else {"uuid": names.run_uuid(metadata["uid"]), "kind": _kind(snapshot)}
    )
    return advance(
        snapshot.status,
        phase,
        reason=reason,
        message=message,
        now=snapshot.stamp,
        generation=int(metadata.get("generation") or 1),
        created_at=metadata.get("creationTimestamp"),
        renew=renew,
        **identity,
        **facts,
    )


def _kind(snapshot: Snapshot) -> str:
    prepared = snapshot.prepared
    return (
        "job"
        if isinstance(prepared, SpecError) or prepared.compiled is None
        else prepared.compiled.kind
    )


def patience_left(snapshot: Snapshot, phase: Phase, reason: str) -> float:
    """Return the seconds for which a run may keep this reason before it starts.

    If its current reason is another one, that is the whole patience.
    """
    patience = float(snapshot.settings.start_patience)
    if snapshot.phase is not phase or snapshot.status.get("reason") != reason:
        return patience
    return snapshot.left(snapshot.last_step, patience)


def pod_facts(snapshot: Snapshot) -> dict[str, Any]:
    """Return what the status records about the observed Pod."""
    pod = snapshot.pod or {}
    known = dict(snapshot.status.get("pod") or {})
    uid, node = pod.get("metadata", {}).get("uid"), (pod.get("spec") or {}).get("nodeName")
    return {**known, **({"uid": uid} if uid else {}), **({"node": node} if node else {})}
