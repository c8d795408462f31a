"""The phases of a run, and the published client's name for each.

Owns the vocabulary and its orders; `runtimes` decides which phase a run is in.
"""

from __future__ import annotations

from enum import StrEnum

from opstrand.types import RunStatus


class Phase(StrEnum):
    """Where a run is. The values are stored and matched by scripts: never rename one."""

    CREATED = "Created"
    WAITING = "Waiting"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    RETRYING = "Retrying"
    RESUMING = "Resuming"
    PROCESSING = "Processing"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    SKIPPED = "Skipped"
    UPSTREAM_FAILED = "UpstreamFailed"

    @property
    def is_final(self) -> bool:
        return self in FINAL

    @property
    def published(self) -> str:
        """The status by which the published client knows it."""
        return PUBLISHED[self]


#: The reason of a run that took an earlier run's result, and of one that waits for such a result.
CACHE_HIT, CACHE_PENDING = "CacheHit", "CachePending"

FINAL = frozenset(
    {Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED, Phase.SKIPPED, Phase.UPSTREAM_FAILED}
)

PUBLISHED = {
    Phase.CREATED: "created",
    Phase.WAITING: "created",
    Phase.QUEUED: "queued",
    Phase.STARTING: "starting",
    Phase.RUNNING: "running",
    Phase.RETRYING: "retrying",
    Phase.RESUMING: "resuming",
    Phase.PROCESSING: "processing",
    Phase.STOPPING: "stopping",
    Phase.SUCCEEDED: "succeeded",
    Phase.FAILED: "failed",
    Phase.STOPPED: "stopped",
    Phase.SKIPPED: "skipped",
    Phase.UPSTREAM_FAILED: "upstream_failed",
}


def parse_phase(status: object) -> Phase:
    """Return the phase in a status; Created if it has none or an unknown one."""
    value = status.get("phase") if isinstance(status, dict) else None
    try:
        return Phase(str(value))
    except ValueError:
        return Phase.CREATED


_OF_PUBLISHED = {phase.published: phase for phase in FINAL}


def final_phase(published: str) -> Phase | None:
    """Return the final phase that the published client knows by this name."""
    return _OF_PUBLISHED.get(published)


#: What `Starting` may be stuck on: the operator's reason -> the published status.
_STUCK = {
    "Unschedulable": "unschedulable",
    "ImagePullFailed": "warning",
    "ContainerConfigError": "warning",
    "VolumeNotMounted": "warning",
    "ContainerFailed": "warning",
    "OOMKilled": "warning",
    "NotReady": "warning",
    "PlatformError": "warning",
    "QuotaExceeded": "warning",
    "ServiceAccountNotFound": "warning",
}


def published_status(status: object) -> str:
    """Return the status of the published lifecycle that a run is in."""
    phase = parse_phase(status)
    reason = str(status.get("reason")) if isinstance(status, dict) else ""
    return _STUCK.get(reason, phase.published) if phase is Phase.STARTING else phase.published


#: The keys of the status that only the freeze of a kind of run writes; a job writes its Pod's name.
MARKS = ("schedule", "service", "search", "children")


def is_frozen(status: RunStatus) -> bool:
    """Return whether everything that the run will ever need is written.

    The name of the Pod, or the mark of another kind, is written together with the rest.
    """
    has_pod = bool((status.get("pod") or {}).get("name"))
    return has_pod or any(mark in status for mark in MARKS)
