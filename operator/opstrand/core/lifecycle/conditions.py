"""The conditions of a run, by the rules of metav1.Condition.

Owns how a condition is set: it is never removed, and its transition time changes only with its
status. Must not decide when to set which.
"""

from __future__ import annotations

from collections.abc import Sequence

from opstrand.core.limits import MESSAGE
from opstrand.text import shorten
from opstrand.types import Condition

ACCEPTED = "Accepted"
REFS_RESOLVED = "RefsResolved"
RUNNING = "Running"
SUCCEEDED = "Succeeded"
FINISHED = "Finished"
#: By the rules of kstatus, which Flux and other tools read: a run is ready when it has succeeded, a
#: service or schedule while it runs. A run that ended without success is stalled; any other that is
#: not ready is in progress, for which those rules need no third condition.
READY = "Ready"
STALLED = "Stalled"
#: True if the spaces of a matrix have fewer values than the runs that it asks for.
SPACE_EXHAUSTED = "SpaceExhausted"
#: False if an order to resume a run that is over was not carried out.
RESUMED = "Resumed"
#: False if the run's program reported more than a run can hold; the API sets it.
REPORT_KEPT = "ReportKept"


def set_condition(
    conditions: Sequence[Condition],
    kind: str,
    status: bool | None,
    *,
    reason: str,
    message: str = "",
    now: str,
) -> list[Condition]:
    """Return the conditions with the one of this type set.

    `status` None is "Unknown". `now` is RFC 3339; the input is not changed. The generation that it
    is about is said once, by the status: kubectl and others read it there if a condition has none.
    """
    text = "Unknown" if status is None else str(status)
    before = next((one for one in conditions if one["type"] == kind), None)
    since = before.get("lastTransitionTime", now) if before and before["status"] == text else now
    condition: Condition = {
        "type": kind,
        "status": text,
        "reason": reason,
        "message": shorten(message, MESSAGE),
        "lastTransitionTime": since,
    }
    if before is None:
        return [*conditions, condition]
    return [condition if one["type"] == kind else one for one in conditions]


def get_condition(conditions: Sequence[Condition] | None, kind: str) -> Condition | None:
    return next((one for one in conditions or () if one["type"] == kind), None)
