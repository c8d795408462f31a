"""Which runs a list means, page by page, also those whose Operation is gone.

Owns the order (by project, then the newest first) and the cursor. The store selects by what it has
columns for, `runs.search` decides by the query language, and labels are compared here: so one
request looks at a bounded number of runs, and a page may be short and still have a next one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from opstrand.api.published.listing import Searched
from opstrand.api.published.request import NotAcceptable
from opstrand.api.v1.models import PAGE, ListQuery
from opstrand.core.names import CONTROLLER, PIPELINE
from opstrand.core.packed import is_large
from opstrand.core.phase import Phase
from opstrand.runs.bodies import phase, run_uuid
from opstrand.runs.labels import Matches, NoSelector, parse_selector
from opstrand.runs.protocols import Fields, Listed, Runs, Search
from opstrand.types import Body

_FIELD = "status.phase="
_SORT = "-created_at,name,uuid"
#: The most runs that one request looks at.
_MOST = 2000
#: The fewest runs of one step.
_STEP = 100
#: Labels of which the store has a column -> the field of the query language.
_COLUMNS = {PIPELINE: "pipeline", CONTROLLER: "controller"}


@dataclass(frozen=True)
class Place:
    """Where a run stands in its project's list."""

    project: str
    created: str
    name: str
    uuid: str

    def is_after(self, other: Place) -> bool:
        if self.created != other.created:
            return self.created < other.created
        return (self.name, self.uuid) > (other.name, other.uuid)

    def __str__(self) -> str:
        text = json.dumps([self.project, self.created, self.name, self.uuid])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Place:
        """The inverse of `str`. Raises `NotAcceptable`."""
        try:
            parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, RecursionError):
            parts = None
        if not isinstance(parts, list) or len(parts) != 4 or not all(map(_is_text, parts)):
            raise NotAcceptable("continue: expected what the page before gave as metadata.continue")
        return cls(*parts)


def _is_text(part: object) -> bool:
    # It becomes a part of a query, in which a comma would begin another condition.
    return isinstance(part, str) and "," not in part


@dataclass(frozen=True)
class Page:
    """The runs of a page; `more`: where the next one starts, None on the last one."""

    runs: Sequence[Body]
    more: Place | None


@dataclass
class Wanted:
    """What a request asks for."""

    owner: str
    limit: int
    after: Place | None
    phase: Phase | None
    matches: Matches
    selector: str
    query: str = ""
    #: The most runs that are looked at.
    most: int = _MOST
    #: How many runs were looked at.
    seen: int = field(default=0, init=False)

    @classmethod
    def parse(cls, query: ListQuery, owner: str) -> Wanted:
        """Raises `NotAcceptable`."""
        return cls(
            owner,
            min(query.limit or PAGE, PAGE),
            Place.parse(query.more) if query.more else None,
            _parse_phase(query.field_selector),
            _parse_selector(query.label_selector),
            query.label_selector,
            query.query.strip(),
        )

    def fields(self, run: Listed) -> Fields:
        return Searched(run, self.owner)

    def accepts(self, run: Listed) -> bool:
        if self.phase is not None and phase(run.head) is not self.phase:
            return False
        # A head lacks the labels that users gave.
        body = run.whole if self.selector and is_large(run.head) else run.head
        return self.matches(body["metadata"].get("labels") or {})

    def conditions(self) -> list[str]:
        """What of it is asked of the store."""
        found = [self.query] if self.query else []
        if self.phase and self.phase.is_final:
            found.append(f"status:{self.phase.published}")
        for part in self.selector.split(","):
            label, sign, value = part.strip().partition("=")
            if not sign and label.removeprefix("!") in _COLUMNS and label.startswith("!"):
                found.append(f"{_COLUMNS[label.removeprefix('!')]}:nil")
            elif sign and label in _COLUMNS and value.isalnum():
                found.append(f"{_COLUMNS[label]}:{value}")
        return found


def _parse_phase(text: str) -> Phase | None:
    if not text:
        return None
    try:
        return Phase(text.removeprefix(_FIELD) if text.startswith(_FIELD) else "")
    except ValueError:
        names = ", ".join(phase.value for phase in Phase)
        raise NotAcceptable(
            f"fieldSelector: {text[:100]!r} is none: expected {_FIELD} and one of {names}"
        ) from None


def _parse_selector(text: str) -> Matches:
    try:
        return parse_selector(text)
    except NoSelector as error:
        raise NotAcceptable(
            f"labelSelector: {str(error)[:100]!r} is none: expected KEY=VALUE, KEY!=VALUE, KEY, "
            "!KEY or KEY in (VALUE, ...)"
        ) from None


async def read_page(runs: Runs, projects: Sequence[str], wanted: Wanted) -> Page:
    """One page of the runs of these projects. Raises `ProjectNotFound` and `NotAcceptable`."""
    start = wanted.after
    found: list[Body] = []
    last: Place | None = None
    for project in sorted(projects):
        if start is not None and project < start.project:
            continue
        after = start if start is not None and project == start.project else None
        async for place, run in _iter_after(runs, project, after, wanted):
            if wanted.accepts(run):
                if len(found) == wanted.limit:
                    return Page(found, last)
                found.append(run.head)
            last = place
            if wanted.seen >= wanted.most:
                return Page(found, last)
    return Page(found, None)


async def _iter_after(
    runs: Runs, project: str, after: Place | None, wanted: Wanted
) -> AsyncIterator[tuple[Place, Listed]]:
    """The runs of a project behind a place of its list, in its order."""
    bound = [f"created_at:<={after.created}"] if after else []
    query, offset = ", ".join([*wanted.conditions(), *bound]), 0
    step = max(wanted.limit + 1, _STEP)
    known: set[str] = set()
    while True:
        found = await runs.search(project, Search(query, _SORT, offset, step, wanted.fields))
        for one in found.runs:
            place = _place(project, one)
            # A run that was created since the last step moves the others by one.
            if place.uuid not in known and (after is None or place.is_after(after)):
                known.add(place.uuid)
                wanted.seen += 1
                yield place, one.run
        offset += step
        if offset >= found.count:
            return


def _place(project: str, one: Fields) -> Place:
    created = str(one.run.head["metadata"].get("creationTimestamp") or "")
    return Place(project, created, str(one.read("name")), run_uuid(one.run.head))
