"""Wait for a service none of whose live replicas serves.

Before the first replica has served, the rules of a job's Pod apply: slowness is reported after a
grace period, and the wait for trouble is bounded. Must not create objects.
"""

from __future__ import annotations

from opstrand.core.diagnosis.observation import Fault, Observation
from opstrand.core.diagnosis.pending import names_missing
from opstrand.core.diagnosis.pod_status import is_being_made, main_of, state_of
from opstrand.core.lifecycle.node_wait import find_node_wait
from opstrand.core.lifecycle.snapshot import Decision
from opstrand.core.lifecycle.status import Status
from opstrand.core.lifecycle.transitions import advanced, patience_left
from opstrand.core.phase import Phase
from opstrand.core.runtimes.replicas import Replicas
from opstrand.core.runtimes.service_end import soonest, stop_service
from opstrand.core.runtimes.service_facts import list_facts
from opstrand.core.runtimes.service_snapshot import ServiceSnapshot
from opstrand.types import Pod


def wait_for_replicas(snapshot: ServiceSnapshot, seen: Replicas) -> Decision:
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


def _wait_for_first(
    snapshot: ServiceSnapshot, seen: Replicas, trouble: Observation, pod: Pod
) -> Decision:
    """Bound the wait for the trouble of a Pod of a service that has not served yet."""
    wait = find_node_wait(pod, _age(snapshot, pod), trouble.message, snapshot.settings)
    if wait is not None and wait.is_over:
        doubt = snapshot.doubt_of(pod["metadata"].get("creationTimestamp"))
        if doubt > 0:
            return Decision(requeue_after=doubt)
        return stop_service(snapshot, wait.reason, wait.message)
    phase = Phase.RETRYING if seen.is_down or seen.restarts else Phase.STARTING
    patience = patience_left(snapshot, phase, trouble.reason)
    is_users = trouble.fault is Fault.USER
    if trouble.hopeless or (is_users and patience <= 0):
        return stop_service(snapshot, trouble.reason, trouble.message)
    left = None if wait is None else wait.left
    return _report_trouble(snapshot, seen, trouble, pod, phase, patience if is_users else left)


def _report_trouble(
    snapshot: ServiceSnapshot,
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
    facts = list_facts(snapshot, seen, pod)
    status = advanced(
        snapshot, phase, trouble.reason, trouble.message, renew=names_missing(trouble), **facts
    )
    return Decision(
        status,
        requeue_after=soonest(
            again, float(snapshot.settings.mount_grace) if snapshot.pod_events else None
        ),
    )


def _wait_for_ready(snapshot: ServiceSnapshot, seen: Replicas, phase: Phase) -> Decision:
    """Wait for live replicas that report no trouble."""
    pod = seen.live[0]
    if phase is Phase.RETRYING:
        return Decision(
            advanced(
                snapshot,
                phase,
                "NotReady",
                "no replica serves at present",
                **list_facts(snapshot, seen, pod),
            )
        )
    since = (state_of(main_of(pod)).get("running") or {}).get("startedAt")
    if since:
        return _wait_for_probe(snapshot, seen, str(since))
    grace = snapshot.settings.mount_grace
    age = _age(snapshot, pod)
    wait = find_node_wait(pod, age, "", snapshot.settings)
    if wait is not None and wait.is_over:
        return stop_service(snapshot, wait.reason, wait.message)
    again = (
        (grace - age if age < grace else grace)
        if is_being_made(pod)
        else None
        if wait is None
        else wait.left
    )
    return Decision(_recorded(snapshot, seen), requeue_after=again)


def _wait_for_probe(snapshot: ServiceSnapshot, seen: Replicas, since: str) -> Decision:
    """Wait for a running container that was never ready.

    Report the readiness probe once that takes long.
    """
    left = snapshot.settings.init_grace - snapshot.since(since)
    if left > 0:
        return Decision(_recorded(snapshot, seen), requeue_after=left)
    message = (
        f"its container has been running since {since}, and its readiness probe does not find it "
        "ready"
    )
    return Decision(
        advanced(
            snapshot,
            Phase.STARTING,
            "NotReady",
            message,
            **list_facts(snapshot, seen, seen.live[0]),
        )
    )


def _recorded(snapshot: ServiceSnapshot, seen: Replicas) -> Status | None:
    """Keep the status of a service that is starting, and record its Pods once all of them exist."""
    is_settled = len(seen.live) >= int(snapshot.status["service"].get("replicas") or 1)
    return advanced(
        snapshot,
        Phase.STARTING,
        "PodCreated",
        "",
        **list_facts(snapshot, seen, seen.live[0], is_settled=is_settled),
    )


def _age(snapshot: ServiceSnapshot, pod: Pod) -> float:
    return snapshot.since(pod["metadata"].get("creationTimestamp"))
