"""What a Pod's status means for the run.

The only place that knows Pod fields for reading. Every check is small, pure and takes a Pod whose lists may be absent or null (a kubelet
that refuses a Pod fills in none of them); the first that has something to say wins. Must not decide whether to try again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opstrand.core.mask import is_secret_name, mask
from opstrand.core.names import MAIN_CONTAINER

Pod = Mapping[str, Any]


class State(StrEnum):
    """How far the attempt is."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Fault(StrEnum):
    """Whose budget a failure is charged to."""

    NONE = "None"
    USER = "User"
    PLATFORM = "Platform"


@dataclass(frozen=True)
class Observation:
    """One look at a Pod. `reason` is of the vocabulary in `errors`; times are RFC 3339 texts as the kubelet wrote them."""

    state: State
    reason: str = ""
    message: str = ""
    fault: Fault = Fault.NONE
    exit_code: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    #: A pending Pod whose trouble will not go away by itself.
    hopeless: bool = False


@dataclass(frozen=True)
class Failure:
    """What a podFailurePolicy looks at: exit codes by container, and the Pod's conditions."""

    exit_codes: Mapping[str, int]
    conditions: Mapping[str, str]


def observe_pod(pod: Pod, events: Sequence[Mapping[str, Any]] = ()) -> Observation:
    """What this Pod says, and where it says nothing its Events. Never raises, whatever the Pod lacks."""
    for check in _CHECKS:
        seen = check(pod)
        if seen is not None:
            return seen
    return find_unmounted(events) or Observation(State.PENDING)


def is_being_made(pod: Pod) -> bool:
    """A node has it, and no container of it has started: the node is busy with images and volumes, or cannot have one of them."""
    if not (pod.get("spec") or {}).get("nodeName") or _status(pod).get("phase") != "Pending":
        return False
    states = [one.get("state") or {} for one in (*containers_of(pod, "initContainerStatuses"), *containers_of(pod))]
    return all("waiting" in state for state in states)


def read_failure(pod: Pod) -> Failure:
    """What is left of a Pod for the rules of a podFailurePolicy."""
    ends = {one.get("name"): _terminated(one) for one in (*containers_of(pod, "initContainerStatuses"), *containers_of(pod))}
    codes = {str(name): int(end["exitCode"]) for name, end in ends.items() if end is not None and end.get("exitCode") is not None}
    conditions = {str(one.get("type")): str(one.get("status")) for one in _status(pod).get("conditions") or ()}
    return Failure(codes, conditions)


def find_unmounted(events: Sequence[Mapping[str, Any]]) -> Observation | None:
    """A volume that the node cannot have: only an Event says so, the Pod itself just waits."""
    told = [one for one in events if one.get("reason") in ("FailedMount", "FailedAttachVolume", "FailedMapVolume")]
    if not told:
        return None
    newest = max(told, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""))
    return Observation(State.PENDING, "VolumeNotMounted", str(newest.get("message") or "no reason given"), Fault.USER)


def _status(pod: Pod) -> Mapping[str, Any]:
    return pod.get("status") or {}


def containers_of(pod: Pod, field: str = "containerStatuses") -> list[Mapping[str, Any]]:
    return list(_status(pod).get(field) or ())


def main_of(pod: Pod) -> Mapping[str, Any]:
    return next((one for one in containers_of(pod) if one.get("name") == MAIN_CONTAINER), {})


def condition_of(pod: Pod, kind: str) -> Mapping[str, Any]:
    return next((one for one in _status(pod).get("conditions") or () if one.get("type") == kind), {})


def _terminated(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return (container.get("state") or {}).get("terminated")


def _main_succeeded(pod: Pod) -> Observation | None:
    """Exit code 0 of main is success, whatever ends the Pod afterwards: sidecars take their time."""
    end = _terminated(main_of(pod))
    if end is None or end.get("exitCode") != 0:
        return None
    return Observation(State.SUCCEEDED, "Succeeded", exit_code=0, started_at=end.get("startedAt"), finished_at=end.get("finishedAt"))


def _disrupted(pod: Pod) -> Observation | None:
    """The cluster took the Pod away: the user's retries are not spent on it, unless it went beyond a limit of its own."""
    reason = _disruption(pod)
    if reason is None or not is_over(pod):
        return None
    message = _disruption_words(pod, reason)
    return _failed(pod, reason, message, Fault.USER if _OWN_LIMIT.search(message) else Fault.PLATFORM)


def _leaving(pod: Pod) -> Observation | None:
    """The cluster takes the Pod away, and no kubelet has ended it yet: that of a lost node never will."""
    reason = _disruption(pod)
    if reason is None or not (pod.get("metadata") or {}).get("deletionTimestamp"):
        return None
    running = (main_of(pod).get("state") or {}).get("running")
    state = State.PENDING if running is None else State.RUNNING
    ending = "; its Pod ends when the node is back, or its Node object is deleted" if reason == "NodeLost" else "; it is given its grace"
    return Observation(state, reason, _disruption_words(pod, reason) + ending, Fault.PLATFORM, started_at=(running or {}).get("startedAt"))


def _disruption(pod: Pod) -> str | None:
    target = condition_of(pod, "DisruptionTarget")
    reason = _DISRUPTIONS.get(str(target.get("reason", ""))) if target.get("status") == "True" else None
    return reason or _DISRUPTIONS.get(str(_status(pod).get("reason", "")))


def _disruption_words(pod: Pod, reason: str) -> str:
    words = str(condition_of(pod, "DisruptionTarget").get("message") or _status(pod).get("message") or reason).strip()
    return f"node {_node(pod)!r} is lost: {words}" if reason == "NodeLost" else words


def _node(pod: Pod) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")


def _deadline(pod: Pod) -> Observation | None:
    """Time was up: how much there was, and where it went if not into main."""
    if not is_over(pod) or _status(pod).get("reason") != "DeadlineExceeded":
        return None
    seconds = (pod.get("spec") or {}).get("activeDeadlineSeconds")
    within = f" within {seconds} s" if seconds else " in time"
    step = next((one for one in _init_steps(pod) if (_terminated(one) or {}).get("exitCode") != 0), None)
    if step is None:
        return _failed(pod, "DeadlineExceeded", f"it did not end{within}", Fault.USER)
    words = _last_words(pod, _terminated(step) or {}).splitlines()
    said = f": {words[-1]}" if words else ""
    return _failed(pod, "DeadlineExceeded", f"init step {step.get('name')!r} did not end{within}{said}", Fault.USER)


def _deleted(pod: Pod) -> Observation | None:
    """Somebody deleted the Pod while it ran: its container was ended by that, not by itself."""
    asked = (pod.get("metadata") or {}).get("deletionTimestamp")
    end = _terminated(main_of(pod))
    if not asked or end is None or not is_over(pod) or end.get("exitCode") not in (137, 143) or end.get("reason") == "OOMKilled":
        return None
    grace = float((pod.get("metadata") or {}).get("deletionGracePeriodSeconds") or 0)
    ended = end.get("finishedAt")
    if ended and datetime.fromisoformat(ended) < datetime.fromisoformat(asked) - timedelta(seconds=grace + 1):
        return None
    return _failed(pod, "PodDeleted", "its Pod was deleted while it ran", Fault.PLATFORM, end)


def _init_failed(pod: Pod) -> Observation | None:
    if not is_over(pod):
        return None
    for container in _init_steps(pod):
        end = _terminated(container)
        if end is not None and end.get("exitCode") not in (0, None):
            reason, message = describe_init_end(pod, container, end)
            return _failed(pod, reason, message, Fault.USER, end)
    return None


def _init_steps(pod: Pod) -> list[Mapping[str, Any]]:
    return [one for one in containers_of(pod, "initContainerStatuses") if not is_sidecar(pod, one)]


def describe_init_end(pod: Pod, container: Mapping[str, Any], end: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and words for how an init container ended that did not end well."""
    name = str(container.get("name"))
    if end.get("reason") == "OOMKilled":
        return "OOMKilled", f"init step {name!r} {_out_of_memory(pod, name)}"
    words = _last_words(pod, end) or str(end.get("reason") or "")
    return "InitFailed", f"init step {name!r} ended with exit code {end['exitCode']}: {words}"


def _main_failed(pod: Pod) -> Observation | None:
    end = _terminated(main_of(pod))
    if end is None or not is_over(pod):
        return None
    reason, message = describe_end(pod, end)
    return _failed(pod, reason, message, Fault.USER, end)


def describe_end(pod: Pod, end: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and words for how the main container ended."""
    words = _last_words(pod, end)
    if end.get("reason") == "OOMKilled":
        return "OOMKilled", f"the container {_out_of_memory(pod, MAIN_CONTAINER)}"
    if end.get("reason") in _NEVER_STARTED:
        return "ContainerFailed", f"the container could not start: {words}"
    return "ContainerFailed", f"exit code {end.get('exitCode')}" + (f": {words}" if words else "")


def _refused_by_node(pod: Pod) -> Observation | None:
    if _status(pod).get("phase") != "Failed":
        return None
    reason = _status(pod).get("reason") or "the Pod failed without running"
    return _failed(pod, "ContainerFailed", f"{reason}: {_status(pod).get('message') or 'no reason given'}", Fault.PLATFORM)


def _succeeded_without_main(pod: Pod) -> Observation | None:
    """A Pod that says Succeeded and no longer lists its containers: some node agents prune them."""
    if _status(pod).get("phase") != "Succeeded":
        return None
    return Observation(State.SUCCEEDED, "Succeeded", exit_code=0, started_at=_status(pod).get("startTime"))


def _running(pod: Pod) -> Observation | None:
    """Main runs, or has failed in a Pod whose phase does not say so yet: it is judged then, and does not go back to Starting."""
    state = main_of(pod).get("state") or {}
    running = state.get("running") or state.get("terminated")
    if running is None or running.get("reason") in _NEVER_STARTED:
        return None
    # A kubelet writes both at once: only the cluster, when it misses the kubelet, takes back the one without the other.
    if (condition_of(pod, "Ready").get("status"), condition_of(pod, "ContainersReady").get("status")) == ("False", "True"):
        return Observation(State.RUNNING, "NodeNotReady", f"node {_node(pod)!r} does not answer", started_at=running.get("startedAt"))
    return Observation(State.RUNNING, "PodRunning", started_at=running.get("startedAt"))


def find_waiting(pod: Pod) -> Observation | None:
    """A container that cannot start, in the kubelet's own words."""
    for container in (*containers_of(pod, "initContainerStatuses"), *containers_of(pod)):
        waiting = (container.get("state") or {}).get("waiting") or {}
        found = _WAITS.get(str(waiting.get("reason", "")))
        if found is not None:
            reason, hopeless = found
            image = container.get("image", "")
            message = str(waiting.get("message") or waiting["reason"])
            where = (
                f"container {container.get('name')!r} (image {image!r}): "
                if reason == "ImagePullFailed"
                else f"container {container.get('name')!r}: "
            )
            return Observation(State.PENDING, reason, where + message, Fault.USER, hopeless=hopeless)
    return None


def find_unschedulable(pod: Pod) -> Observation | None:
    """No node takes it: the scheduler says what is short, the Pod how much of it was asked for."""
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return None
    message = str(scheduled.get("message") or "no node takes it")
    if _NO_CLAIM.search(message):
        return Observation(State.PENDING, "VolumeNotMounted", message, Fault.USER)
    short = dict.fromkeys(_SHORT.findall(message))
    asked = "; ".join(f"asks for {resource}: {amounts}" for resource in short if (amounts := _requests(pod, resource)))
    return Observation(State.PENDING, "Unschedulable", f"{asked}; {message}" if asked else message)


def _requests(pod: Pod, resource: str) -> str:
    """What main and all that runs beside it ask for; the init steps where those ask for none."""
    spec = pod.get("spec") or {}
    inits = spec.get("initContainers") or ()
    beside = [*(spec.get("containers") or ()), *(one for one in inits if one.get("restartPolicy") == "Always")]
    return _amounts(beside, resource) or _amounts(inits, resource)


def _amounts(containers: Sequence[Mapping[str, Any]], resource: str) -> str:
    asked = [(((one.get("resources") or {}).get("requests") or {}).get(resource), one.get("name")) for one in containers]
    return ", ".join(f"{amount} ({name})" for amount, name in asked if amount)


_CHECKS: tuple[Callable[[Pod], Observation | None], ...] = (
    _main_succeeded,
    _disrupted,
    _deadline,
    _deleted,
    _init_failed,
    _main_failed,
    _succeeded_without_main,
    _refused_by_node,
    _leaving,
    _running,
    find_waiting,
    find_unschedulable,
)

_DISRUPTIONS = {
    "EvictionByEvictionAPI": "Evicted",
    "TerminationByKubelet": "Evicted",
    "Evicted": "Evicted",
    "PreemptionByScheduler": "Preempted",
    "Preempting": "Preempted",
    "DeletionByTaintManager": "NodeLost",
    "DeletionByPodGC": "NodeLost",
    "NodeLost": "NodeLost",
    "NodeShutdown": "NodeLost",
    "Terminated": "NodeLost",
}

#: What a kubelet says of a Pod that it evicts for a limit that was asked for, rather than for want of room.
_OWN_LIMIT = re.compile(r"exceed(?:s|ed) (?:the|its) .*limit")
#: What a scheduler says that the nodes have too little of.
_SHORT = re.compile(r"Insufficient ([\w./-]*\w)")
#: What it says of a claim that somebody has to make: no node will do.
_NO_CLAIM = re.compile(r"persistentvolumeclaim \S+ not found")

#: Ends of a container whose program never ran.
_NEVER_STARTED = ("ContainerCannotRun", "StartError")

#: Waiting reason of a container -> our reason, and whether it can never get better by itself.
_WAITS = {
    "ErrImagePull": ("ImagePullFailed", False),
    "ImagePullBackOff": ("ImagePullFailed", False),
    "InvalidImageName": ("ImagePullFailed", True),
    "ErrImageNeverPull": ("ImagePullFailed", True),
    "ImageInspectError": ("ImagePullFailed", False),
    "CreateContainerConfigError": ("ContainerConfigError", False),
    "CreateContainerError": ("ContainerConfigError", False),
    "RunContainerError": ("ContainerFailed", False),
}


def _last_words(pod: Pod, end: Mapping[str, Any]) -> str:
    """What the kubelet kept of a container's log, without the secrets that are known from the Pod or look like some."""
    containers = [*((pod.get("spec") or {}).get("containers") or ()), *((pod.get("spec") or {}).get("initContainers") or ())]
    literal = [entry for one in containers for entry in one.get("env") or () if entry.get("value")]
    secrets = [str(entry["value"]).replace("$$", "$") for entry in literal if is_secret_name(str(entry.get("name")))]
    return mask(str(end.get("message") or "").strip(), secrets)


def is_over(pod: Pod) -> bool:
    """No container of it will run again: its phase is terminal. Exit codes seen before that may still be a deadline's work."""
    return _status(pod).get("phase") in ("Failed", "Succeeded")


def is_sidecar(pod: Pod, container: Mapping[str, Any]) -> bool:
    return any(
        one.get("name") == container.get("name") and one.get("restartPolicy") == "Always"
        for one in (pod.get("spec") or {}).get("initContainers") or ()
    )


def _failed(pod: Pod, reason: str, message: str, fault: Fault, end: Mapping[str, Any] | None = None) -> Observation:
    end = end or _terminated(main_of(pod)) or {}
    began = str(end.get("startedAt") or "")
    return Observation(
        State.FAILED,
        reason,
        message,
        fault,
        exit_code=end.get("exitCode"),
        # The epoch is said of a container that never started.
        started_at=_status(pod).get("startTime") if not began or began.startswith("1970") else began,
        finished_at=end.get("finishedAt"),
    )


def _out_of_memory(pod: Pod, name: str) -> str:
    spec = pod.get("spec") or {}
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    limits = (((one.get("resources") or {}).get("limits") or {}).get("memory") for one in containers if one.get("name") == name)
    limit = next(limits, None)
    return f"used more memory than its limit of {limit}" if limit else "has no memory limit, and its node ran out of memory"
