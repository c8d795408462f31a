"""The state machine of a run: from what is seen to what to do.

`decide` is pure, total and idempotent: the same snapshot gives the same decision, and a snapshot that already shows a decision's effects
gives none. Whatever was lost on the way (an event, an operator) is made up by looking again. Must not do anything.

    (nothing) ── start ──▶ Waiting ──▶ Starting ── attend ──▶ Running ──▶ Succeeded | Failed | Stopped
                  │                        ▲                     │
                  ▼                        └────── Retrying ◀────┘
        Failed | Skipped | UpstreamFailed | Stopped
"""

from __future__ import annotations

from datetime import timedelta

from opstrand.core.lifecycle.attending import attend
from opstrand.core.lifecycle.ending import advanced, clear, ending_times
from opstrand.core.lifecycle.snapshot import Decision, Snapshot, parse_stamp
from opstrand.core.lifecycle.starting import start
from opstrand.core.phase import Phase


def decide(snapshot: Snapshot) -> Decision:
    """What to do about this run now."""
    if snapshot.phase.is_final:
        return clear(snapshot)
    return attend(snapshot) if snapshot.is_frozen else start(snapshot)


def refuse(snapshot: Snapshot, phase: Phase, reason: str, message: str, *, requeue_after: float | None = None) -> Decision:
    """What follows when the API server refused the Pod: the run's end, or a wait that says for what.

    Quota comes back by itself and is waited for; what a person must mend is waited for with the configured patience.
    """
    if phase is Phase.STARTING and reason != "QuotaExceeded" and _has_lasted(snapshot, reason):
        phase, requeue_after = Phase.FAILED, None
    return Decision(advanced(snapshot, phase, reason, message, **ending_times(snapshot, phase)), requeue_after=requeue_after)


def _has_lasted(snapshot: Snapshot, reason: str) -> bool:
    history = snapshot.status.get("history") or ()
    if not history or history[-1].get("reason") != reason:
        return False
    return snapshot.now - parse_stamp(history[-1]["at"]) >= timedelta(seconds=snapshot.settings.start_patience)
