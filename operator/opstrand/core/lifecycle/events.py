"""Render Kubernetes Events for a run in trouble, once for each trouble.

Owns which steps of a status deserve an Event, and its shape. A run that goes well emits none unless
a setting asks for it: its status has everything, and each Event is one more write.
"""

from __future__ import annotations

from typing import Any

from opstrand.core import names
from opstrand.core.limits import MESSAGE
from opstrand.core.phase import Phase, parse_phase
from opstrand.errors import Known, advise
from opstrand.text import shorten
from opstrand.types import Body, OperationBody, RunStatus

#: Reasons of a run that makes normal progress.
_WELL = ("PodCreated", "PodRunning", "Stopping", "Unschedulable", "SchedulingGated", "InitRunning")
_TROUBLED = (Phase.FAILED, Phase.UPSTREAM_FAILED, Phase.RETRYING, Phase.STARTING)
#: The reason of a run that goes on while the runs that it makes are held back.
_HELD_BACK = "QuotaExceeded"
_COMPONENT = "opstrand"


def render_event(
    body: OperationBody, before: RunStatus, after: Body, *, now: str, with_normal: bool = False
) -> dict[str, Any] | None:
    """Return the Event for the step between two statuses; None if there is nothing to report.

    `now` is RFC 3339. `with_normal`: the start and the end of a run are reported too.
    """
    if _is_trouble(before, after):
        return _render(body, after, "Warning", now)
    if with_normal and _is_milestone(before, after):
        return _render(body, after, "Normal", now)
    return None


def _is_trouble(before: RunStatus, after: Body) -> bool:
    phase, reason = parse_phase(after), str(after.get("reason") or "")
    is_new = (parse_phase(before), before.get("reason"), before.get("attempt")) != (
        phase,
        reason,
        after.get("attempt"),
    )
    is_well = not reason or (phase is Phase.STARTING and reason in _WELL)
    return is_new and (phase in _TROUBLED or reason == _HELD_BACK) and not is_well


def _is_milestone(before: RunStatus, after: Body) -> bool:
    phase = parse_phase(after)
    return parse_phase(before) is not phase and (phase is Phase.RUNNING or phase.is_final)


def _render(body: OperationBody, after: Body, kind: str, now: str) -> dict[str, Any]:
    phase, reason = parse_phase(after), str(after.get("reason") or "")
    metadata = body["metadata"]
    known = Known(run=metadata["name"], flags=f"--project {metadata['namespace']}")
    message = " ".join(
        part for part in (str(after.get("message") or phase.value), advise(reason, known)) if part
    )
    seconds = now.partition(".")[0].removesuffix("Z") + "Z"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": "Operation",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason or phase.value,
        "message": shorten(message, MESSAGE),
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "count": 1,
    }
