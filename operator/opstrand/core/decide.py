"""The state machine of a run: from a snapshot to a decision.

`decide` is pure, total and idempotent: the same snapshot gives the same decision, and a snapshot
that already shows a decision's effects gives none. Looking again makes up for whatever was lost (an
event, an operator). Must not execute anything.

    (nothing) ── start ──▶ Waiting ──▶ Starting ── attend, serve ──▶ Running
        │                                 ▲                            │
        ▼                                 └───────── Retrying ◀────────┤
      Failed | Skipped |                                               ▼
      UpstreamFailed | Stopped                         Succeeded | Failed | Stopped
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
    """Decide what to do about this run now. All rendering for one decision shares one budget."""
    snapshot = replace(snapshot, evaluate=metered(snapshot.evaluate))
    if snapshot.phase.is_final:
        return clear_service(snapshot) if snapshot.is_service else clear(snapshot)
    if not snapshot.is_frozen:
        return start(snapshot)
    return serve(snapshot) if snapshot.is_service else attend(snapshot)
