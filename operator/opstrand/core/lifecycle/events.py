"""What is told as a Kubernetes Event: that a run is in trouble, once for each trouble.

Owns which steps of a status are worth one, and its shape. A run that goes well tells nothing: its
status has it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core import names
from opstrand.core.limits import MESSAGE
from opstrand.core.phase import Phase, parse_phase
from opstrand.errors import REASONS
from opstrand.text import shorten

#: Reasons of a run that is on its way.
_WELL = ("PodCreated", "PodRunning", "Stopping", "Unschedulable", "SchedulingGated", "InitRunning")
_TROUBLED = (Phase.FAILED, Phase.UPSTREAM_FAILED, Phase.RETRYING, Phase.STARTING)
_COMPONENT = "opstrand"


def render_event(
    body: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any], *, now: str
) -> dict[str, Any] | None:
    """The Event for the step from one status to the next; None where there is nothing to tell.

    `now` is RFC 3339.
    """
    phase, reason = parse_phase(after), str(after.get("reason") or "")
    is_new = (parse_phase(before), before.get("reason"), before.get("attempt")) != (
        phase,
        reason,
        after.get("attempt"),
    )
    if (
        not is_new
        or phase not in _TROUBLED
        or not reason
        or (phase is Phase.STARTING and reason in _WELL)
    ):
        return None
    metadata = body["metadata"]
    message = " ".join(
        part for part in (str(after.get("message") or phase.value), REASONS.get(reason, "")) if part
    )
    seconds = now.split(".")[0].removesuffix("Z") + "Z"
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
        "type": "Warning",
        "reason": reason,
        "message": shorten(message, MESSAGE),
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "count": 1,
    }
