"""A Pod as it is read: the fields of its spec and status, whatever of them is absent or null.

The only place that knows Pod fields for reading: a kubelet that refuses a Pod fills in none of the
lists, and a lost one never ends anything. Must not say what any of it means for the run: `hanging`
and `ended` do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from opstrand.core.mask import is_secret_name, mask
from opstrand.core.names import MAIN_CONTAINER
from opstrand.core.planning.expansion import expand

Pod = Mapping[str, Any]
#: An entry of containerStatuses or initContainerStatuses.
ContainerStatus = Mapping[str, Any]


def status_of(pod: Pod) -> Mapping[str, Any]:
    return pod.get("status") or {}


def spec_of(pod: Pod) -> Mapping[str, Any]:
    return pod.get("spec") or {}


def node_of(pod: Pod) -> str:
    return str(spec_of(pod).get("nodeName") or "")


def containers_of(pod: Pod, field: str = "containerStatuses") -> list[ContainerStatus]:
    return list(status_of(pod).get(field) or ())


def all_containers_of(pod: Pod) -> list[ContainerStatus]:
    """Those of init first, as they start."""
    return [*containers_of(pod, "initContainerStatuses"), *containers_of(pod)]


def init_steps_of(pod: Pod) -> list[ContainerStatus]:
    return [one for one in containers_of(pod, "initContainerStatuses") if not is_sidecar(pod, one)]


def main_of(pod: Pod) -> ContainerStatus:
    return next((one for one in containers_of(pod) if one.get("name") == MAIN_CONTAINER), {})


def condition_of(pod: Pod, kind: str) -> Mapping[str, Any]:
    return next(
        (one for one in status_of(pod).get("conditions") or () if one.get("type") == kind), {}
    )


def state_of(container: ContainerStatus) -> Mapping[str, Any]:
    return container.get("state") or {}


def end_of(container: ContainerStatus) -> Mapping[str, Any] | None:
    """How it ended, where it has; `exitCode` may be absent."""
    return state_of(container).get("terminated")


def earlier_end_of(container: ContainerStatus) -> Mapping[str, Any] | None:
    """How it ended before it was started again."""
    return (container.get("lastState") or {}).get("terminated")


def is_over(pod: Pod) -> bool:
    """No container of it will run again: its phase is terminal.

    Exit codes seen before that may still be a deadline's work.
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
    """A node has it, and no container of it has started: the node is busy with images and volumes,
    or cannot have one of them.
    """
    if not node_of(pod) or status_of(pod).get("phase") != "Pending":
        return False
    return all("waiting" in state_of(one) for one in all_containers_of(pod))


def has_company(pod: Pod) -> bool:
    """Whether a container that neither we nor the user asked for runs beside main: somebody's
    admission webhook put it there, and it has no end of its own.
    """
    return any(
        one.get("name") != MAIN_CONTAINER and "running" in state_of(one)
        for one in containers_of(pod)
    )


def was_beyond_deadline(pod: Pod, end: Mapping[str, Any]) -> bool:
    """Whether this end came when the Pod's time was up: by then every container was asked to end,
    and some do so with exit code 0.
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


def last_words(pod: Pod, end: Mapping[str, Any]) -> str:
    """What the kubelet kept of a container's log, without the secrets that are known from the Pod
    or look like some.
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


def _declared(pod: Pod) -> Iterator[Mapping[str, Any]]:
    yield from spec_of(pod).get("containers") or ()
    yield from spec_of(pod).get("initContainers") or ()
