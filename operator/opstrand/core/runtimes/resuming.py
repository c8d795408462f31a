"""Let a run that is over run again, with the same uuid, inputs, outputs and artifacts.

Owns what keeps a run from that, and the one write that makes it live again: it is guarded, and
records the numbers that it acts on, so that an order is carried out once. Must not know what a kind
of run does after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opstrand.core.lifecycle import conditions
from opstrand.core.lifecycle.resume import find_new, find_orders, find_standing_order
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.status import Status
from opstrand.core.lifecycle.transitions import advanced
from opstrand.core.phase import Phase
from opstrand.core.pipelines.letters import read_children
from opstrand.core.pipelines.rounds import read_round, reset
from opstrand.core.runtimes.base import Runtime

#: Facts about the end of a run, which a live one has not.
_OF_THE_END = ("finishedAt", "duration", "elapsed")


def find_resume(snapshot: Snapshot, runtime: Runtime) -> Decision | None:
    """Return what follows from a new order to resume a run that is over; None if there is none."""
    if snapshot.is_being_deleted or not find_orders(snapshot.body, snapshot.status):
        return None
    if order := find_standing_order(snapshot.body):
        return refuse_resume(snapshot, "OrderStands", f"control.{order} stands: remove it")
    if snapshot.left_by:
        message = f"{snapshot.left_by}: resume the pipeline, or restart this run"
        return refuse_resume(snapshot, "PipelineGone", message)
    return runtime.resume(snapshot) if snapshot.is_frozen else resume(snapshot)


def resume(snapshot: Snapshot, **facts: Any) -> Decision:
    """Make a run live again, and look at it at once."""
    status = advanced(snapshot, Phase.RESUMING, "Resuming", "", resumedAt=snapshot.stamp, **facts)
    kept = {key: value for key, value in status.items() if key not in _OF_THE_END}
    return Decision({**kept, **_absorb(snapshot)}, requeue_after=0.0)


def resume_with_children(snapshot: Snapshot) -> Decision:
    """Begin another round of a run that makes runs: those that did not succeed run again.

    Its letters are reset by one write, under the version that was read.
    """
    stored = snapshot.status.get("children") or {}
    children = reset(read_children(snapshot.status, len(stored.get("states") or "")))
    again = resume(
        snapshot,
        attempt=read_round(snapshot.status) + 1,
        children={**children.as_dict(), "at": snapshot.stamp},
    )
    return replace(again, freeze=True)


def refuse_resume(snapshot: Snapshot, reason: str, message: str) -> Decision:
    """Record why an order is not carried out. The run stays as it ended."""
    known = snapshot.status.get("conditions") or ()
    refused = conditions.set_condition(
        known, conditions.RESUMED, False, reason=reason, message=message, now=snapshot.stamp
    )
    status: Status = {**snapshot.status, **_absorb(snapshot), "conditions": refused}
    # What is left to do after its end is decided next.
    return Decision(status, requeue_after=0.0)


def _absorb(snapshot: Snapshot) -> Mapping[str, int]:
    return find_new(snapshot.body, snapshot.status)
