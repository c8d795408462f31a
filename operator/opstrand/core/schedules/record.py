"""What a schedule keeps of its ticks: those that run, how the last ones ended, and counts.

Owns the shape of these keys of `status.schedule`, and how the runs that exist change them. Must not
decide which tick is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.core.schedules.rule import Rule, count_ticks, newest_tick, parse_tick, show_tick
from opstrand.text import shorten
from opstrand.types import Body

#: Ends that are kept.
_MOST_RESULTS = 16
_MESSAGE = 256


@dataclass(frozen=True)
class Run:
    """A run of a tick, as far as its schedule decides on it."""

    tick: datetime
    name: str
    uid: str = ""
    phase: Phase = Phase.CREATED
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Record:
    """`handled`: the ticks up to this moment were run or missed; None: no tick was due yet.

    `gap`: the newest ticks that were missed are between these two moments; the second has a run.
    `active` and `results` are in the order of their ticks' creation and end.
    """

    handled: datetime | None = None
    runs: int = 0
    succeeded: int = 0
    failed: int = 0
    missed: int = 0
    gap: tuple[datetime, datetime] | None = None
    active: tuple[Run, ...] = ()
    results: tuple[Run, ...] = ()

    def has_run(self, tick: datetime) -> bool:
        """Return whether the tick is known to have a run."""
        return any(run.tick == tick for run in (*self.active, *self.results))

    def as_dict(self) -> dict[str, Any]:
        """Return what the status stores."""
        return {
            **({} if self.handled is None else {"handled": show_tick(self.handled)}),
            "runs": self.runs,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "missed": self.missed,
            **_show_gap(self.gap),
            "active": [{"at": show_tick(run.tick), "name": run.name} for run in self.active],
            "results": [_show_result(run) for run in self.results],
        }


def _show_gap(gap: tuple[datetime, datetime] | None) -> dict[str, dict[str, str]]:
    return {} if gap is None else {"gap": {"from": show_tick(gap[0]), "to": show_tick(gap[1])}}


def _show_result(run: Run) -> dict[str, str]:
    shown = {"at": show_tick(run.tick), "name": run.name, "phase": run.phase.value}
    if run.phase is not Phase.SUCCEEDED:
        shown |= {"reason": run.reason, "message": shorten(run.message, _MESSAGE)}
    return shown


def read_record(stored: Mapping[str, Any]) -> Record:
    """Read a record from a status whose shape was checked."""
    between = stored.get("gap") or {}
    since, to = parse_tick(between.get("from")), parse_tick(between.get("to"))
    return Record(
        parse_tick(stored.get("handled")),
        runs=_read_count(stored, "runs"),
        succeeded=_read_count(stored, "succeeded"),
        failed=_read_count(stored, "failed"),
        missed=_read_count(stored, "missed"),
        gap=None if since is None or to is None else (since, to),
        active=_read_runs(stored.get("active")),
        results=_read_runs(stored.get("results")),
    )


def _read_count(stored: Mapping[str, Any], key: str) -> int:
    return int(stored.get(key) or 0)


def _read_runs(stored: Any) -> tuple[Run, ...]:
    found = []
    for one in stored or ():
        tick = parse_tick(one.get("at"))
        if tick is not None:
            words = (str(one.get(key) or "") for key in ("reason", "message"))
            found.append(Run(tick, str(one.get("name") or ""), "", parse_phase(one), *words))
    return tuple(found)


def read_run(body: Body, tick: datetime) -> Run:
    """Read the run of a tick from its Operation."""
    metadata, status = body["metadata"], read_status(body)
    words = (str(status.get(key) or "") for key in ("reason", "message"))
    return Run(tick, str(metadata["name"]), str(metadata["uid"]), parse_phase(status), *words)


def observe(
    record: Record, rule: Rule, runs: Sequence[Run], gone: frozenset[str], until: datetime
) -> Record:
    """Return the record after a look at the runs that exist.

    `gone`: the names of active runs without an object. `until`: a run of a later tick was made when
    the clock was ahead; the ticks before it are not over.
    """
    known = {run.name for run in (*record.active, *record.results)}
    for run in sorted(runs, key=lambda one: one.tick):
        is_new = record.handled is None or run.tick > record.handled
        if is_new and run.name not in known:
            record = _begin(record, rule, run, until)
    by_name = {run.name: run for run in runs}
    for active in record.active:
        found = by_name.get(active.name, active)
        if active.name in gone:
            found = replace(active, phase=Phase.STOPPED, reason="ChildDeleted")
        if found.phase.is_final:
            record = finish(record, found)
    return record


def _begin(record: Record, rule: Rule, run: Run, until: datetime) -> Record:
    record = replace(record, runs=record.runs + 1, active=(*record.active, run))
    return handle(record, rule, run.tick) if run.tick <= until else record


def handle(record: Record, rule: Rule, tick: datetime) -> Record:
    """Return the record with the ticks up to this one handled; those between count as missed.

    None is missed before the schedule was created.
    """
    before = record.handled or rule.created
    missed = count_ticks(rule, before, tick)
    gap = (before, tick) if missed else record.gap
    return replace(record, handled=tick, missed=record.missed + missed, gap=gap)


def step_back(record: Record, rule: Rule, now: datetime) -> Record:
    """Return the record after the clock went back to `now`.

    Ticks that a clock that was ahead made missed are not. Those that were run are not run again.
    """
    if record.gap is None or now >= record.gap[1]:
        return record
    since = record.gap[0]
    return replace(record, handled=newest_tick(rule, since, now) or since, gap=None)


def finish(record: Record, run: Run) -> Record:
    """Return the record with the end of this run."""
    is_failed = run.phase in (Phase.FAILED, Phase.UPSTREAM_FAILED)
    return replace(
        record,
        active=tuple(one for one in record.active if one.name != run.name),
        results=(*record.results, run)[-_MOST_RESULTS:],
        succeeded=record.succeeded + (run.phase is Phase.SUCCEEDED),
        failed=record.failed + is_failed,
    )


def reject(record: Record, rule: Rule, run: Run) -> Record:
    """Return the record with a tick whose run the cluster refused."""
    record = replace(record, runs=record.runs + 1)
    return finish(handle(record, rule, run.tick), run)
