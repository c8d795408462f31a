"""How a run ends, and what every step of its status has in common: identity and times.

Must not decide that a run ends; `runtimes` and `admission` do.
"""

from __future__ import annotations

from typing import Any

from opstrand.core import names
from opstrand.core.lifecycle.resume import find_new
from opstrand.core.lifecycle.snapshot import Decision, Snapshot
from opstrand.core.lifecycle.status import Status, advance
from opstrand.core.phase import Phase
from opstrand.core.recorded import parse_moment
from opstrand.errors import SpecError
from opstrand.text import show_seconds


def end(snapshot: Snapshot, phase: Phase, reason: str, message: str) -> Decision:
    """End a run whose end no Pod caused."""
    return Decision(advanced(snapshot, phase, reason, message, **ending_times(snapshot, phase)))


def ending_times(snapshot: Snapshot, phase: Phase) -> dict[str, Any]:
    """Return when the run ended and how long it took; empty for a phase that is not final."""
    return times_between(snapshot.status.get("startedAt"), snapshot.stamp) if phase.is_final else {}


def times_between(started: str | None, finished: str) -> dict[str, Any]:
    """Return the times of a run that is over, with its duration in whole seconds if it started."""
    if not started:
        return {"finishedAt": finished}
    began, ended = parse_moment(started), parse_moment(finished)
    seconds = (
        0 if began is None or ended is None else max(0, round((ended - began).total_seconds()))
    )
    times = {"startedAt": started, "finishedAt": finished}
    # kubectl prints a number without its unit.
    return {**times, "duration": seconds, "elapsed": show_seconds(seconds)}


def advanced(
    snapshot: Snapshot,
    phase: Phase,
    reason: str,
    message: str,
    *,
    renew: bool = False,
    **facts: Any,
) -> Status:
    """Return the snapshot's status in this phase, with the run's identity on the first write."""
    metadata = snapshot.body["metadata"]
    identity: dict[str, Any] = (
        {}
        if snapshot.status.get("uuid")
        else {"uuid": names.run_uuid(metadata["uid"]), "kind": _kind(snapshot)}
    )
    if phase.is_final:
        # An order to resume that a live run had got is void: it was not about this end.
        identity |= find_new(snapshot.body, snapshot.status)
    return advance(
        snapshot.status,
        phase,
        reason=reason,
        message=message,
        now=snapshot.stamp,
        generation=int(metadata.get("generation") or 1),
        created_at=metadata.get("creationTimestamp"),
        renew=renew,
        **identity,
        **facts,
    )


def _kind(snapshot: Snapshot) -> str:
    prepared = snapshot.prepared
    return (
        "job"
        if isinstance(prepared, SpecError) or prepared.compiled is None
        else prepared.compiled.runtime
    )


def patience_left(snapshot: Snapshot, phase: Phase, reason: str) -> float:
    """Return the seconds for which a run may keep this reason before it starts.

    If its current reason is another one, that is the whole patience.
    """
    patience = float(snapshot.settings.start_patience)
    if snapshot.phase is not phase or snapshot.status.get("reason") != reason:
        return patience
    return snapshot.left(snapshot.last_step, patience)
