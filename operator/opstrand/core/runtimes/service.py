"""Advance a frozen run of kind service: it runs while one replica serves, and ends on request.

Kubernetes keeps the replicas alive; their state becomes the run's phase. Every end goes through
Stopping, with its reason: the run is over once its Deployment and its Pods are gone. Must not
resolve anything: objects that are created again are rendered from what was frozen.

    Starting ──▶ Running ⇄ Retrying      a replica serves; none does, and Kubernetes restarts it
       └───────────┴──────────┴──▶ Stopping ──▶ Stopped (on request, timeout, idle)
                                            └─▶ Failed (cannot start, maxRetries)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opstrand.core.compiling.prepare import Prepared
from opstrand.core.diagnosis.observation import Fault
from opstrand.core.lifecycle.actions import Refusal
from opstrand.core.lifecycle.admission import (
    Verdict,
    interpret_forbidden,
    interpret_refusal,
    refuse,
)
from opstrand.core.lifecycle.asks import Ask
from opstrand.core.lifecycle.retry import Spent, backoff, next_spent
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced
from opstrand.core.phase import Phase
from opstrand.core.planning.service_globals import KIND
from opstrand.core.pods.attempt import parse_count
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.runtimes.attempts import (
    backoff_left,
    create_objects,
    recreate,
    render_first,
    restore_documents,
)
from opstrand.core.runtimes.base import Frozen
from opstrand.core.runtimes.replicas import Replicas, is_live, observe_replicas
from opstrand.core.runtimes.service_end import (
    clear_service,
    find_limit,
    resume_service,
    soonest,
    stop_service,
    wind_down,
)
from opstrand.core.runtimes.service_facts import list_facts, with_pods
from opstrand.core.runtimes.service_snapshot import (
    ServiceSnapshot,
    list_service_asks,
    see_service,
)
from opstrand.core.runtimes.service_waiting import wait_for_replicas
from opstrand.errors import SpecError
from opstrand.types import Condition, Deployment


class ServiceRuntime:
    """A run of kind service: a Deployment and a Service, until a stop is requested."""

    kind = KIND
    mark = "service"

    def freeze(self, snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Frozen:
        attempt = render_first(snapshot, prepared, resolved)
        facts = {"pod": {}, "podDigest": attempt.digest, "service": attempt.service_facts}
        # The Deployment creates the Pods, not the operator: look whether they come.
        again = float(snapshot.settings.pending_grace)
        return Frozen(
            attempt.plan,
            facts,
            create_objects(attempt),
            attempt.lineage,
            again,
            has_result=False,
        )

    def asks(self, snapshot: Snapshot) -> tuple[Ask, ...]:
        return list_service_asks(snapshot)

    def needs_file(self, snapshot: Snapshot) -> bool:
        # The file is read only to render again what is missing.
        seen = see_service(snapshot)
        if any(is_live(pod) for pod in seen.replicas) or snapshot.phase is Phase.STOPPING:
            return seen.service_is_gone or seen.documents_are_gone
        return True

    def advance(self, snapshot: Snapshot) -> Decision:
        return _advance(see_service(snapshot))

    def resume(self, snapshot: Snapshot) -> Decision:
        return resume_service(see_service(snapshot))

    def clear(self, snapshot: Snapshot) -> Decision:
        return clear_service(see_service(snapshot))

    def refused(self, snapshot: Snapshot, refusal: Refusal) -> Decision | None:
        verdict = interpret_refusal(refusal)
        return None if verdict is None else self.end_early(snapshot, verdict)

    def end_early(self, snapshot: Snapshot, verdict: Verdict) -> Decision:
        return refuse(snapshot, verdict, is_cleared_first=True)


def _advance(snapshot: ServiceSnapshot) -> Decision:
    """Decide the next step of a service whose inputs are frozen."""
    if snapshot.phase is Phase.STOPPING:
        return wind_down(snapshot)
    if snapshot.is_to_stop:
        return stop_service(
            snapshot, "Stopping", "stop requested: its containers are given their grace"
        )
    limit = find_limit(snapshot)
    if limit.actions:
        return limit
    seen = observe_replicas(
        snapshot.replicas, snapshot.pod_events, now=snapshot.now, since=snapshot.since
    )
    decision = _validate(snapshot, seen) if seen.live else _serve_without(snapshot)
    if snapshot.service_is_gone and decision.actions == ():
        decision = _restore(snapshot, decision)
    if snapshot.documents_are_gone and not decision.actions:
        decision = replace(decision, actions=restore_documents(snapshot))
    return replace(
        decision,
        requeue_after=soonest(decision.requeue_after, limit.requeue_after, seen.again),
    )


def _restore(snapshot: ServiceSnapshot, decision: Decision) -> Decision:
    """Create the deleted Service again: the replicas run, but no client finds them by its name."""
    try:
        return replace(decision, actions=recreate(snapshot).actions)
    except SpecError as error:
        message = f"its Service was deleted and cannot be made again: {error.message}"
        return replace(decision, status=advanced(snapshot, Phase.RUNNING, error.reason, message))


# -- without a Pod ---------------------------------------------------------------------------------


def _serve_without(snapshot: ServiceSnapshot) -> Decision:
    """Decide for a service without a live replica.

    Its Deployment is not created yet, was deleted, cannot create Pods, or is about to.
    """
    if _is_due(snapshot):
        return _make_again(snapshot)
    if snapshot.is_being_deleted:
        return stop_service(snapshot, "Stopping", "its Operation is being deleted")
    if snapshot.deployment_is_gone:
        return _lose(snapshot)
    if snapshot.deployment is None:
        return _make(snapshot)
    return _wait_for_deployment(snapshot, snapshot.deployment)


def _wait_for_deployment(snapshot: ServiceSnapshot, deployment: Deployment) -> Decision:
    """Wait for a Deployment without live Pods, and report why it cannot create them."""
    grace = float(snapshot.settings.pending_grace)
    refused = _find_condition(deployment, "ReplicaFailure")
    if refused is None:
        return _wait_for_pods(snapshot, grace)
    message = str(refused.get("message") or refused.get("reason"))
    verdict = interpret_forbidden(message)
    if verdict is not None:
        return refuse(snapshot, verdict, is_cleared_first=True)
    status = advanced(snapshot, Phase.STARTING, "PodRefused", message)
    return Decision(status, requeue_after=2 * grace)


def _wait_for_pods(snapshot: ServiceSnapshot, grace: float) -> Decision:
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


def _make(snapshot: ServiceSnapshot) -> Decision:
    """Create the objects of the service.

    Either the operator died between the freeze and the requests, or the requests were refused and
    may succeed now.
    """
    try:
        decision = recreate(snapshot)
    except SpecError as error:
        return stop_service(snapshot, error.reason, error.message)
    return replace(decision, requeue_after=float(snapshot.settings.pending_grace))


def _lose(snapshot: ServiceSnapshot) -> Decision:
    """Retry after the Deployment was deleted, as long as the platform's retry budget lasts."""
    allowed = snapshot.status.get("platformRetries", snapshot.settings.platform_retries)
    spent = next_spent(
        Spent.parse(snapshot.status), Fault.PLATFORM, max_retries=0, max_disruptions=allowed
    )
    message = "its Deployment was deleted while it ran"
    if spent is None:
        return stop_service(snapshot, "DeploymentLost", message)
    facts: dict[str, Any] = {
        "attempt": int(snapshot.status.get("attempt") or 0) + 1,
        "retries": spent.as_dict(),
        "pod": {},
    }
    status = advanced(
        snapshot,
        Phase.RETRYING,
        "DeploymentLost",
        message,
        **facts,
        service=with_pods(snapshot, ()),
    )
    return Decision(
        status, requeue_after=backoff(spent, Fault.PLATFORM, first=snapshot.settings.retry_backoff)
    )


def _is_due(snapshot: ServiceSnapshot) -> bool:
    """Return whether the next thing to do is to create the Deployment again."""
    is_lost = snapshot.status.get("reason") == "DeploymentLost"
    return snapshot.phase is Phase.RESUMING or (snapshot.phase is Phase.RETRYING and is_lost)


def _make_again(snapshot: ServiceSnapshot) -> Decision:
    wait = backoff_left(snapshot)
    return Decision(requeue_after=wait) if wait > 0 else _make(snapshot)


# -- with Pods -------------------------------------------------------------------------------------


def _validate(snapshot: ServiceSnapshot, seen: Replicas) -> Decision:
    if _is_tried_out(snapshot, seen):
        assert seen.trouble is not None
        return stop_service(snapshot, seen.trouble.reason, seen.trouble.message)
    if seen.serving:
        return _run(snapshot, seen)
    return wait_for_replicas(snapshot, seen)


def _is_tried_out(snapshot: ServiceSnapshot, seen: Replicas) -> bool:
    """Return whether `maxRetries` is used up. If unset, Kubernetes restarts without limit."""
    allowed = parse_count(snapshot.termination.get("maxRetries"))
    if allowed is None or seen.trouble is None:
        return False
    return seen.restarts > allowed or (seen.is_down and seen.restarts >= allowed)


def _run(snapshot: ServiceSnapshot, seen: Replicas) -> Decision:
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
    facts = list_facts(snapshot, seen, seen.serving[0])
    status = advanced(snapshot, Phase.RUNNING, reason, message, **facts, startedAt=started)
    # The limits count from now on: look once more, so that the next decision schedules their end.
    is_limited = "startedAt" not in snapshot.status and "termination" in snapshot.status
    # Services are not watched: check periodically whether it still exists.
    return Decision(
        status, requeue_after=0.0 if is_limited else float(snapshot.settings.relist_interval)
    )
