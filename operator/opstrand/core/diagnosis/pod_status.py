"""Read the fields of a Pod's spec and status, any of which may be absent or null.

The only place that knows Pod fields for reading: a kubelet that refuses a Pod fills in none of the
lists, and the kubelet of a lost node never ends anything. Must not say what any of it means for the
run: `pending` and `terminated` do.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from opstrand.core.mask import is_secret_name, mask
from opstrand.core.names import COLLECTOR, MAIN_CONTAINER
from opstrand.core.planning.expansion import expand
from opstrand.types import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
)

_Field = Literal["containerStatuses", "initContainerStatuses"]


def status_of(pod: Pod) -> PodStatus:
    return pod.get("status") or {}


def spec_of(pod: Pod) -> PodSpec:
    return pod.get("spec") or {}


def node_of(pod: Pod) -> str:
    return str(spec_of(pod).get("nodeName") or "")


def containers_of(pod: Pod, field: _Field = "containerStatuses") -> list[ContainerStatus]:
    return list(status_of(pod).get(field) or ())


def all_containers_of(pod: Pod) -> list[ContainerStatus]:
    """Return the init containers first, in the order in which they start."""
    return [*containers_of(pod, "initContainerStatuses"), *containers_of(pod)]


def init_steps_of(pod: Pod) -> list[ContainerStatus]:
    return [one for one in containers_of(pod, "initContainerStatuses") if not is_sidecar(pod, one)]


def main_of(pod: Pod) -> ContainerStatus:
    return next(
        (one for one in containers_of(pod) if one.get("name") == MAIN_CONTAINER), ContainerStatus()
    )


def collector_of(pod: Pod) -> ContainerStatus | None:
    """Return the status of the container that sends the run's files; None without one."""
    if all(one.get("name") != COLLECTOR for one in spec_of(pod).get("initContainers") or ()):
        return None
    known = containers_of(pod, "initContainerStatuses")
    return next((one for one in known if one.get("name") == COLLECTOR), ContainerStatus())


def condition_of(pod: Pod, kind: str) -> PodCondition:
    return next(
        (one for one in status_of(pod).get("conditions") or () if one.get("type") == kind),
        PodCondition(),
    )


def state_of(container: ContainerStatus) -> ContainerState:
    return container.get("state") or {}


def end_of(container: ContainerStatus) -> ContainerStateTerminated | None:
    """Return how the container ended, if it has; `exitCode` may be absent."""
    return state_of(container).get("terminated")


def earlier_end_of(container: ContainerStatus) -> ContainerStateTerminated | None:
    """Return how the container ended before its last restart."""
    return (container.get("lastState") or {}).get("terminated")


def is_over(pod: Pod) -> bool:
    """Return whether the Pod's phase is terminal: no container of it will run again.

    Exit codes that appear before that may still be due to a deadline.
    """
    return status_of(pod).get("phase") in ("Failed", "Succeeded")


def is_being_deleted(pod: Pod) -> bool:
    return bool((pod.get("metadata") or {}).get("deletionTimestamp"))


def is_sidecar(pod: Pod, container: ContainerStatus) -> bool:
    return any(
        one.get("name") == container.get("name") and one.get("restartPolicy") == "Always"
        for one in spec_of(pod).get("initContainers") or ()
    )


def is_being_made(pod: Pod) -> bool:
    """Return whether a node has the Pod and has started none of its containers.

    The node is busy with images and volumes, or cannot get one of them.
    """
    if not node_of(pod) or status_of(pod).get("phase") != "Pending":
        return False
    return all("waiting" in state_of(one) for one in all_containers_of(pod))


def has_company(pod: Pod) -> bool:
    """Return whether a container that neither the operator nor the user asked for runs beside main.

    An admission webhook injected it, and it does not end by itself.
    """
    return any(
        one.get("name") != MAIN_CONTAINER and "running" in state_of(one)
        for one in containers_of(pod)
    )


def was_beyond_deadline(pod: Pod, end: ContainerStateTerminated) -> bool:
    """Return whether the container ended after the Pod's deadline.

    By then every container was asked to end, and some do so with exit code 0.
    """
    seconds, started, finished = (
        spec_of(pod).get("activeDeadlineSeconds"),
        status_of(pod).get("startTime"),
        end.get("finishedAt"),
    )
    if not seconds or not started or not finished:
        return False
    return datetime.fromisoformat(finished) >= datetime.fromisoformat(started) + timedelta(
        seconds=int(seconds)
    )


def last_output(pod: Pod, end: ContainerStateTerminated) -> str:
    """Return the container's termination message without secrets.

    Secrets are those known from the Pod, and those that look like one.
    """
    literal = [
        entry for one in _declared(pod) for entry in one.get("env") or () if entry.get("value")
    ]
    secrets = [
        expand(str(entry["value"]), {})
        for entry in literal
        if is_secret_name(str(entry.get("name")))
    ]
    return mask(str(end.get("message") or "").strip(), secrets)


def memory_limit_of(pod: Pod, name: str) -> str | None:
    limits = (
        ((one.get("resources") or {}).get("limits") or {}).get("memory")
        for one in _declared(pod)
        if one.get("name") == name
    )
    return next(limits, None)


def _declared(pod: Pod) -> Iterator[Container]:
    yield from spec_of(pod).get("containers") or ()
    yield from spec_of(pod).get("initContainers") or ()
