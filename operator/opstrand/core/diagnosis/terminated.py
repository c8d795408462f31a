"""How a Pod ended, whose fault that was, and in which words.

Checks in the order in which `diagnose` asks them: each is small and pure, and None where it has
nothing to say. Must not decide whether to try again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from opstrand.core.diagnosis.observation import Fault, Observation, State
from opstrand.core.diagnosis.pod_status import (
    ContainerStatus,
    Pod,
    condition_of,
    end_of,
    has_company,
    init_steps_of,
    is_being_deleted,
    is_over,
    last_words,
    main_of,
    memory_limit_of,
    node_of,
    spec_of,
    status_of,
    was_beyond_deadline,
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
#: What a kubelet says of a Pod that it evicts for a limit that was asked for, rather than for want
#: of room.
_OWN_LIMIT = re.compile(r"exceed(?:s|ed) (?:the|its) .*limit")
#: Ends of a container whose program never ran.
NEVER_STARTED = ("ContainerCannotRun", "StartError")
#: What the line that tells why has in most languages.
_TELLING = re.compile(
    r"(?i)(error|exception|panic|fatal)\b|\b(failed|cannot|could not|denied|not found|no such)\b"
)
#: Ends that a node makes up for a container of which it knows nothing any more: it was restarted
#: while the container ran.
_FORGOTTEN = ("ContainerStatusUnknown", "Unknown")


def find_success(pod: Pod) -> Observation | None:
    """Exit code 0 of main is success, whatever ends the Pod afterwards: sidecars take their time.
    Not so where main was asked to end, by a stop or a timeout, and did so politely: the phase says
    which it was, once there is one.
    """
    end = end_of(main_of(pod))
    if end is None or end.get("exitCode") != 0:
        return None
    if was_beyond_deadline(pod, end) and status_of(pod).get("phase") != "Succeeded":
        return None
    return Observation(
        State.SUCCEEDED,
        "Succeeded",
        exit_code=0,
        started_at=end.get("startedAt"),
        finished_at=end.get("finishedAt"),
    )


def find_success_without_main(pod: Pod) -> Observation | None:
    """A Pod that says Succeeded and no longer lists its containers: some node agents prune them."""
    if status_of(pod).get("phase") != "Succeeded":
        return None
    return Observation(
        State.SUCCEEDED, "Succeeded", exit_code=0, started_at=status_of(pod).get("startTime")
    )


def find_disruption(pod: Pod) -> Observation | None:
    """The cluster took the Pod away: the user's retries are not spent on it, unless it went beyond
    a limit of its own.
    """
    reason = disruption_of(pod)
    if reason is None or not is_over(pod):
        return None
    message = describe_disruption(pod, reason)
    return _failed(
        pod, reason, message, Fault.USER if _OWN_LIMIT.search(message) else Fault.PLATFORM
    )


def disruption_of(pod: Pod) -> str | None:
    """Why the cluster takes the Pod away, where it does."""
    target = condition_of(pod, "DisruptionTarget")
    reason = (
        _DISRUPTIONS.get(str(target.get("reason", ""))) if target.get("status") == "True" else None
    )
    return reason or _DISRUPTIONS.get(str(status_of(pod).get("reason", "")))


def describe_disruption(pod: Pod, reason: str) -> str:
    words = str(
        condition_of(pod, "DisruptionTarget").get("message")
        or status_of(pod).get("message")
        or reason
    ).strip()
    return f"node {node_of(pod)!r} is lost: {words}" if reason == "NodeLost" else words


def find_deadline(pod: Pod) -> Observation | None:
    """Time was up: how much there was, and where it went if not into main."""
    if not is_over(pod) or status_of(pod).get("reason") != "DeadlineExceeded":
        return None
    seconds = spec_of(pod).get("activeDeadlineSeconds")
    within = f" within {seconds} s" if seconds else " in time"
    step = next(
        (one for one in init_steps_of(pod) if (end_of(one) or {}).get("exitCode") != 0), None
    )
    if step is None:
        return _failed(pod, "DeadlineExceeded", f"it did not end{within}", Fault.USER)
    words = last_words(pod, end_of(step) or {}).splitlines()
    said = f": {words[-1]}" if words else ""
    return _failed(
        pod,
        "DeadlineExceeded",
        f"init step {step.get('name')!r} did not end{within}{said}",
        Fault.USER,
    )


def find_deletion(pod: Pod) -> Observation | None:
    """Somebody deleted the Pod while it ran: its container was ended by that, however it took it,
    and not by itself.
    """
    if not is_being_deleted(pod) or not is_over(pod):
        return None
    ends = [
        end
        for one in (main_of(pod), *init_steps_of(pod))
        if (end := end_of(one)) is not None and end.get("exitCode") != 0
    ]
    end = ends[0] if ends else {}
    if end.get("reason") == "OOMKilled" or (not ends and status_of(pod).get("reason")):
        return None
    finished = end.get("finishedAt")
    if finished and datetime.fromisoformat(finished) < _deletion_of(pod) - timedelta(seconds=1):
        return None
    return _failed(pod, "PodDeleted", "its Pod was deleted while it ran", Fault.PLATFORM, end)


def _deletion_of(pod: Pod) -> datetime:
    """When it was asked for: the object's own time is that and the grace."""
    grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    return datetime.fromisoformat(pod["metadata"]["deletionTimestamp"]) - timedelta(seconds=grace)


def find_restarted_node(pod: Pod) -> Observation | None:
    """The node came back and no longer knows what became of the container."""
    ends = (end_of(one) or {} for one in (main_of(pod), *init_steps_of(pod)))
    end = next((one for one in ends if one.get("reason") in _FORGOTTEN), None)
    if end is None or not is_over(pod):
        return None
    words = str(
        end.get("message") or f"it says {end['reason']}, exit code {end.get('exitCode')}"
    ).strip()
    return _failed(
        pod,
        "NodeLost",
        f"node {node_of(pod)!r} was restarted and lost the container: {words}",
        Fault.PLATFORM,
        end,
    )


def find_failed_init(pod: Pod) -> Observation | None:
    if not is_over(pod):
        return None
    for container in init_steps_of(pod):
        end = end_of(container)
        if end is not None and end.get("exitCode") not in (0, None):
            reason, message = describe_init_end(pod, container, end)
            return _failed(pod, reason, message, Fault.USER, end)
    return None


def find_failed_main(pod: Pod) -> Observation | None:
    end = end_of(main_of(pod))
    if end is None or not (is_over(pod) or _is_left_behind(pod, end)):
        return None
    reason, message = describe_main_end(pod, end)
    return _failed(pod, reason, message, Fault.USER, end)


def _is_left_behind(pod: Pod, end: Mapping[str, Any]) -> bool:
    """Main ended by itself, and what a webhook put beside it runs on: this Pod will never say that
    it is over.
    """
    is_being_ended = (
        is_being_deleted(pod) or disruption_of(pod) is not None or was_beyond_deadline(pod, end)
    )
    return has_company(pod) and not is_being_ended


def find_refusal(pod: Pod) -> Observation | None:
    """Its node would not have it: by now it is full, or not the one that was asked for."""
    if status_of(pod).get("phase") != "Failed":
        return None
    reason = status_of(pod).get("reason") or "the Pod failed without running"
    words = (
        f"node {node_of(pod)!r} did not accept it: {reason}: "
        f"{status_of(pod).get('message') or 'no reason given'}"
    )
    return _failed(pod, "NodeRefused", words, Fault.PLATFORM)


# -- words -----------------------------------------------------------------------------------------


def describe_end(pod: Pod, container: ContainerStatus, end: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and words for how a container ended."""
    words = last_words(pod, end)
    if end.get("reason") == "OOMKilled":
        return "OOMKilled", _describe_memory(memory_limit_of(pod, str(container.get("name"))))
    if end.get("reason") in NEVER_STARTED:
        return "ContainerFailed", f"could not start: {words}"
    return "ContainerFailed", f"exit code {end.get('exitCode')}" + (
        f": {_lead(words)}" if words else ""
    )


def _lead(words: str) -> str:
    """The line that says what went wrong, and after it all of them: a table shows one line, and a
    traceback's first says nothing.
    """
    lines = words.splitlines()
    telling = next((line for line in reversed(lines) if _TELLING.search(line)), lines[-1])
    return words if telling == lines[0] else f"{telling.strip()}; its last lines:\n{words}"


def describe_main_end(pod: Pod, end: Mapping[str, Any]) -> tuple[str, str]:
    reason, words = describe_end(pod, main_of(pod), end)
    return reason, words if _has_exited(end) else f"the container {words}"


def _has_exited(end: Mapping[str, Any]) -> bool:
    """Whether its program ended by itself, which its exit code tells."""
    return end.get("reason") != "OOMKilled" and end.get("reason") not in NEVER_STARTED


def describe_init_end(
    pod: Pod, container: ContainerStatus, end: Mapping[str, Any]
) -> tuple[str, str]:
    """For an init container that did not end well."""
    reason, words = describe_end(pod, container, end)
    ended = f"ended with {words}" if _has_exited(end) else words
    return (
        reason if reason == "OOMKilled" else "InitFailed",
        f"init step {container.get('name')!r} {ended}",
    )


def _describe_memory(limit: str | None) -> str:
    return (
        f"used more memory than its limit of {limit}"
        if limit
        else "has no memory limit, and its node ran out of memory"
    )


def _failed(
    pod: Pod, reason: str, message: str, fault: Fault, end: Mapping[str, Any] | None = None
) -> Observation:
    end = end or end_of(main_of(pod)) or {}
    began = str(end.get("startedAt") or "")
    return Observation(
        State.FAILED,
        reason,
        message,
        fault,
        exit_code=end.get("exitCode"),
        # The epoch is said of a container that never started.
        started_at=status_of(pod).get("startTime")
        if not began or began.startswith("1970")
        else began,
        finished_at=end.get("finishedAt"),
    )
