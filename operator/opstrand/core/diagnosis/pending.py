"""What keeps a Pod from starting: a missing node, image, volume or Secret, or a broken sidecar.

Every check is small, pure, and answers with the message of the component that refuses: scheduler,
kubelet, registry. Must not decide how long to wait.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from opstrand.core.diagnosis.observation import Fault, Observation, State
from opstrand.core.diagnosis.pod_status import (
    all_containers_of,
    condition_of,
    containers_of,
    earlier_end_of,
    end_of,
    init_steps_of,
    is_sidecar,
    main_of,
    spec_of,
    state_of,
)
from opstrand.core.diagnosis.terminated import describe_end
from opstrand.core.names import COLLECTOR
from opstrand.types import Container, Event, Pod, PodCondition

#: Waiting reason of a container -> the run's reason, and whether it can never recover by itself.
_WAITS = {
    "ErrImagePull": ("ImagePullFailed", False),
    "ImagePullBackOff": ("ImagePullFailed", False),
    "RegistryUnavailable": ("ImagePullFailed", False),
    "SignatureValidationFailed": ("ImagePullFailed", False),
    "InvalidImageName": ("ImagePullFailed", True),
    "ErrImageNeverPull": ("ImagePullFailed", True),
    "ImageInspectError": ("ImagePullFailed", False),
    "CreateContainerConfigError": ("ContainerConfigError", False),
    "CreateContainerError": ("ContainerConfigError", False),
    "RunContainerError": ("ContainerFailed", False),
}
#: The scheduler's message about a resource that the nodes have too little of.
_SHORT = re.compile(r"Insufficient ([\w./-]*\w)")
#: The scheduler's message about a missing claim: a person must create it, no node will do.
_NO_CLAIM = re.compile(r"persistentvolumeclaim \S+ not found")
#: The kubelet's message about a Secret, a ConfigMap or a key that a person must create.
_MISSING = re.compile(r"not found|couldn't find|non-existent")
#: Event reasons by which only the node says why it does not start a Pod.
_MOUNTS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
_SANDBOX = "FailedCreatePodSandBox"
#: The longest time between two Events of a node that keeps failing; older trouble may be fixed.
_SILENCE = timedelta(minutes=3)


def find_broken_sidecar(pod: Pod) -> Observation | None:
    """Find a sidecar that ends before it is up: Kubernetes restarts it, and never starts main."""
    for container in containers_of(pod, "initContainerStatuses"):
        end = end_of(container) or earlier_end_of(container)
        if end is not None and is_sidecar(pod, container) and not container.get("started"):
            reason, message = describe_end(pod, container, end)
            how = (
                "is down"
                if "running" in state_of(main_of(pod))
                else "does not come up, and main waits for it"
            )
            return Observation(
                State.PENDING,
                reason,
                f"sidecar {container.get('name')!r} {how}: {message}",
                Fault.USER,
            )
    return None


def find_waiting(pod: Pod) -> Observation | None:
    """Find a container that cannot start, with the kubelet's message."""
    for container in all_containers_of(pod):
        waiting = state_of(container).get("waiting") or {}
        found = _WAITS.get(str(waiting.get("reason", "")))
        if found is not None:
            reason, hopeless = found
            image = (
                f" (image {container.get('image', '')!r})" if reason == "ImagePullFailed" else ""
            )
            message = (
                f"container {container.get('name')!r}{image}: "
                f"{waiting.get('message') or waiting['reason']}"
            )
            return Observation(State.PENDING, reason, message, Fault.USER, hopeless=hopeless)
    return None


def find_unschedulable(pod: Pod) -> Observation | None:
    """Find a Pod that no node accepts.

    The scheduler says which resource is short, the Pod's spec how much of it was requested.
    """
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled.get("status") != "False":
        return None
    if scheduled.get("reason") == "SchedulingGated":
        return Observation(State.PENDING, "SchedulingGated", _describe_gates(pod, scheduled))
    if scheduled.get("reason") != "Unschedulable":
        return None
    message = str(scheduled.get("message") or "no node accepts it")
    if _NO_CLAIM.search(message):
        return Observation(State.PENDING, "VolumeNotMounted", message, Fault.USER)
    short = dict.fromkeys(_SHORT.findall(message))
    asked = "; ".join(
        f"asks for {resource}: {amounts}"
        for resource in short
        if (amounts := _requests(pod, resource))
    )
    return Observation(State.PENDING, "Unschedulable", f"{asked}; {message}" if asked else message)


def _describe_gates(pod: Pod, scheduled: PodCondition) -> str:
    gates = ", ".join(str(one.get("name")) for one in spec_of(pod).get("schedulingGates") or ())
    return f"held back by {gates}" if gates else str(scheduled.get("message") or "held back")


def _requests(pod: Pod, resource: str) -> str:
    """Return the requests of main and its sidecars; those of the init steps if these have none.

    The collector is left out: it asks for little, and is not in the component.
    """
    inits = spec_of(pod).get("initContainers") or ()
    beside = [
        *(spec_of(pod).get("containers") or ()),
        *(
            one
            for one in inits
            if one.get("restartPolicy") == "Always" and one.get("name") != COLLECTOR
        ),
    ]
    return _amounts(beside, resource) or _amounts(inits, resource)


def _amounts(containers: Sequence[Container], resource: str) -> str:
    asked = [
        (((one.get("resources") or {}).get("requests") or {}).get(resource), one.get("name"))
        for one in containers
    ]
    return ", ".join(f"{amount} ({name})" for amount, name in asked if amount)


def find_running_init(pod: Pod) -> Observation | None:
    """Find a running init step. One that hangs looks the same from outside."""
    for container in init_steps_of(pod):
        since = (state_of(container).get("running") or {}).get("startedAt")
        if since:
            message = f"init step {container.get('name')!r} has been running since {since}"
            return Observation(State.PENDING, "InitRunning", message, started_at=since)
    return None


def names_missing(seen: Observation) -> bool:
    """Return whether the message names a missing object.

    Once that exists, the next one may be missing, for the same reason.
    """
    return (
        seen.reason in ("ContainerConfigError", "VolumeNotMounted")
        and _MISSING.search(seen.message) is not None
    )


def find_in_events(events: Sequence[Event]) -> Observation | None:
    """Find trouble that only an Event reports while the Pod just waits.

    That is a volume that the node cannot mount, or a network that it cannot set up.
    """
    unmounted = _find_reported(events, _MOUNTS)
    if unmounted is not None:
        return Observation(State.PENDING, "VolumeNotMounted", unmounted, Fault.USER)
    unmade = _find_reported(events, (_SANDBOX,))
    return (
        None
        if unmade is None
        else Observation(State.PENDING, "PlatformError", f"its node cannot make the Pod: {unmade}")
    )


def _find_reported(events: Sequence[Event], reasons: Sequence[str]) -> str | None:
    """Return the recent message for one of these reasons.

    Events alternate between several messages: always return the same one of them.
    """
    found = [one for one in events if one.get("reason") in reasons]
    newest = max((_when(one) for one in found), default="")
    return min(
        (
            str(one.get("message") or "no reason given")
            for one in found
            if _is_recent(_when(one), newest)
        ),
        default=None,
    )


def _when(event: Event) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _is_recent(time: str, newest: str) -> bool:
    try:
        return datetime.fromisoformat(newest) - datetime.fromisoformat(time) < _SILENCE
    except ValueError:
        return time == newest
