"""The state machine of a run: from what is seen to what to do.

`decide` is pure, total and idempotent: the same snapshot gives the same decision, and a snapshot
that already shows a decision's effects gives none. Whatever was lost on the way (an event, an
operator) is made up by looking again. Must not do anything.

    (nothing) ── start ──▶ Waiting ──▶ Starting ── attend, serve ──▶ Running ──▶ Succeeded | Failed | Stopped
                  │                        ▲                            │
                  ▼                        └────────── Retrying ◀───────┘
        Failed | Skipped | UpstreamFailed | Stopped
"""

from __future__ import annotations

from dataclasses import replace

from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.transitions import clear
from opstrand.core.runtimes.job import attend
from opstrand.core.runtimes.service import clear_service, serve
from opstrand.core.runtimes.starting import start
from opstrand.core.templates.meter import metered


def decide(snapshot: Snapshot) -> Decision:
    """What to do about this run now. All that is rendered for one decision has one budget."""
    snapshot = replace(snapshot, evaluate=metered(snapshot.evaluate))
    if snapshot.phase.is_final:
        return clear_service(snapshot) if snapshot.is_service else clear(snapshot)
    if not snapshot.is_frozen:
        return start(snapshot)
    return serve(snapshot) if snapshot.is_service else attend(snapshot)
