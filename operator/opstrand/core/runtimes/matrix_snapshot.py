"""What a decision about a matrix sees of its runs, and what it asks for that.

Owns the way from the Operations that exist to indexes and results, and the shape of
`status.search`. Must not decide what follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from opstrand.core import names
from opstrand.core.lifecycle.asks import Ask, Children, Get, Known, Sighting
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.packed import unpack
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.children import is_child
from opstrand.core.pipelines.letters import (
    ABSENT,
    FAILED,
    PUBLISHED,
    UPSTREAM_FAILED,
    read_children,
    read_failure,
)
from opstrand.core.pipelines.letters import Children as Letters
from opstrand.core.pipelines.matrix_progress import (
    Progress,
    Run,
    find_missing_metrics,
    observe,
)
from opstrand.core.pipelines.results import (
    read_promotions,
    read_results,
    write_promotions,
    write_results,
)
from opstrand.core.pipelines.rounds import is_left, read_child_of, read_round, reset_ended
from opstrand.core.pipelines.search import Metric
from opstrand.core.recorded import parse_moment, read_status
from opstrand.types import OperationBody

OPERATION = "Operation"
#: Missing objects that one decision asks the API server about.
_MOST_ASKED = 20


@dataclass(frozen=True)
class MatrixSnapshot(Snapshot):
    """A snapshot of a matrix, with its runs that have not ended by the status."""

    #: What the status says of this round, and what it says after a look at the runs.
    recorded: Progress = field(default_factory=lambda: Progress(Letters(""), {}))
    progress: Progress = field(default_factory=lambda: Progress(Letters(""), {}))
    runs: Mapping[int, Run] = field(default_factory=dict)
    #: Runs with the name of one of ours, of which it is not known that this run asked for them.
    unknown: tuple[int, ...] = ()
    #: Runs that ended in an earlier round, and have not started in this one.
    left_over: Mapping[int, OperationBody] = field(default_factory=dict)
    #: Whether the object of a run is gone whose end is not written.
    has_lost: bool = False

    @property
    def search(self) -> Mapping[str, Any]:
        return read_search(self)

    @property
    def seed(self) -> int:
        return int(self.search.get("seed") or 0)

    @property
    def metric(self) -> Metric:
        return _read_metric(self.search)

    @property
    def origins(self) -> dict[int, int]:
        """The runs that were promoted, and the one that each continues."""
        return read_promotions(self.search.get("promotions"), len(self.progress.children.states))

    @property
    def has_room(self) -> bool:
        """Whether a run that does not exist yet could be created."""
        children = self.progress.children
        return ABSENT in children.states and children.alive < find_limit(self, children)

    def written_for(self, seconds: float) -> float:
        """Return how many of these seconds since the last write are left.

        A clock that was set only makes a write come earlier.
        """
        last = parse_moment((self.status.get("children") or {}).get("at"))
        passed = seconds if last is None else (self.now - last).total_seconds()
        return seconds - passed if 0 <= passed < seconds else 0.0


def find_limit(snapshot: Snapshot, children: Letters) -> int:
    """Return how many runs may be alive at once."""
    return children.concurrency or snapshot.settings.pipeline_concurrency


def read_search(snapshot: Snapshot) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], snapshot.status.get("search") or {})


def _read_metric(search: Mapping[str, Any]) -> Metric:
    return Metric(
        str(search.get("metric") or ""),
        search.get("minimize") is True,
        "matrix.metric.name",
        search.get("isNeeded") is True,
    )


def _read_recorded(snapshot: Snapshot) -> Progress:
    status: Mapping[str, Any] = snapshot.status
    total = len(str((status.get("children") or {}).get("states") or ""))
    results = read_results(read_search(snapshot).get("results"), total)
    return Progress(read_children(status, total), results, status.get("best"))


def name_run(snapshot: Snapshot, index: int) -> str:
    metadata = snapshot.body["metadata"]
    return names.child_name(metadata["name"], names.run_uuid(metadata["uid"]), index)


def list_matrix_asks(snapshot: Snapshot) -> tuple[Ask, ...]:
    """Return what must be known of the runs of a matrix that has not ended."""
    if snapshot.phase.is_final:
        return ()
    if Children() not in snapshot.answers:
        return (Children(),)
    recorded, bodies = _read_round(snapshot)
    states = recorded.children.states
    missing = [
        index
        for index, letter in enumerate(states)
        if letter != ABSENT and letter not in PUBLISHED and index not in bodies
    ]
    return (
        Children(),
        *(Known(OPERATION, name_run(snapshot, at)) for at in bodies if states[at] == ABSENT),
        *(Get(OPERATION, name_run(snapshot, at)) for at in missing[:_MOST_ASKED]),
    )


def see_matrix(snapshot: Snapshot) -> MatrixSnapshot:
    """Return the matrix with its runs as the answers show them."""
    recorded, bodies = _read_round(snapshot)
    states = recorded.children.states
    unknown = () if snapshot.is_to_stop else tuple(_find_unknown(snapshot, states, bodies))
    number = read_round(snapshot.status)
    left = {
        index: body
        for index, body in bodies.items()
        if states[index] == ABSENT and is_left(body, number)
    }
    open_bodies = {
        index: body for index, body in bodies.items() if index not in unknown and index not in left
    }
    gone_names = _list_lasts(snapshot)
    runs = {
        # One that is gone has no part in a later round: its end stays.
        index: _read_run(body, 0 if body["metadata"]["name"] in gone_names else number)
        for index, body in open_bodies.items()
    }
    metric = _read_metric(read_search(snapshot))
    gone = _find_gone(snapshot, states, bodies)
    progress = observe(recorded, runs, metric, gone=gone)
    failures = [
        read_failure(str(index), body)
        for index, body in sorted(open_bodies.items())
        if progress.children.states[index] in (FAILED, UPSTREAM_FAILED)
    ]
    failures += find_missing_metrics(progress, metric)
    progress = replace(progress, children=progress.children.with_failures(failures))
    return MatrixSnapshot.over(
        snapshot,
        recorded=recorded,
        progress=progress,
        runs=runs,
        unknown=unknown,
        left_over=left,
        has_lost=bool(gone) or _has_last(snapshot),
    )


def _read_round(snapshot: Snapshot) -> tuple[Progress, dict[int, OperationBody]]:
    """Return what the status says, and the runs that have not ended by it.

    A run that was alive when this round began, and has ended since, has no letter. One that is
    gone keeps its letter: it has no part in a later round.
    """
    recorded = _read_recorded(snapshot)
    bodies = _find_bodies(snapshot, recorded.children.states)
    gone = _list_lasts(snapshot)
    there = {at: body for at, body in bodies.items() if body["metadata"]["name"] not in gone}
    children = reset_ended(recorded.children, there, read_round(snapshot.status))
    return replace(recorded, children=children), bodies


def _find_bodies(snapshot: Snapshot, states: str) -> dict[int, OperationBody]:
    """Return the Operations that this run made and that have not ended by the status, by index.

    One that is deleted before its end is gone. Most runs of a large matrix have ended: these are
    passed over before anything else is looked at.
    """
    children: tuple[OperationBody, ...] = snapshot.answers.get(Children(), ())
    asked = [
        cast(OperationBody, answer.body or answer.last)
        for ask, answer in snapshot.answers.items()
        if isinstance(ask, Get) and isinstance(answer, Sighting) and (answer.body or answer.last)
    ]
    uid = snapshot.body["metadata"]["uid"]
    found: dict[int, OperationBody] = {}
    for body in (*children, *asked):
        index = _read_index(body, len(states))
        if index is None or states[index] in PUBLISHED:
            continue
        metadata = body["metadata"]
        is_own = is_child(body, uid) and not _is_lost(body)
        if is_own and metadata["name"] == name_run(snapshot, index):
            found[index] = body
    return found


def _list_lasts(snapshot: Snapshot) -> frozenset[str]:
    """Return the names of the runs of which only this process knows how they ended."""
    return frozenset(
        ask.name
        for ask, one in snapshot.answers.items()
        if isinstance(ask, Get) and isinstance(one, Sighting) and one.last and not one.body
    )


def _has_last(snapshot: Snapshot) -> bool:
    """Return whether only this process knows how a run ended."""
    return any(isinstance(one, Sighting) and one.last for one in snapshot.answers.values())


def _is_lost(body: OperationBody) -> bool:
    """Return whether a run is being deleted before its end."""
    is_over = parse_phase(read_status(body)).is_final
    return "deletionTimestamp" in body["metadata"] and not is_over


def _read_index(body: OperationBody, total: int) -> int | None:
    """Return the index that an Operation has by its label; None if it is none of this matrix."""
    label = (body["metadata"].get("labels") or {}).get(names.OP, "")
    if not (label.isascii() and label.isdigit() and len(label) < 7):
        return None
    index = int(label)
    return index if index < total else None


def _find_unknown(
    snapshot: Snapshot, states: str, bodies: Mapping[int, OperationBody]
) -> Iterator[int]:
    """Yield the runs that no letter records, and that this process did not create or compare."""
    for index, body in sorted(bodies.items()):
        if states[index] == ABSENT:
            known = snapshot.answers.get(Known(OPERATION, body["metadata"]["name"]), Sighting())
            if known.own_uid != body["metadata"]["uid"]:
                yield index


def _find_gone(
    snapshot: Snapshot, states: str, bodies: Mapping[int, OperationBody]
) -> frozenset[int]:
    """Return the runs that existed and of which the API server has no object."""
    return frozenset(
        index
        for index, letter in enumerate(states)
        if letter != ABSENT
        and letter not in PUBLISHED
        and index not in bodies
        and Get(OPERATION, name_run(snapshot, index)) in snapshot.answers
    )


def _read_run(body: OperationBody, number: int) -> Run:
    metadata = body["metadata"]
    outputs = read_status(unpack(body)).get("outputs") or {}
    uuid = names.run_uuid(metadata["uid"])
    return Run(read_child_of(body, number).letter, metadata["name"], uuid, outputs)


def progress_facts(
    snapshot: Snapshot, progress: Progress, origins: Mapping[int, int] | None
) -> dict[str, Any]:
    """Return what the status records of the progress. `origins` None: they are as before."""
    search = dict(read_search(snapshot))
    results = write_results(progress.results)
    if results:
        search["results"] = results
    if origins:
        search["promotions"] = write_promotions(origins)
    at = (snapshot.status.get("children") or {}).get("at")
    children = {**progress.children.as_dict(), **({"at": at} if at else {})}
    facts: dict[str, Any] = {"children": children, "search": search}
    if progress.best is not None:
        facts["best"] = dict(progress.best)
    return facts
