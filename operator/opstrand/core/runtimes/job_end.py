"""End a job: the result of its Pod, how long the Pod of a run that is over stays, and its next
attempt.

Must not decide that a run ends; `job` does.
"""

from __future__ import annotations

from typing import Any

from opstrand.core import names
from opstrand.core.diagnosis.diagnose import observe_pod
from opstrand.core.diagnosis.observation import Observation, State
from opstrand.core.diagnosis.pod_status import has_company, is_over
from opstrand.core.lifecycle.actions import Action, Delete, Patch
from opstrand.core.lifecycle.retry import Spent
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced, times_between
from opstrand.core.phase import Phase
from opstrand.core.pods.attempt import parse_count
from opstrand.core.runtimes.job_snapshot import POD, JobSnapshot
from opstrand.core.runtimes.resuming import resume
from opstrand.types import Pod

#: Seconds: a collection that is shorter is not worth a write. The kubelet of a busy node alone
#: takes a few to end the collector.
_SHORT_COLLECTION = 10.0


def end_well(snapshot: JobSnapshot, seen: Observation) -> Decision:
    """End a run whose program ended well, as soon as its files are stored."""
    if seen.state is State.SUCCEEDED:
        return finish(snapshot, Phase.SUCCEEDED, "Succeeded", "", seen)
    left = snapshot.left(seen.finished_at or snapshot.stamp, _SHORT_COLLECTION)
    if left > 0:
        return Decision(requeue_after=left)
    started = snapshot.status.get("startedAt") or seen.started_at or snapshot.stamp
    facts: dict[str, Any] = {"pod": pod_facts(snapshot), "startedAt": started}
    return Decision(advanced(snapshot, Phase.PROCESSING, seen.reason, seen.message, **facts))


def clear_job(snapshot: JobSnapshot) -> Decision:
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
            return Decision(actions=(delete_pod(pod),))
        case State.RUNNING:
            return Decision(actions=stop_pod(pod))
        case State.COLLECTING:
            return NOTHING
        case _ if is_left_running(pod):
            return Decision(actions=stop_pod(pod))
        case _:
            return _expire(snapshot, pod)


def resume_job(snapshot: JobSnapshot) -> Decision:
    """Begin another attempt of a run that is over, with its retries renewed.

    If a Pod of the last attempt has not ended, it ends first.
    """
    pod = snapshot.pod
    is_own = pod is not None and names.is_owned_by(pod, snapshot.body["metadata"]["uid"])
    if pod is not None and is_own and not is_over(pod):
        return clear_job(snapshot)
    return resume(snapshot, **next_attempt(snapshot, Spent()))


def next_attempt(snapshot: JobSnapshot, spent: Spent) -> dict[str, Any]:
    """Return what the status says of the attempt after the last one."""
    number = int(snapshot.status.get("attempt") or 0) + 1
    metadata = snapshot.body["metadata"]
    name = names.pod_name(metadata["name"], names.run_uuid(metadata["uid"]), number)
    return {"attempt": number, "retries": spent.as_dict(), "pod": {"name": name}}


def is_left_running(pod: Pod) -> bool:
    """Return whether main is over but an injected container keeps the Pod running.

    Such a Pod would hold its resources until it is deleted.
    """
    return has_company(pod) and not is_over(pod)


def stop_pod(pod: Pod) -> tuple[Action, ...]:
    """Return the action that ends a started Pod now, or nothing if that was done already.

    The Pod gets its grace period, and its logs are kept.
    """
    if (pod.get("spec") or {}).get("activeDeadlineSeconds") == 1:
        return ()
    ops = [{"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1}]
    return (Patch(POD, pod["metadata"]["name"], ops),)


def delete_pod(pod: Pod) -> Action:
    """Return the action that deletes a Pod that never started, or whose retention is over."""
    return Delete(POD, pod["metadata"]["name"], pod["metadata"]["uid"])


def _expire(snapshot: JobSnapshot, pod: Pod) -> Decision:
    """Delete the Pods of a finished run after `termination.ttl` or the default TTL.

    Until then its logs stay readable.
    """
    left = _stays_for(snapshot, _ended_at(snapshot))
    if left > 0:
        return Decision(requeue_after=left)
    uid = snapshot.body["metadata"]["uid"]
    return Decision(
        actions=tuple(
            delete_pod(one) for one in (pod, *snapshot.earlier_pods) if names.is_owned_by(one, uid)
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
    snapshot: JobSnapshot, phase: Phase, reason: str, message: str, seen: Observation
) -> Decision:
    """End a run with the result of its Pod and the kubelet's own times."""
    started = snapshot.status.get("startedAt") or seen.started_at
    finished = seen.finished_at or snapshot.stamp
    facts = {"pod": pod_facts(snapshot), **times_between(started, finished)}
    status = advanced(snapshot, phase, reason, message, **facts)
    if snapshot.pod is None:
        return Decision(status)
    # No watch event may ever come for this Pod again: look again when its TTL is over.
    again = 0.0 if is_left_running(snapshot.pod) else max(0.0, _stays_for(snapshot, finished))
    return Decision(status, requeue_after=again)


def pod_facts(snapshot: JobSnapshot) -> dict[str, Any]:
    """Return what the status records about the observed Pod."""
    pod = snapshot.pod or {}
    known = dict(snapshot.status.get("pod") or {})
    uid, node = pod.get("metadata", {}).get("uid"), (pod.get("spec") or {}).get("nodeName")
    return {**known, **({"uid": uid} if uid else {}), **({"node": node} if node else {})}
