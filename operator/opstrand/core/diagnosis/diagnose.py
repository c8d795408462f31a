"""What a Pod's status means for the run.

Owns the order of the checks on a Pod; the first one with a result wins. `pod_status` reads the
fields, `terminated` finds how the Pod ended, `pending` finds what keeps it from starting. Must not
decide whether to retry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opstrand.core.diagnosis import pending, terminated
from opstrand.core.diagnosis.observation import Fault, Observation, State
from opstrand.core.diagnosis.pod_status import (
    condition_of,
    is_being_deleted,
    main_of,
    node_of,
    state_of,
)
from opstrand.types import Event, Pod


def observe_pod(pod: Pod, events: Sequence[Event] = ()) -> Observation:
    """Observe this Pod, and its Events if the Pod itself says nothing.

    Never raises, whatever fields the Pod lacks.
    """
    for check in _CHECKS:
        seen = check(pod)
        if seen is not None:
            return seen
    return pending.find_in_events(events) or Observation(State.PENDING)


def _leaving(pod: Pod) -> Observation | None:
    """Observe a Pod that the cluster is removing and no kubelet has ended yet.

    The kubelet of a lost node never will.
    """
    reason = terminated.disruption_of(pod)
    if reason is None or not is_being_deleted(pod):
        return None
    running = state_of(main_of(pod)).get("running")
    state = State.PENDING if running is None else State.RUNNING
    ending = (
        "; its Pod ends when the node is back, or its Node object is deleted"
        if reason == "NodeLost"
        else "; it is given its grace"
    )
    message = terminated.describe_disruption(pod, reason) + ending
    return Observation(
        state, reason, message, Fault.PLATFORM, started_at=(running or {}).get("startedAt")
    )


def _running(pod: Pod) -> Observation | None:
    """Observe a Pod whose main container runs, or has ended before the Pod's phase says so.

    The latter counts as Running until the phase is final, and does not go back to Starting.
    """
    state = state_of(main_of(pod))
    running = state.get("running") or state.get("terminated")
    if running is None or running.get("reason") in terminated.NEVER_STARTED:
        return None
    # A kubelet writes both conditions at once. Only the node controller, when the node does not
    # answer, resets Ready alone.
    if (
        condition_of(pod, "Ready").get("status"),
        condition_of(pod, "ContainersReady").get("status"),
    ) == ("False", "True"):
        return Observation(
            State.RUNNING,
            "NodeNotReady",
            f"node {node_of(pod)!r} does not answer",
            started_at=running.get("startedAt"),
        )
    return Observation(State.RUNNING, "PodRunning", started_at=running.get("startedAt"))


_CHECKS: tuple[Callable[[Pod], Observation | None], ...] = (
    terminated.find_success,
    terminated.find_disruption,
    terminated.find_deadline,
    terminated.find_deletion,
    terminated.find_restarted_node,
    terminated.find_failed_init,
    terminated.find_failed_main,
    terminated.find_success_without_main,
    terminated.find_refusal,
    _leaving,
    _running,
    pending.find_broken_sidecar,
    pending.find_waiting,
    pending.find_unschedulable,
    pending.find_running_init,
)
