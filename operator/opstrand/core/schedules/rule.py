"""When the runs of a schedule are due: its ticks, from what `schedule` says.

Pure: no function reads a clock, and every moment is in UTC. A tick is a whole second. Must not know
which ticks were run (`schedules.record`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, takewhile
from typing import Any

from opstrand.core.recorded import parse_moment
from opstrand.spec.cron import Cron, read_cron
from opstrand.spec.schedule import read_moment, read_span

#: The smallest time; subtracting it makes a bound inclusive.
_INSTANT = timedelta(microseconds=1)
#: The first span in which the newest tick is searched, and by how much each next one is longer.
_FIRST_SPAN, _LONGER = timedelta(minutes=1), 8
#: Ticks between two moments that are counted, at most.
_MOST_COUNTED = 1000


@dataclass(frozen=True)
class Rule:
    """A schedule whose templates are replaced.

    `first`: the first moment that may be a tick. `frequency` and `cron`: None for the other kinds.
    """

    kind: str
    created: datetime
    first: datetime
    end: datetime | None = None
    cron: Cron | None = None
    frequency: timedelta | None = None
    max_runs: int | None = None
    depends_on_past: bool = False

    @property
    def zone(self) -> tzinfo:
        """Where its times are shown."""
        return UTC if self.cron is None else self.cron.tzinfo


def read_rule(section: Mapping[str, Any], created: datetime) -> Rule:
    """Return the rule of a validated `schedule` of an object that was created then.

    Without `startAt`, cron counts from the creation, and the first interval begins with it.
    """
    created = created.replace(microsecond=0)
    kind = str(section["kind"])
    cron = read_cron(section["cron"]) if kind == "cron" else None
    frequency = read_span(section["frequency"]) if kind == "interval" else None
    zone: tzinfo = UTC if cron is None else cron.tzinfo
    start, end = section.get("startAt"), section.get("endAt")
    if start is not None:
        first = read_moment(start, zone)
    elif frequency is not None:
        first = _add(created, frequency) or datetime.max.replace(tzinfo=UTC)
    else:
        first = created + _INSTANT  # after it
    return Rule(
        kind,
        created,
        first,
        None if end is None else read_moment(end, zone),
        cron,
        frequency,
        section.get("maxRuns"),
        section.get("dependsOnPast") is True,
    )


def next_tick(rule: Rule, after: datetime | None) -> datetime | None:
    """Return the first tick after a moment (None: the first of all); None if there is none."""
    return next(iter_ticks(rule, after), None)


def iter_ticks(rule: Rule, after: datetime | None) -> Iterator[datetime]:
    """Yield the ticks after a moment, or all of them, in their order."""
    floor = rule.first - _INSTANT
    after = floor if after is None else max(after, floor)
    for tick in _iter_endless(rule, after):
        if rule.end is not None and tick > rule.end:
            return
        yield tick


def _iter_endless(rule: Rule, after: datetime) -> Iterator[datetime]:
    if rule.cron is not None:
        yield from _iter_cron(rule.cron, after)
    elif rule.frequency is None:
        if rule.first > after:
            yield rule.first
    else:
        count = max(0, (after - rule.first) // rule.frequency + 1)
        tick = _add(rule.first, rule.frequency * count)
        while tick is not None:
            yield tick
            tick = _add(tick, rule.frequency)


def _iter_cron(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Yield the moments that an expression matches, as Debian's cron does.

    A time of the day that a change of the clock leaves out comes right after the change, and one
    that it repeats comes once. Expressions for every hour or minute follow the real time.
    """
    # Here, since most files have no schedule.
    from cronsim import CronSim

    last = after
    try:
        for found in CronSim(cron.fields, after.astimezone(cron.tzinfo)):
            tick = found.astimezone(UTC)
            # In the repeated hour the search begins earlier than `after`; two times of the day
            # that are left out may come at the same moment.
            if tick > last:
                last = tick
                yield tick
    except OverflowError:
        return  # beyond the last year


def _add(moment: datetime, span: timedelta) -> datetime | None:
    try:
        return moment + span
    except OverflowError:
        return None


def newest_tick(rule: Rule, after: datetime | None, until: datetime) -> datetime | None:
    """Return the last tick that is after `after` and not after `until`; None if there is none.

    However many ticks there are between, few are computed.
    """
    floor = rule.first - _INSTANT
    floor = floor if after is None else max(after, floor)
    if rule.end is not None and rule.end < until:
        until = rule.end
    span = _FIRST_SPAN
    while floor < until:
        begin = max(floor, until - span)
        found = None
        for tick in iter_ticks(rule, begin):
            if tick > until:
                break
            found = tick
        if found is not None or begin == floor:
            return found
        span *= _LONGER
    return None


def count_ticks(rule: Rule, after: datetime | None, before: datetime) -> int:
    """Count the ticks between two moments, without these; at most 1000."""
    ticks = islice(iter_ticks(rule, after), _MOST_COUNTED)
    return sum(1 for _ in takewhile(lambda tick: tick < before, ticks))


# -- texts -----------------------------------------------------------------------------------------


def show_tick(tick: datetime) -> str:
    """Return a tick as it is stored, and as `globals.schedule_at` has it."""
    return tick.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def name_tick(tick: datetime) -> str:
    """Return the key of the run of a tick, from which its name is made."""
    return tick.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ").lower()


def parse_tick(text: object) -> datetime | None:
    """Parse a stored tick; None for anything else."""
    moment = parse_moment(text)
    return None if moment is None or moment.microsecond else moment.astimezone(UTC)
