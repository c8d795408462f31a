"""Which runs of a list a command is about: by phase, labels, and time.

Owns the options that choose, for every command alike. Must not fetch anything.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from opstrand.cli.errors import CliError
from opstrand.cli.options import Duration, Function, add_options, selector_option
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.text import suggest
from opstrand.types import Body

Run = TypeVar("Run", bound=Mapping[str, Any])

#: A program of these runs runs now.
_RUNNING = frozenset({Phase.RUNNING, Phase.PROCESSING, Phase.STOPPING})
#: Matched by a selector to see whether it can be read.
_NO_RUN: Body = {"metadata": {}}
_REQUIREMENT = re.compile(r"\s*(!?)([\w./-]+)\s*(?:(==|=|!=)\s*([\w.-]*)\s*)?")


@dataclass(frozen=True)
class Selection:
    """What the options ask for. None and empty: anything."""

    labels: str = ""
    phases: frozenset[Phase] = frozenset()
    #: Seconds since the creation, at most; since the end, at least.
    since: float | None = None
    older: float | None = None

    @property
    def is_all(self) -> bool:
        return self == Selection()

    def choose(self, runs: Iterable[Run]) -> list[Run]:
        """Return the runs of a list that are meant. Its labels were asked of the server."""
        now = datetime.now(UTC)
        return [run for run in runs if self._accepts(run, now)]

    def _accepts(self, body: Mapping[str, Any], now: datetime) -> bool:
        status = read_status(body)
        if self.phases and parse_phase(status) not in self.phases:
            return False
        if self.since is not None:
            created = _moment(body["metadata"].get("creationTimestamp"))
            if created is None or created < now - timedelta(seconds=self.since):
                return False
        if self.older is not None:
            ended = _moment(status.get("finishedAt"))
            return ended is not None and ended < now - timedelta(seconds=self.older)
        return True

    @property
    def fields(self) -> str:
        """The field selector that the server can answer: one phase. Created is not stored."""
        only = next(iter(self.phases)) if len(self.phases) == 1 else Phase.CREATED
        return "" if only is Phase.CREATED else f"status.phase={only.value}"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def matches_labels(body: Body, selector: str) -> bool:
    """Whether the object has the labels of a selector: `a=b`, `a!=b`, `a`, `!a`, with commas.

    Raises CliError for the forms with `in`, which only a cluster understands.
    """
    labels = body["metadata"].get("labels") or {}
    # Every part is read, so that one that cannot be read is always refused.
    held = [_holds(labels, part) for part in selector.split(",") if part.strip()]
    return all(held)


def check_labels(selector: str) -> None:
    """Raise CliError for a selector that cannot be read."""
    matches_labels(_NO_RUN, selector)


def _holds(labels: Mapping[str, str], part: str) -> bool:
    found = _REQUIREMENT.fullmatch(part)
    if found is None or (found[1] and found[3]):
        raise CliError(
            f"--selector {part.strip()!r}: expected KEY=VALUE, KEY!=VALUE, KEY or !KEY",
            hint="A cluster also understands `KEY in (A, B)`; --local does not.",
        )
    unwanted, key, sign, value = found.groups()
    if sign is None:
        return (key in labels) != bool(unwanted)
    return (labels.get(key) == value) == (sign != "!=")


def selection_options(function: Function) -> Function:
    """Add -l, --status, --running, --completed, --since and --older as one argument `wanted`."""

    @functools.wraps(function)
    def wrapped(
        *,
        selector: str,
        statuses: tuple[str, ...],
        running: bool,
        completed: bool,
        since: float | None,
        older: float | None,
        **rest: Any,
    ) -> Any:
        phases = {_parse_phase(text) for text in statuses}
        phases |= _RUNNING if running else set()
        phases |= {phase for phase in Phase if phase.is_final} if completed else set()
        return function(wanted=Selection(selector, frozenset(phases), since, older), **rest)

    return add_options(wrapped, _OPTIONS)


_OPTIONS = (
    selector_option,
    click.option(
        "--status",
        "statuses",
        multiple=True,
        metavar="PHASE",
        help="Only runs in this phase (Running, succeeded, ...); repeat it.",
    ),
    click.option("--running", is_flag=True, help="Only runs whose program runs now."),
    click.option("--completed", is_flag=True, help="Only runs that have ended."),
    click.option(
        "--since", type=Duration(), metavar="TIME", help="Only runs created in this time (1h, 7d)."
    ),
    click.option(
        "--older", type=Duration(), metavar="TIME", help="Only runs that ended longer ago (7d)."
    ),
)


def _parse_phase(text: str) -> Phase:
    """Parse a phase by our name or by the published one."""
    plain = text.replace("_", "").lower()
    for phase in Phase:
        if plain == phase.value.lower():
            return phase
    raise CliError(
        f"--status {text!r}: there is no such "
        f"phase{suggest(text, [phase.value for phase in Phase])}"
    )
