"""Find how a Pod ended, whose fault that was, and with which message.

The checks are in the order in which `diagnose` runs them: each is small and pure, and None if it
has nothing to say. Must not decide whether to retry.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from opstrand.core.diagnosis.observation import Fault, Observation, State
from opstrand.core.diagnosis.pod_status import (
    collector_of,
    condition_of,
    end_of,
    has_company,
    init_steps_of,
    is_being_deleted,
    is_over,
    last_output,
    main_of,
    memory_limit_of,
    node_of,
    spec_of,
    state_of,
    status_of,
    was_beyond_deadline,
)
from opstrand.types import ContainerStateTerminated, ContainerStatus, Pod

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
#: The kubelet's message for a Pod evicted for exceeding its own limit rather than for lack of room.
_OWN_LIMIT = re.compile(r"exceed(?:s|ed) (?:the|its) .*limit")
#: Terminated reasons of a container whose program never ran.
NEVER_STARTED = ("ContainerCannotRun", "StartError")
#: What the log line that names the error contains in most languages.
_CAUSE = re.compile(
    r"(?i)(error|exception|panic|fatal)\b|\b(failed|cannot|could not|denied|not found|no such)\b"
)
#: Reasons that a node invents for a container of which it has no record: it was restarted while the
#: container ran.
_FORGOTTEN = ("ContainerStatusUnknown", "Unknown")


def find_success(pod: Pod) -> Observation | None:
    """Find success: exit code 0 of main, whatever ends the Pod and its sidecars afterwards.

    Not if main was asked to end, by a stop or a timeout, and exited with 0 in response: then the
    final phase decides.
    """
    end = end_of(main_of(pod))
    if end is None or end.get("exitCode") != 0:
        return None
    if was_beyond_deadline(pod, end) and status_of(pod).get("phase") != "Succeeded":
        return None
    return find_collection(pod, end) or Observation(
        State.SUCCEEDED,
        "Succeeded",
        exit_code=0,
        started_at=end.get("startedAt"),
        finished_at=end.get("finishedAt"),
    )


def find_collection(pod: Pod, end: ContainerStateTerminated) -> Observation | None:
    """Find, after main ended well as `end` says, that its files are not collected (yet).

    The collector's own exit code counts: a Pod with a killed collector is Succeeded too.
    """
    collector = collector_of(pod)
    if collector is None:
        return None
    collected = end_of(collector)
    if collected is None:
        return None if is_over(pod) else _collecting(end)
    if collected.get("exitCode") in (0, None):
        return None
    message = last_output(pod, collected) or f"the collector ended with {collected['exitCode']}"
    return _failed(
        pod, "ArtifactsNotCollected", f"files were not stored: {message}", Fault.USER, end
    )


def _collecting(end: ContainerStateTerminated) -> Observation:
    return Observation(
        State.COLLECTING,
        "Collecting",
        "its files are being stored",
        exit_code=0,
        started_at=end.get("startedAt"),
        finished_at=end.get("finishedAt"),
    )


def find_success_without_main(pod: Pod) -> Observation | None:
    """Find a Succeeded Pod that no longer lists its containers: some node agents prune them."""
    if status_of(pod).get("phase") != "Succeeded":
        return None
    return Observation(
        State.SUCCEEDED, "Succeeded", exit_code=0, started_at=status_of(pod).get("startTime")
    )


def find_disruption(pod: Pod) -> Observation | None:
    """Find a Pod that the cluster removed.

    That does not use the user's retries, unless the Pod exceeded a limit of its own.
    """
    reason = disruption_of(pod)
    if reason is None or not is_over(pod):
        return None
    message = describe_disruption(pod, reason)
    return _failed(
        pod, reason, message, Fault.USER if _OWN_LIMIT.search(message) else Fault.PLATFORM
    )


def disruption_of(pod: Pod) -> str | None:
    """Return why the cluster removes the Pod, if it does."""
    target = condition_of(pod, "DisruptionTarget")
    reason = (
        _DISRUPTIONS.get(str(target.get("reason", ""))) if target.get("status") == "True" else None
    )
    return reason or _DISRUPTIONS.get(str(status_of(pod).get("reason", "")))


def describe_disruption(pod: Pod, reason: str) -> str:
    message = str(
        condition_of(pod, "DisruptionTarget").get("message")
        or status_of(pod).get("message")
        or reason
    ).strip()
    return f"node {node_of(pod)!r} is lost: {message}" if reason == "NodeLost" else message


def find_deadline(pod: Pod) -> Observation | None:
    """Find a deadline: how long it was, and which init step used it up if main did not."""
    if not is_over(pod) or status_of(pod).get("reason") != "DeadlineExceeded":
        return None
    seconds = spec_of(pod).get("activeDeadlineSeconds")
    within = f" within {seconds} s" if seconds else " in time"
    step = _find_late_step(pod)
    if step is None:
        return _failed(pod, "DeadlineExceeded", f"it did not end{within}", Fault.USER)
    lines = last_output(pod, end_of(step) or {}).splitlines()
    suffix = f": {lines[-1]}" if lines else ""
    return _failed(
        pod,
        "DeadlineExceeded",
        f"init step {step.get('name')!r} did not end{within}{suffix}",
        Fault.USER,
    )


def _find_late_step(pod: Pod) -> ContainerStatus | None:
    """Find the init step that ran at the deadline.

    One that ignored its end may have succeeded after it; then main never started.
    """
    steps = init_steps_of(pod)
    begun = [one for one in steps if "waiting" not in state_of(one)]
    failed = [one for one in begun if (end_of(one) or {}).get("exitCode") != 0]
    if failed or "waiting" not in state_of(main_of(pod)):
        return failed[0] if failed else None
    return begun[-1] if begun else None


def find_deletion(pod: Pod) -> Observation | None:
    """Find a Pod that was deleted while it ran.

    The deletion ended its container, whatever the exit code, so it did not fail by itself.
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
    """Return when the deletion was requested: `deletionTimestamp` is that plus the grace period."""
    grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    return datetime.fromisoformat(pod["metadata"]["deletionTimestamp"]) - timedelta(seconds=grace)


def find_restarted_node(pod: Pod) -> Observation | None:
    """Find a container that its restarted node has no record of."""
    ends = (end_of(one) or {} for one in (main_of(pod), *init_steps_of(pod)))
    end = next((one for one in ends if one.get("reason") in _FORGOTTEN), None)
    if end is None or not is_over(pod):
        return None
    message = str(
        end.get("message") or f"it says {end['reason']}, exit code {end.get('exitCode')}"
    ).strip()
    return _failed(
        pod,
        "NodeLost",
        f"node {node_of(pod)!r} was restarted and lost the container: {message}",
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


def _is_left_behind(pod: Pod, end: ContainerStateTerminated) -> bool:
    """Return whether main ended by itself while an injected container runs on.

    The phase of such a Pod never becomes final.
    """
    is_being_ended = (
        is_being_deleted(pod) or disruption_of(pod) is not None or was_beyond_deadline(pod, end)
    )
    return has_company(pod) and not is_being_ended


def find_refusal(pod: Pod) -> Observation | None:
    """Find a Pod that its node refused: it is full by now, or does not match what was requested."""
    if status_of(pod).get("phase") != "Failed":
        return None
    reason = status_of(pod).get("reason") or "the Pod failed without running"
    message = (
        f"node {node_of(pod)!r} did not accept it: {reason}: "
        f"{status_of(pod).get('message') or 'no reason given'}"
    )
    return _failed(pod, "NodeRefused", message, Fault.PLATFORM)


# -- messages --------------------------------------------------------------------------------------


def describe_end(
    pod: Pod, container: ContainerStatus, end: ContainerStateTerminated
) -> tuple[str, str]:
    """Return the reason and the message for how a container ended."""
    message = last_output(pod, end)
    if end.get("reason") == "OOMKilled":
        return "OOMKilled", _describe_memory(memory_limit_of(pod, str(container.get("name"))))
    if end.get("reason") in NEVER_STARTED:
        return "ContainerFailed", f"could not start: {message}"
    return "ContainerFailed", f"exit code {end.get('exitCode')}" + (
        f": {_lead(message)}" if message else ""
    )


def _lead(message: str) -> str:
    """Return the line that names the error, and after it all lines.

    A table shows one line, and the first line of a traceback says nothing.
    """
    lines = message.splitlines()
    cause = next((line for line in reversed(lines) if _CAUSE.search(line)), lines[-1])
    return message if cause == lines[0] else f"{cause.strip()}; its last lines:\n{message}"


def describe_main_end(pod: Pod, end: ContainerStateTerminated) -> tuple[str, str]:
    reason, message = describe_end(pod, main_of(pod), end)
    return reason, message if _has_exited(end) else f"the container {message}"


def _has_exited(end: ContainerStateTerminated) -> bool:
    """Return whether the program ended by itself, so that its exit code is meaningful."""
    return end.get("reason") != "OOMKilled" and end.get("reason") not in NEVER_STARTED


def describe_init_end(
    pod: Pod, container: ContainerStatus, end: ContainerStateTerminated
) -> tuple[str, str]:
    """Return the reason and the message for an init container that failed."""
    reason, message = describe_end(pod, container, end)
    ended = f"ended with {message}" if _has_exited(end) else message
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
    pod: Pod, reason: str, message: str, fault: Fault, end: ContainerStateTerminated | None = None
) -> Observation:
    end = end or end_of(main_of(pod)) or {}
    began = str(end.get("startedAt") or "")
    return Observation(
        State.FAILED,
        reason,
        message,
        fault,
        exit_code=end.get("exitCode"),
        # The kubelet writes the epoch for a container that never started.
        started_at=status_of(pod).get("startTime")
        if not began or began.startswith("1970")
        else began,
        finished_at=end.get("finishedAt"),
    )
