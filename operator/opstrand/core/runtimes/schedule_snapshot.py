"""What a decision about a schedule sees of its runs, and what it asks for that.

Owns the way from the Operations that exist to ticks. Must not decide what follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

from opstrand.core import names
from opstrand.core.identity import read_schedule_at
from opstrand.core.lifecycle.asks import Ask, Children, Get, Sighting
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.pipelines.children import is_child
from opstrand.core.recorded import parse_moment
from opstrand.core.schedules.record import Record, Run, observe, read_record, read_run
from opstrand.core.schedules.rule import (
    Rule,
    name_tick,
    newest_tick,
    parse_tick,
    read_rule,
)
from opstrand.types import Body, OperationBody

OPERATION = "Operation"
#: How far another machine's clock may be ahead: a tick that is later was run by a wrong clock.
SKEW = timedelta(minutes=1)


@dataclass(frozen=True)
class ScheduleSnapshot(Snapshot):
    """A snapshot of a schedule, with the runs of its ticks."""

    #: What the status says, and what it says after a look at the runs.
    recorded: Record = field(default_factory=Record)
    record: Record = field(default_factory=Record)
    runs: tuple[Run, ...] = ()

    @property
    def facts(self) -> Mapping[str, Any]:
        return read_facts(self)

    @property
    def is_suspended(self) -> bool:
        return self.control.get("suspend") is True

    @property
    def is_edited(self) -> bool:
        """Whether the schedule must be read from the spec again."""
        if read_stored_rule(self) is None:
            return True
        return self.facts.get("generation") != self.body["metadata"].get("generation", 1)

    @cached_property
    def rule(self) -> Rule:
        found = read_stored_rule(self)
        assert found is not None, "an unreadable schedule is read again from the spec"
        return found

    def name_run(self, tick: datetime) -> str:
        return name_run(self.body, tick)

    def has_run(self, tick: datetime) -> bool:
        """Whether the tick had a run, as far as it is known."""
        return self.record.has_run(tick) or any(run.tick == tick for run in self.runs)

    def find_due(self, record: Record) -> datetime | None:
        """Return the newest tick that is due and was neither run nor missed."""
        return newest_tick(self.rule, record.handled, self.now)

    def has_room(self, record: Record) -> bool:
        """Whether one more run may exist."""
        limit = 1 if self.rule.depends_on_past else self.settings.pipeline_concurrency
        return len(record.active) < limit and not is_complete(record, self.rule)


def is_complete(record: Record, rule: Rule) -> bool:
    """Return whether a schedule had as many runs as it may have."""
    return rule.max_runs is not None and record.runs >= rule.max_runs


def find_creation(snapshot: Snapshot) -> datetime:
    made = parse_moment(snapshot.body["metadata"].get("creationTimestamp"))
    return snapshot.now if made is None else made.astimezone(UTC)


def read_facts(snapshot: Snapshot) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], snapshot.status.get("schedule") or {})


def read_stored_rule(snapshot: Snapshot) -> Rule | None:
    """Read the schedule as the status has it; None if someone wrote another text there."""
    try:
        return read_rule(read_facts(snapshot)["written"], find_creation(snapshot))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def name_run(body: Body, tick: datetime) -> str:
    metadata = body["metadata"]
    uuid = names.run_uuid(str(metadata["uid"]))
    return names.child_name(str(metadata["name"]), uuid, name_tick(tick))


def list_schedule_asks(snapshot: Snapshot) -> tuple[Ask, ...]:
    """Return what must be known of the runs of a schedule that has not ended."""
    if snapshot.phase.is_final:
        return ()
    if Children() not in snapshot.answers:
        return (Children(),)
    known = {str(body["metadata"]["name"]) for _, body in _iter_bodies(snapshot)}
    active = read_record(read_facts(snapshot)).active
    missing = (run.name for run in active if run.name not in known)
    return (Children(), *(Get(OPERATION, name) for name in missing))


def see_schedule(snapshot: Snapshot) -> ScheduleSnapshot:
    """Return the schedule with the runs of its ticks as the answers show them."""
    recorded = read_record(read_facts(snapshot))
    runs = tuple(read_run(body, tick) for tick, body in _iter_bodies(snapshot))
    seen = ScheduleSnapshot.over(snapshot, recorded=recorded, record=recorded, runs=runs)
    gone = frozenset(
        ask.name
        for ask, answer in snapshot.answers.items()
        if isinstance(ask, Get) and isinstance(answer, Sighting) and answer.body is None
    )
    if seen.is_edited and read_stored_rule(snapshot) is None:
        return seen
    record = observe(recorded, seen.rule, runs, gone, snapshot.now + SKEW)
    return ScheduleSnapshot.over(snapshot, recorded=recorded, record=record, runs=runs)


def _iter_bodies(snapshot: Snapshot) -> Iterator[tuple[datetime, OperationBody]]:
    """Yield the Operations that this schedule made, with their ticks.

    Their names follow from it. One that is being deleted is gone once it is.
    """
    children: tuple[OperationBody, ...] = snapshot.answers.get(Children(), ())
    asked = [
        cast(OperationBody, answer.body)
        for ask, answer in snapshot.answers.items()
        if isinstance(ask, Get) and isinstance(answer, Sighting) and answer.body is not None
    ]
    uid = snapshot.body["metadata"]["uid"]
    for body in (*children, *asked):
        tick = parse_tick(read_schedule_at(body))
        is_own = tick is not None and is_child(body, uid)
        if (
            tick is not None
            and is_own
            and body["metadata"]["name"] == name_run(snapshot.body, tick)
        ):
            yield tick, body
