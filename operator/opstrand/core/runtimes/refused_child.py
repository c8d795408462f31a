"""What follows for a run that makes runs when the API server refuses one of them.

Owns the one answer for all kinds that make runs: a wait with a reason, or the end by way of
Stopping. Must not know which run was refused, or how the kind makes it.
"""

from __future__ import annotations

from opstrand.core.lifecycle.actions import Refusal
from opstrand.core.lifecycle.admission import Verdict, interpret_child_refusal, refuse
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.transitions import advanced


def answer_refusal(snapshot: Snapshot, refusal: Refusal) -> Decision | None:
    """Decide after a run was refused; None: the refusal is not about it."""
    verdict = interpret_child_refusal(refusal)
    return None if verdict is None else end_with_children(snapshot, verdict)


def end_with_children(snapshot: Snapshot, verdict: Verdict) -> Decision:
    """Set the run to the verdict's phase, after the runs that it made have ended.

    A verdict that is not final keeps no existing run from going on: only the reason is recorded,
    until `describe_running` finds nothing that waits to be created.
    """
    if not verdict.phase.is_final:
        status = advanced(snapshot, snapshot.phase, verdict.reason, verdict.message)
        return Decision(status, requeue_after=verdict.again)
    return refuse(snapshot, verdict, is_cleared_first=True)


def describe_running(snapshot: Snapshot, reason: str, *, is_creating: bool) -> tuple[str, str]:
    """Return the reason and the message of a run that goes on; `reason` is the usual one.

    A refusal stands until nothing is left to create: before that it is not known to be over.
    """
    status = snapshot.status
    if is_creating and status.get("reason"):
        return str(status["reason"]), str(status.get("message") or "")
    return reason, ""
