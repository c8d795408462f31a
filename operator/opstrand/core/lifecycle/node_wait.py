"""Bound how long a run waits for a node that accepts its Pod.

Owns that bound: the kubelet counts a Pod's deadline from the moment a node has it, so nothing
counts it without a node. Must not end anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from opstrand.core.diagnosis.pod_status import (
    all_containers_of,
    condition_of,
    node_of,
    spec_of,
    status_of,
)
from opstrand.settings import Settings
from opstrand.types import Pod


@dataclass(frozen=True)
class NodeWait:
    """The bound of one Pod's wait for a node.

    `left` is in seconds; `reason` and `message` are for a run that ends by this bound.
    """

    left: float
    reason: str
    message: str

    @property
    def is_over(self) -> bool:
        return self.left <= 0


def find_node_wait(
    pod: Pod, age: float, scheduler_message: str, settings: Settings
) -> NodeWait | None:
    """Return the bound of a Pod of this age in seconds.

    None if the Pod has a node or is held back on purpose.

    A run with a timeout waits for the longer of that and `start_patience`, in which a cluster can
    add a node. `scheduler_message` is the scheduler's message.
    """
    if not _is_waiting(pod):
        return None
    timeout, limit = spec_of(pod).get("activeDeadlineSeconds"), settings.node_patience
    suffix = f": {scheduler_message}" if scheduler_message else ""
    bounds = (
        [
            (
                limit,
                "Unschedulable",
                f"no node took its Pod within {limit} s (OPSTRAND_NODE_PATIENCE){suffix}",
            )
        ]
        if limit
        else []
    )
    if timeout is not None:
        most = max(int(timeout), settings.start_patience)
        which = (
            "its timeout"
            if most == timeout
            else f"OPSTRAND_START_PATIENCE, which is more than its timeout of {timeout} s"
        )
        bounds.append(
            (most, "DeadlineExceeded", f"no node took its Pod within {most} s ({which}){suffix}")
        )
    if not bounds:
        return None
    seconds, reason, message = min(bounds)
    return NodeWait(seconds - age, reason, message)


def _is_waiting(pod: Pod) -> bool:
    """Return whether no node has the Pod.

    A Pod that a queue such as Kueue holds back waits for that queue, without a bound.
    """
    scheduled = condition_of(pod, "PodScheduled")
    if status_of(pod).get("phase") not in (None, "Pending") or all_containers_of(pod):
        return False
    if scheduled.get("reason") == "SchedulingGated" or spec_of(pod).get("schedulingGates"):
        return False
    return not node_of(pod) or scheduled.get("status") == "False"
