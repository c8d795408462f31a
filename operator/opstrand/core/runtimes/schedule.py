"""A run with a schedule: it owns runs, one for each tick, and has no Pod.

A tick's run is created first and recorded once it is seen: its name follows from the tick, so that
it is created at most once, whatever happens between. Between two ticks nothing is written and
nothing asked. Must not know when a tick is due (`core.schedules`).

    Running ──▶ Succeeded     no tick is left, and the runs of the others have ended
       └──▶ Stopping ──▶ Stopped (on request) | Failed (a name is taken)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from opstrand.core import names
from opstrand.core.compiling.check import check_values
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.compiling.schedule import (
    make_tick_operation,
    render_schedule,
    share_with_schedule,
)
from opstrand.core.lifecycle.actions import Action, Create, Delete, Refusal
from opstrand.core.lifecycle.admission import Verdict, interpret_child_refusal
from opstrand.core.lifecycle.asks import Ask
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot
from opstrand.core.lifecycle.status import Status
from opstrand.core.lifecycle.transitions import advanced, ending_times
from opstrand.core.normalize import as_stored
from opstrand.core.packed import is_large, unpack
from opstrand.core.phase import Phase
from opstrand.core.pipelines.children import render_child
from opstrand.core.planning.plan import Plan
from opstrand.core.resolving.resolve import Resolved, read_frozen, resolve
from opstrand.core.runtimes.base import Frozen
from opstrand.core.runtimes.refused_child import end_with_children
from opstrand.core.runtimes.resuming import refuse_resume
from opstrand.core.runtimes.schedule_snapshot import (
    OPERATION,
    SKEW,
    ScheduleSnapshot,
    find_creation,
    is_complete,
    list_schedule_asks,
    see_schedule,
)
from opstrand.core.schedules.record import Record, Run, reject, step_back
from opstrand.core.schedules.rule import (
    Rule,
    name_tick,
    next_tick,
    read_rule,
    show_tick,
)
from opstrand.errors import SpecError
from opstrand.types import Manifest

#: Runs beyond the history that one decision deletes.
_MOST_DELETED = 20
#: Seconds until a schedule that cannot be read is read again: its Component may appear.
_PATIENCE = 60.0
_RUNNING, _SUSPENDED, _ON_REQUEST = "ScheduleRunning", "Suspended", "Stopping"


class ScheduleRuntime:
    """A run with a schedule."""

    kind = "schedule"
    mark = "schedule"

    def freeze(self, snapshot: Snapshot, prepared: Prepared, resolved: Resolved) -> Frozen:
        compiled, identity = prepared.compiled, prepared.identity
        assert compiled is not None
        problems = check_values(compiled, evaluate=snapshot.evaluate)
        if problems:
            raise SpecError.of(problems)
        written = render_schedule(compiled, resolved, identity, evaluate=snapshot.evaluate)
        rule = read_rule(written, find_creation(snapshot))
        first = next_tick(rule, None)
        plan = Plan(identity.uuid, identity.name, identity.owner, identity.project, self.kind)
        facts = {
            "schedule": _list_facts(snapshot, Record(), written, first),
            "startedAt": snapshot.status.get("startedAt") or snapshot.stamp,
        }
        message = f"next run at {_show(rule, first)}"
        return Frozen(
            plan,
            facts,
            requeue_after=0.0,
            phase=Phase.RUNNING,
            reason=_RUNNING,
            message=message,
            has_result=False,
        )

    def asks(self, snapshot: Snapshot) -> tuple[Ask, ...]:
        return list_schedule_asks(snapshot)

    def needs_file(self, snapshot: Snapshot) -> bool:
        seen = see_schedule(snapshot)
        if snapshot.is_to_stop or snapshot.is_being_deleted:
            return False
        # A small spec is at hand; a large one is unpacked in a worker.
        return seen.is_edited or (is_large(snapshot.body) and _find_startable(seen) is not None)

    def advance(self, snapshot: Snapshot) -> Decision:
        return _advance(see_schedule(snapshot))

    def resume(self, snapshot: Snapshot) -> Decision:
        return refuse_resume(snapshot, "NotResumable", "a schedule is not resumed: restart it")

    def clear(self, snapshot: Snapshot) -> Decision:
        # Its runs are deleted with it.
        return NOTHING

    def refused(self, snapshot: Snapshot, refusal: Refusal) -> Decision | None:
        verdict = interpret_child_refusal(refusal)
        if verdict is None:
            return None
        is_about_one = refusal.cause in ("invalid", "forbidden") and verdict.phase is Phase.FAILED
        return (
            _skip_refused(snapshot, verdict) if is_about_one else self.end_early(snapshot, verdict)
        )

    def end_early(self, snapshot: Snapshot, verdict: Verdict) -> Decision:
        return end_with_children(snapshot, verdict)


def _list_facts(
    snapshot: Snapshot, record: Record, written: Mapping[str, Any], following: datetime | None
) -> dict[str, Any]:
    """Return `status.schedule`."""
    return {
        "written": as_stored(dict(written)),
        "generation": int(snapshot.body["metadata"].get("generation") or 1),
        **({} if following is None else {"next": show_tick(following)}),
        **record.as_dict(),
    }


def _advance(see: ScheduleSnapshot) -> Decision:
    if see.is_to_stop or see.is_being_deleted:
        return _stop(see)
    if see.is_edited:
        return _read_again(see)
    if see.is_suspended:
        message = "suspended: it starts no runs until it is resumed"
        return _write(see, see.record, see.facts["written"], _SUSPENDED, message)
    record = _catch_up(see)
    tick = see.find_due(record)
    if tick is not None and see.has_run(tick):
        record = replace(record, handled=tick)
    elif tick is not None and see.has_room(record):
        # It is recorded by the next decision, which sees it.
        return Decision(actions=(Create(_render(see, tick)),), requeue_after=0.0)
    return _go_on(see, record)


def _find_startable(see: ScheduleSnapshot) -> datetime | None:
    """Return the tick whose run is created now, if any."""
    if see.is_suspended:
        return None
    record = _catch_up(see)
    tick = see.find_due(record)
    is_new = tick is not None and not see.has_run(tick) and see.has_room(record)
    return tick if is_new else None


def _catch_up(see: ScheduleSnapshot) -> Record:
    """Return the record as it counts now.

    No tick of a time for which the schedule was suspended is run. What a clock that was ahead
    marked as handled is not.
    """
    record = see.record
    if see.status.get("reason") == _SUSPENDED:
        return replace(record, handled=see.now.replace(microsecond=0))
    if record.handled is not None and record.handled > see.now + SKEW:
        return step_back(record, see.rule, see.now)
    return record


def _render(see: ScheduleSnapshot, tick: datetime) -> Manifest:
    spec = make_tick_operation(unpack(see.body).get("spec") or {})
    notes = {names.SCHEDULE_AT: show_tick(tick)}
    return render_child(see.body, name_tick(tick), spec, notes=notes)


def _go_on(see: ScheduleSnapshot, record: Record) -> Decision:
    """Record what is new, and wait for the next tick or for a run to end."""
    following = next_tick(see.rule, record.handled)
    is_last = following is None or is_complete(record, see.rule)
    if is_last and not record.active:
        return _end(see, record)
    if is_last:
        message = f"no run is left: waiting for {_count(len(record.active))} to end"
    elif following is not None and following <= see.now:
        message = f"the run of {_show(see.rule, following)} waits for '{record.active[0].name}'"
    else:
        message = f"next run at {_show(see.rule, following)}"
    decision = _write(see, record, see.facts["written"], _RUNNING, message)
    if is_last or following is None:
        return decision
    left = (following - see.now).total_seconds()
    return replace(decision, requeue_after=left if left > 0 else None)


def _write(
    see: ScheduleSnapshot, record: Record, written: Mapping[str, Any], reason: str, message: str
) -> Decision:
    """Write the record under the version that was read, and delete runs beyond the history."""
    rule, following = read_rule(written, find_creation(see)), None
    if reason == _RUNNING and not is_complete(record, rule):
        following = next_tick(rule, record.handled)
    facts: dict[str, Any] = {"schedule": _list_facts(see, record, written, following)}
    status: Status = advanced(see, Phase.RUNNING, reason, message, **facts)
    # Another message alone is no new entry of the history, and no condition has it.
    status["message"] = message
    if see.phase is Phase.RUNNING and see.status.get("reason") == reason:
        status["conditions"] = list(see.status.get("conditions") or ())
    return Decision(status, _delete_old(see, record), freeze=True)


def _delete_old(see: ScheduleSnapshot, record: Record) -> tuple[Action, ...]:
    """Return the actions that delete the oldest runs that have ended."""
    active = {run.name for run in record.active}
    ended = sorted((run for run in see.runs if run.name not in active), key=lambda one: one.tick)
    beyond = max(0, len(ended) - see.settings.schedule_history)
    old = ended[: min(beyond, _MOST_DELETED)]
    return tuple(Delete(OPERATION, run.name, run.uid) for run in old)


def _read_again(see: ScheduleSnapshot) -> Decision:
    """Read the edited schedule. Until a wrong one is corrected, no run starts."""
    prepared = see.prepared
    if isinstance(prepared, SpecError):
        return _wait_for_edit(see, prepared.reason, prepared.message)
    compiled = prepared.compiled
    if compiled is None:
        message = f"waiting for Component {prepared.missing_component!r} in this namespace"
        waiting = _wait_for_edit(see, "ComponentNotFound", message)
        return replace(waiting, requeue_after=_PATIENCE)
    if compiled.schedule is None:
        return _wait_for_edit(see, "InvalidSpec", "schedule: is required: delete the run instead")
    try:
        problems = check_values(compiled, evaluate=see.evaluate)
        if problems:
            raise SpecError.of(problems)
        resolved = _resolve_again(see, prepared)
        written = render_schedule(compiled, resolved, prepared.identity, evaluate=see.evaluate)
    except SpecError as error:
        return _wait_for_edit(see, error.reason, error.message)
    return _adopt(see, as_stored(dict(written)))


def _resolve_again(see: ScheduleSnapshot, prepared: Prepared) -> Resolved:
    """Resolve what the schedule reads; a value of another run is the one that was frozen."""
    assert prepared.compiled is not None
    if prepared.refs:
        return read_frozen(see.status)
    own = share_with_schedule(prepared.compiled)
    found = resolve(own, prepared.identity, {}, evaluate=see.evaluate)
    assert isinstance(found, Resolved), "there is nothing to wait for"
    return found


def _wait_for_edit(see: ScheduleSnapshot, reason: str, message: str) -> Decision:
    status = advanced(see, Phase.RUNNING, reason, message, renew=True)
    return Decision(status, freeze=True)


def _adopt(see: ScheduleSnapshot, written: Mapping[str, Any]) -> Decision:
    """Go on with the edited schedule: an edit makes no earlier moment a tick.

    A time that is given for one run counts also if it is over.
    """
    record = see.record
    is_new = written != see.facts.get("written") and written.get("kind") != "datetime"
    if is_new:
        now = see.now.replace(microsecond=0)
        record = replace(record, handled=max(now, record.handled or now))
    reason = str(see.status.get("reason") or "")
    is_suspended = see.is_suspended or reason == _SUSPENDED
    decision = _write(see, record, written, _SUSPENDED if is_suspended else _RUNNING, "")
    return replace(decision, requeue_after=0.0)


def _stop(see: ScheduleSnapshot) -> Decision:
    """Wait until the runs, which read from their schedule that they are to stop, have ended."""
    status, record = see.status, see.record
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    is_begun = see.phase is Phase.STOPPING
    facts: dict[str, Any] = {"schedule": _list_facts(see, record, see.facts["written"], None)}
    if record.active:
        if not is_begun:
            reason, message = _ON_REQUEST, "stop requested: its runs are stopped"
        return Decision(advanced(see, Phase.STOPPING, reason, message, **facts), freeze=True)
    phase = Phase.FAILED
    if not is_begun or reason == _ON_REQUEST:
        phase, reason, message = Phase.STOPPED, "Stopped", "stopped on request"
    elif reason == "NamespaceTerminating":
        phase = Phase.STOPPED
    times = ending_times(see, phase)
    return Decision(advanced(see, phase, reason, message, **facts, **times), freeze=True)


def _end(see: ScheduleSnapshot, record: Record) -> Decision:
    counts = [f"{_count(record.runs)}: {record.succeeded} succeeded, {record.failed} failed"]
    if record.missed:
        counts.append(f"{record.missed} missed")
    facts: dict[str, Any] = {"schedule": _list_facts(see, record, see.facts["written"], None)}
    times = ending_times(see, Phase.SUCCEEDED)
    message = ", ".join(counts)
    status = advanced(see, Phase.SUCCEEDED, "ScheduleFinished", message, **facts, **times)
    return Decision(status, freeze=True)


def _skip_refused(snapshot: Snapshot, verdict: Verdict) -> Decision:
    """Record the run that the cluster refused as failed; the next tick is tried as usual."""
    see = see_schedule(snapshot)
    record = _catch_up(see)
    tick = see.find_due(record)
    if tick is None:
        return NOTHING
    refused = Run(tick, see.name_run(tick), "", Phase.FAILED, verdict.reason, verdict.message)
    decision = _write(see, reject(record, see.rule, refused), see.facts["written"], _RUNNING, "")
    return replace(decision, requeue_after=0.0)


def _count(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"


def _show(rule: Rule, tick: datetime | None) -> str:
    """Return a tick in the zone of its schedule."""
    if tick is None:
        return "no time"
    shown = tick.astimezone(rule.zone).isoformat()
    return shown.replace("+00:00", "Z")
