"""Advance a frozen run of kind service: it runs while one replica serves, and ends when told to.

Kubernetes keeps the replicas alive; their state becomes the run's phase. Every end goes through
Stopping, with its reason: the run is over once its Deployment and its Pods are gone. Must not
resolve anything: objects that are created again are rendered from what was frozen.

    Starting ──▶ Running ⇄ Retrying      a replica serves; none does, and Kubernetes restarts it
       └───────────┴──────────┴──▶ Stopping ──▶ Stopped (on request, timeout, idle)
                                            └─▶ Failed (cannot start, maxRetries)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from opstrand.core.diagnosis.observation import Fault, Observation
from opstrand.core.diagnosis.pending import names_missing
from opstrand.core.diagnosis.pod_status import is_being_deleted, is_being_made, main_of, state_of
from opstrand.core.lifecycle.admission import classify_refusal
from opstrand.core.lifecycle.node_wait import find_node_wait
from opstrand.core.lifecycle.retry import Spent, backoff, next_spent
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, DeleteService, Snapshot, stamp
from opstrand.core.lifecycle.status import Status
from opstrand.core.lifecycle.transitions import advanced, end, patience_left
from opstrand.core.phase import Phase
from opstrand.core.planning.culling import ASK_AGAIN, read_culling
from opstrand.core.pods.attempt import parse_count
from opstrand.core.recorded import parse_moment
from opstrand.core.runtimes.job import backoff_left, recreate, restore_documents
from opstrand.core.runtimes.replicas import Replicas, is_live, observe_replicas
from opstrand.errors import SpecError
from opstrand.types import Condition, Deployment, Pod

#: Reasons of Stopping that lead to Stopped, and the final reason; any other is a failure.
_WANTED = {
    "Stopping": "Stopped",
    "DeadlineExceeded": "DeadlineExceeded",
    "Culled": "Culled",
    "NamespaceTerminating": "NamespaceTerminating",
}
#: The most replicas that `status.service.pods` lists: the status must not grow with thousands of
#: Pods. The tokens of listed replicas may report on the run.
_KEPT = 64


def serve(snapshot: Snapshot) -> Decision:
    """Decide the next step of a service whose inputs are frozen."""
    if snapshot.phase is Phase.STOPPING:
        return _wind_down(snapshot)
    if snapshot.control.get("stop"):
        return _stop(snapshot, "Stopping", "stop requested: its containers are given their grace")
    limit = _find_limit(snapshot)
    if limit.actions:
        return limit
    seen = observe_replicas(
        snapshot.replicas, snapshot.pod_events, now=snapshot.now, since=snapshot.since
    )
    decision = _validate(snapshot, seen) if seen.live else _serve_without(snapshot)
    if snapshot.service_is_gone and decision.actions == ():
        decision = _restore(snapshot, decision)
    if not decision.actions and (restored := restore_documents(snapshot)):
        decision = replace(decision, actions=restored)
    return Decision(
        decision.status,
        decision.actions,
        requeue_after=_soonest(decision.requeue_after, limit.requeue_after, seen.again),
    )


def clear_service(snapshot: Snapshot) -> Decision:
    """Delete the Deployment of a service that is over.

    An operator that was shutting down may have created it too late.
    """
    stray = any(is_live(pod) for pod in snapshot.replicas) and not snapshot.deployment_is_gone
    return Decision(actions=(DeleteService(_name(snapshot)),)) if stray else NOTHING


def _name(snapshot: Snapshot) -> str:
    return str(snapshot.status["service"]["name"])


def _soonest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)


# -- the end ---------------------------------------------------------------------------------------


def _stop(snapshot: Snapshot, reason: str, message: str) -> Decision:
    return Decision(
        advanced(snapshot, Phase.STOPPING, reason, message), (DeleteService(_name(snapshot)),)
    )


def _wind_down(snapshot: Snapshot) -> Decision:
    """Delete the service and wait until nothing of it is left.

    The operator that wrote Stopping may have died before it deleted anything, so delete again.
    """
    if not snapshot.deployment_is_gone:
        return Decision(actions=(DeleteService(_name(snapshot)),))
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


def _find_limit(snapshot: Snapshot) -> Decision:
    """Stop the service if its timeout or idle time is over, else say when to look again."""
    started = snapshot.status.get("startedAt")
    if not started:
        return NOTHING
    termination = snapshot.termination
    timeout = parse_count(termination.get("timeout"))
    left = None if timeout is None else snapshot.left(started, timeout)
    if left is not None and left <= 0:
        return _stop(
            snapshot, "DeadlineExceeded", f"it was stopped after its timeout of {timeout} s"
        )
    idle = _find_idleness(snapshot, termination, started)
    return idle if idle.actions else Decision(requeue_after=_soonest(left, idle.requeue_after))


def _find_idleness(snapshot: Snapshot, termination: Mapping[str, Any], started: str) -> Decision:
    culling = read_culling(termination)
    if culling is None:
        return NOTHING
    left = snapshot.left(started, culling.timeout)
    if left <= 0:
        if snapshot.activity is None or snapshot.activity.last is None:
            return Decision(requeue_after=ASK_AGAIN)
        left = _left_since_use(snapshot, snapshot.activity.last, started, culling.timeout)
    if left <= 0:
        return _stop(snapshot, "Culled", f"it was not used for {culling.timeout} s")
    return Decision(requeue_after=left)


def _left_since_use(snapshot: Snapshot, last: datetime, started: str, timeout: float) -> float:
    """Return the seconds left since the last use, which the page reports by its own clock.

    The last use cannot be before the start, and the wait is never longer than the whole timeout.
    """
    began = parse_moment(started)
    text = started if began is None or last <= began else stamp(last.astimezone(UTC))
    return snapshot.left(text, timeout, is_reported=True)


def _restore(snapshot: Snapshot, decision: Decision) -> Decision:
    """Create the deleted Service again: the replicas run, but no client finds them by its name."""
    try:
        return replace(decision, actions=recreate(snapshot).actions)
    except SpecError as error:
        words = f"its Service was deleted and cannot be made again: {error.message}"
        return replace(decision, status=advanced(snapshot, Phase.RUNNING, error.reason, words))


# -- without a Pod ---------------------------------------------------------------------------------


def _serve_without(snapshot: Snapshot) -> Decision:
    """Decide for a service without a live replica.

    Its Deployment is not created yet, was deleted, cannot create Pods, or is about to.
    """
    if snapshot.phase is Phase.RETRYING and snapshot.status.get("reason") == "DeploymentLost":
        return _make_again(snapshot)
    if snapshot.is_being_deleted:
        return _stop(snapshot, "Stopping", "its Operation is being deleted")
    if snapshot.deployment_is_gone:
        return _lose(snapshot)
    if snapshot.deployment is None:
        return _make(snapshot)
    grace = float(snapshot.settings.pending_grace)
    refused = _find_condition(snapshot.deployment, "ReplicaFailure")
    if refused is None:
        return _wait_for_pods(snapshot, grace)
    words = str(refused.get("message") or refused.get("reason"))
    return classify_refusal(snapshot, words) or Decision(
        advanced(snapshot, Phase.STARTING, "PodRefused", words), requeue_after=2 * grace
    )


def _wait_for_pods(snapshot: Snapshot, grace: float) -> Decision:
    """Wait for the Deployment's Pods, which normally come or are replaced within moments.

    If none does, the Deployment may have been scaled to zero.
    """
    if snapshot.replicas or "startedAt" not in snapshot.status:
        return Decision(requeue_after=grace)
    return Decision(
        advanced(snapshot, Phase.RETRYING, "NotReady", "its Deployment has no Pods"),
        requeue_after=2 * grace,
    )


def _find_condition(deployment: Deployment, kind: str) -> Condition | None:
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    return next(
        (one for one in conditions if one.get("type") == kind and one.get("status") == "True"), None
    )


def _make(snapshot: Snapshot) -> Decision:
    """Create the objects of the service.

    Either the operator died between the freeze and the requests, or the requests were refused and
    may succeed now.
    """
    try:
        decision = recreate(snapshot)
    except SpecError as error:
        return _stop(snapshot, error.reason, error.message)
    return Decision(
        decision.status, decision.actions, requeue_after=float(snapshot.settings.pending_grace)
    )


def _lose(snapshot: Snapshot) -> Decision:
    """Retry after the Deployment was deleted, as long as the platform's retry budget lasts."""
    allowed = snapshot.status.get("platformRetries", snapshot.settings.platform_retries)
    spent = next_spent(
        Spent.parse(snapshot.status), Fault.PLATFORM, max_retries=0, max_disruptions=allowed
    )
    words = "its Deployment was deleted while it ran"
    if spent is None:
        return _stop(snapshot, "DeploymentLost", words)
    facts: dict[str, Any] = {
        "attempt": int(snapshot.status.get("attempt") or 0) + 1,
        "retries": spent.as_dict(),
        "pod": {},
    }
    status = advanced(
        snapshot, Phase.RETRYING, "DeploymentLost", words, **facts, service=_with_pods(snapshot, ())
    )
    return Decision(
        status, requeue_after=backoff(spent, Fault.PLATFORM, first=snapshot.settings.retry_backoff)
    )


def _make_again(snapshot: Snapshot) -> Decision:
    wait = backoff_left(snapshot)
    return Decision(requeue_after=wait) if wait > 0 else _make(snapshot)


# -- with Pods -------------------------------------------------------------------------------------


def _validate(snapshot: Snapshot, seen: Replicas) -> Decision:
    if _is_tried_out(snapshot, seen):
        assert seen.trouble is not None
        return _stop(snapshot, seen.trouble.reason, seen.trouble.message)
    if seen.serving:
        return _run(snapshot, seen)
    return _wait(snapshot, seen)


def _is_tried_out(snapshot: Snapshot, seen: Replicas) -> bool:
    """Return whether `maxRetries` is used up. If unset, Kubernetes restarts without limit."""
    allowed = parse_count(snapshot.termination.get("maxRetries"))
    if allowed is None or seen.trouble is None:
        return False
    return seen.restarts > allowed or (seen.is_down and seen.restarts >= allowed)


def _run(snapshot: Snapshot, seen: Replicas) -> Decision:
    """Set Running: one serving replica is enough.

    The message says only what keeps the other replicas from serving.
    """
    wanted = int(snapshot.status["service"].get("replicas") or 1)
    reason, message = "PodRunning", ""
    if len(seen.serving) < wanted:
        if seen.trouble is not None:
            reason, message = (
                seen.trouble.reason,
                f"{len(seen.serving)} of {wanted} replicas serve: {seen.trouble.message}",
            )
        elif snapshot.phase is Phase.RUNNING:
            reason, message = (
                str(snapshot.status.get("reason")),
                str(snapshot.status.get("message") or ""),
            )
    if reason == "PodRunning" and snapshot.activity is not None and snapshot.activity.trouble:
        reason, message = (
            "ProbeFailed",
            f"whether it is idle is not known: {snapshot.activity.trouble}",
        )
    started = snapshot.status.get("startedAt") or seen.started_at or snapshot.stamp
    facts = _facts(snapshot, seen, seen.serving[0])
    status = advanced(snapshot, Phase.RUNNING, reason, message, **facts, startedAt=started)
    # The limits count from now on: look once more, so that the next decision schedules their end.
    is_limited = "startedAt" not in snapshot.status and "termination" in snapshot.status
    # Services are not watched: check periodically whether it still exists.
    return Decision(
        status, requeue_after=0.0 if is_limited else float(snapshot.settings.relist_interval)
    )


def _wait(snapshot: Snapshot, seen: Replicas) -> Decision:
    """Decide for a service none of whose live replicas serves.

    Before the first replica has served, the rules of a job's Pod apply: report slowness after a
    grace period, and bound the wait for trouble.
    """
    has_served = "startedAt" in snapshot.status
    if seen.trouble is None or seen.troubled is None:
        return _wait_for_ready(snapshot, seen, Phase.RETRYING if has_served else Phase.STARTING)
    if has_served:
        return _report_trouble(snapshot, seen, seen.trouble, seen.troubled, Phase.RETRYING, None)
    return _wait_for_first(snapshot, seen, seen.trouble, seen.troubled)


def _wait_for_first(snapshot: Snapshot, seen: Replicas, trouble: Observation, pod: Pod) -> Decision:
    """Bound the wait for the trouble of a Pod of a service that has not served yet."""
    wait = find_node_wait(pod, _age(snapshot, pod), trouble.message, snapshot.settings)
    if wait is not None and wait.is_over:
        doubt = snapshot.doubt_of(pod["metadata"].get("creationTimestamp"))
        if doubt > 0:
            return Decision(requeue_after=doubt)
        return _stop(snapshot, wait.reason, wait.message)
    phase = Phase.RETRYING if seen.is_down or seen.restarts else Phase.STARTING
    patience = patience_left(snapshot, phase, trouble.reason)
    is_users = trouble.fault is Fault.USER
    if trouble.hopeless or (is_users and patience <= 0):
        return _stop(snapshot, trouble.reason, trouble.message)
    left = None if wait is None else wait.left
    return _report_trouble(snapshot, seen, trouble, pod, phase, patience if is_users else left)


def _report_trouble(
    snapshot: Snapshot,
    seen: Replicas,
    trouble: Observation,
    pod: Pod,
    phase: Phase,
    again: float | None,
) -> Decision:
    """Set the phase with the trouble as its reason; slowness is reported after a grace period.

    `again`: seconds until the trouble ends the wait, if it does.
    """
    age = _age(snapshot, pod)
    if trouble.fault is Fault.NONE and age < snapshot.settings.pending_grace:
        return Decision(
            _recorded(snapshot, seen), requeue_after=snapshot.settings.pending_grace - age
        )
    facts = _facts(snapshot, seen, pod)
    status = advanced(
        snapshot, phase, trouble.reason, trouble.message, renew=names_missing(trouble), **facts
    )
    return Decision(
        status,
        requeue_after=_soonest(
            again, float(snapshot.settings.mount_grace) if snapshot.pod_events else None
        ),
    )


def _wait_for_ready(snapshot: Snapshot, seen: Replicas, phase: Phase) -> Decision:
    """Wait for live replicas that report no trouble."""
    pod = seen.live[0]
    if phase is Phase.RETRYING:
        return Decision(
            advanced(
                snapshot,
                phase,
                "NotReady",
                "no replica serves at present",
                **_facts(snapshot, seen, pod),
            )
        )
    since = (state_of(main_of(pod)).get("running") or {}).get("startedAt")
    if since:
        return _wait_for_probe(snapshot, seen, str(since))
    grace = snapshot.settings.mount_grace
    age = _age(snapshot, pod)
    wait = find_node_wait(pod, age, "", snapshot.settings)
    if wait is not None and wait.is_over:
        return _stop(snapshot, wait.reason, wait.message)
    again = (
        (grace - age if age < grace else grace)
        if is_being_made(pod)
        else None
        if wait is None
        else wait.left
    )
    return Decision(_recorded(snapshot, seen), requeue_after=again)


def _wait_for_probe(snapshot: Snapshot, seen: Replicas, since: str) -> Decision:
    """Wait for a running container that was never ready.

    Report the readiness probe once that takes long.
    """
    left = snapshot.settings.init_grace - snapshot.since(since)
    if left > 0:
        return Decision(_recorded(snapshot, seen), requeue_after=left)
    words = (
        f"its container has been running since {since}, and its readiness probe does not find it "
        "ready"
    )
    return Decision(
        advanced(
            snapshot, Phase.STARTING, "NotReady", words, **_facts(snapshot, seen, seen.live[0])
        )
    )


def _recorded(snapshot: Snapshot, seen: Replicas) -> Status | None:
    """Keep the status of a service that is starting, and record its Pods once all of them exist."""
    is_settled = len(seen.live) >= int(snapshot.status["service"].get("replicas") or 1)
    return advanced(
        snapshot,
        Phase.STARTING,
        "PodCreated",
        "",
        **_facts(snapshot, seen, seen.live[0], is_settled=is_settled),
    )


def _age(snapshot: Snapshot, pod: Pod) -> float:
    return snapshot.since(pod["metadata"].get("creationTimestamp"))


# -- what the status keeps -------------------------------------------------------------------------


def _facts(
    snapshot: Snapshot, seen: Replicas, pod: Pod, *, is_settled: bool = True
) -> dict[str, Any]:
    """Return the Pod whose log is the run's log, and all Pods whose tokens may report on the run.

    The first is kept while it lives. Empty unless `is_settled`: replicas are created one after the
    other, and each would cost a write.
    """
    if not is_settled:
        return {}
    known = snapshot.status.get("pod") or {}
    kept = next(
        (
            one
            for one in seen.live
            if one["metadata"]["uid"] == known.get("uid") and one in (seen.serving or seen.live)
        ),
        pod,
    )
    node = (
        {"node": kept["spec"]["nodeName"]}
        if seen.serving and (kept.get("spec") or {}).get("nodeName")
        else {}
    )
    facts = {"name": kept["metadata"]["name"], "uid": kept["metadata"]["uid"]}
    return {
        "pod": {**(known if known.get("uid") == facts["uid"] else {}), **facts, **node},
        "service": _with_pods(snapshot, seen.live),
    }


def _with_pods(snapshot: Snapshot, live: tuple[Pod, ...]) -> dict[str, Any]:
    """Return `status.service` with these Pods, unchanged if it already lists all of them."""
    service: dict[str, Any] = dict(snapshot.status["service"])
    uids = {one["uid"] for one in service.get("pods") or ()}
    kept = live[:_KEPT]
    if kept and all(pod["metadata"]["uid"] in uids for pod in kept):
        return service
    pods = sorted(kept, key=lambda pod: str(pod["metadata"]["name"]))
    return {
        **service,
        "pods": [{"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]} for pod in pods],
    }
