"""The part of `get` about a schedule: its next runs, and how the last ones ended.

Owns the text. Must not fetch anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from opstrand.cli.output.format import phase_styles
from opstrand.cli.output.table import as_table
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import parse_moment, read_status
from opstrand.core.schedules.rule import Rule, iter_ticks, parse_tick, read_rule
from opstrand.text import inline
from opstrand.types import Body

#: Runs that are announced.
_NEXT = 3


def describe_ticks(body: Body, now: datetime | None = None) -> str:
    """Return the sections about the ticks of a schedule; empty for another run."""
    status = read_status(body)
    facts = status.get("schedule")
    if facts is None:
        return ""
    rule = _read_rule(body, facts)
    sections = [_describe_results(facts, rule)]
    if rule is not None and not parse_phase(status).is_final:
        is_suspended = status.get("reason") == "Suspended"
        following = [] if is_suspended else _list_next(rule, facts, now or datetime.now(UTC))
        sections = [_describe_next(following, is_suspended=is_suspended), *sections]
    return "\n\n".join(section for section in sections if section)


def _read_rule(body: Body, facts: Mapping[str, Any]) -> Rule | None:
    created = parse_moment(body["metadata"].get("creationTimestamp"))
    try:
        return read_rule(facts["written"], created or datetime.now(UTC))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _list_next(rule: Rule, facts: Mapping[str, Any], now: datetime) -> list[str]:
    handled = parse_tick(facts.get("handled"))
    left = None if rule.max_runs is None else max(0, rule.max_runs - int(facts.get("runs") or 0))
    since = now if handled is None else max(now, handled)
    most = _NEXT if left is None else min(_NEXT, left)
    return [_show(tick, rule) for tick in islice(iter_ticks(rule, since), most)]


def _describe_next(following: list[str], *, is_suspended: bool) -> str:
    lines = following or ["none: it is suspended" if is_suspended else "none"]
    return "\n".join(["next runs:", *(f"  {line}" for line in lines)])


def _describe_results(facts: Mapping[str, Any], rule: Rule | None) -> str:
    ended = [(one, str(one.get("phase") or "")) for one in facts.get("results") or ()]
    running = [(one, "not ended") for one in facts.get("active") or ()]
    rows = [
        (_show(parse_tick(one.get("at")), rule), phase, str(one.get("name")), _explain(one))
        for one, phase in (*running, *reversed(ended))
    ]
    counts = [
        f"{facts.get('runs') or 0} runs",
        *(f"{facts.get(key)} {key}" for key in ("succeeded", "failed", "missed") if facts.get(key)),
    ]
    head = f"runs: {', '.join(counts)}"
    if not rows:
        return head
    table = as_table(("DUE", "PHASE", "NAME", "MESSAGE"), rows, styles=phase_styles())
    return f"{head}\n{table}"


def _explain(one: Mapping[str, Any]) -> str:
    return inline(": ".join(str(one[key]) for key in ("reason", "message") if one.get(key)))


def _show(tick: datetime | None, rule: Rule | None) -> str:
    """Return a tick in the zone of its schedule, with that zone."""
    if tick is None:
        return ""
    zone = UTC if rule is None else rule.zone
    name = "UTC" if rule is None or rule.cron is None else rule.cron.zone
    return f"{tick.astimezone(zone):%Y-%m-%d %H:%M:%S} {name}"
