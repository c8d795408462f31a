"""Decide about one run where it is cheapest: inline, or in a worker process.

Owns the choice between the two, and the data sent to the worker and back. A small run whose
templates are only look-ups is decided inline, under a timer that aborts the attempt if it turns out
not to be small. Every other run is decided as a whole in a worker, within the run's allowance. Must
not decide what becomes of a run: `core.decide` does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opstrand.controller.decision_job import MODULE as JOB
from opstrand.controller.decision_job import Needs, warm_up
from opstrand.controller.gather import Gathered, World
from opstrand.controller.references import (
    Found,
    check_waiting,
    find_component,
    find_components,
    find_searched,
    find_upstream,
)
from opstrand.controller.suggestions import suggest_component, suggest_upstream
from opstrand.core.compiling.prepare import Prepared, prepare
from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot
from opstrand.core.packed import Head, is_large, to_parcel
from opstrand.core.pipelines.letters import ABSENT
from opstrand.core.pods.volumes import store_path
from opstrand.core.recorded import read_status
from opstrand.core.resolving.refs import Ref
from opstrand.core.resolving.stored import Unanswered
from opstrand.core.resolving.upstream import read_found
from opstrand.core.runtimes.gates import is_decided_unread
from opstrand.errors import SpecError
from opstrand.logs import about
from opstrand.types import Body, Key
from opstrand.workers.inline import NeedsWorker, bounded, put_off
from opstrand.workers.pool import Exceeded, Refused, Stuck

logger = logging.getLogger(__name__)

#: Upstream runs that are read inline, at most.
_FEW = 16
#: Bodies sent to a worker in one chunk.
_CHUNK = 50


# -- inline ----------------------------------------------------------------------------------------


def decide_here(gathered: Gathered, key: Key, world: World) -> Decision:
    """The decision, if it is cheap. Raises NeedsWorker if it is not."""
    snapshot = gathered.snapshot
    if not gathered.is_file_needed or is_decided_unread(snapshot):
        return decide(snapshot)
    if is_large(snapshot.body) or _Account(snapshot, key, world).is_used:
        raise NeedsWorker
    warm_up()
    with bounded():
        return decide(_read_file(snapshot, key, world))


def _read_file(snapshot: Snapshot, key: Key, world: World) -> Snapshot:
    prepared = _prepare(snapshot.body, key, world)
    snapshot = snapshot.changed(prepared=prepared, evaluate=put_off)
    is_read = snapshot.is_frozen or snapshot.phase.is_final
    if is_read or isinstance(prepared, SpecError):
        return snapshot
    if prepared.compiled is None:
        near = suggest_component(snapshot, prepared.missing_component, world.cache)
        return snapshot.changed(near=near)
    if prepared.compiled.joins:
        raise NeedsWorker
    wanted = prepared.components.union(prepared.hook_components)
    components = _read_components(key, wanted, world)
    snapshot = snapshot.changed(components=components)
    bodies = find_upstream(key, prepared.refs, world, wanted - components.keys())
    if len(bodies) > _FEW or any(isinstance(one, Head) for one in bodies.values()):
        raise NeedsWorker
    places = (store_path(snapshot.catalog), prepared.identity.context_root)
    upstream = {ref: read_found(body, world.settings, *places) for ref, body in bodies.items()}
    return snapshot.changed(upstream=upstream, near=suggest_upstream(snapshot, bodies, world.cache))


def _read_components(
    key: Key, wanted: frozenset[str], world: World
) -> dict[str, Mapping[str, Any]]:
    found = find_components(key, wanted, world)
    if any(map(is_large, found.values())):
        raise NeedsWorker
    return {name: body.get("spec") or {} for name, body in found.items()}


def _prepare(body: Mapping[str, Any], key: Key, world: World) -> Prepared | SpecError:
    try:
        prepared = prepare(body, settings=world.settings)
        if prepared.missing_component:
            found = find_component(key, prepared.missing_component, world)
            if is_large(found):
                raise NeedsWorker
            if found is not None:
                prepared = prepare(body, settings=world.settings, component=found.get("spec") or {})
        if prepared.refs:
            check_waiting(body, world)
        return prepared
    except SpecError as error:
        return error


# -- in a worker -----------------------------------------------------------------------------------


async def decide_apart(gathered: Gathered, key: Key, world: World) -> Decision:
    """The decision, made in a worker. A run that exceeds its allowance ends with a reason."""
    snapshot = gathered.snapshot
    if not gathered.is_file_needed or is_decided_unread(snapshot):
        return decide(snapshot)
    try:
        return await _decide_in_steps(snapshot, key, world)
    except SpecError as error:
        return decide(snapshot.changed(prepared=error))


async def _decide_in_steps(snapshot: Snapshot, key: Key, world: World) -> Decision:
    """Ask a worker, then ask again with the other objects that its answer says it needs.

    Raises SpecError.
    """
    account = _Account(snapshot, key, world)
    body = to_parcel(snapshot.body)
    seen = {"measure": snapshot.measured, **{name: getattr(snapshot, name) for name in _SEEN}}
    component: Mapping[str, Any] | None = None
    found: Needs | Decision = await account.run("decide_run", body, None, None, snapshot.now, seen)
    if isinstance(found, Needs) and found.missing_component:
        component = find_component(key, found.missing_component, world)
        upstream: dict[Ref, Any] | None = None
        if component is None:
            upstream = {}
            seen["near"] = suggest_component(snapshot, found.missing_component, world.cache)
        found = await account.run(
            "decide_run", body, to_parcel(component), upstream, snapshot.now, seen
        )
    if isinstance(found, Decision):
        return found
    if found.refs:
        check_waiting(snapshot.body, world)
    bodies_of_components = find_components(key, found.components, world)
    missing = found.components - bodies_of_components.keys()
    bodies = find_upstream(key, found.refs, world, missing)
    seen["near"] = suggest_upstream(snapshot, bodies, world.cache)
    parcels = {ref: _to_parcel(one) for ref, one in bodies.items()}
    components = {name: to_parcel(one) for name, one in bodies_of_components.items()}
    questions = found.searches
    while True:
        project = world.cache.operations(key[0]) if found.has_joins else []
        seen["searched"], stored = find_searched(key, questions, world)
        if _is_on_its_way((*bodies.values(), *(seen["searched"] or {}).values())):
            return NOTHING
        decision: Decision = await account.run(
            "decide_run",
            body,
            to_parcel(component),
            parcels,
            snapshot.now,
            seen,
            components,
            # What is in the cluster comes first: of two bodies of one run, the first counts.
            chunks=_cut([*map(to_parcel, project), *stored]),
        )
        if decision.asks <= questions:
            return decision
        questions |= decision.asks


def _is_on_its_way(found: Iterable[object]) -> bool:
    """Whether the store was just asked for one of these: the run is woken by the answer."""
    return Unanswered() in found


def _to_parcel(found: Found) -> Any:
    return found if isinstance(found, Unanswered) else to_parcel(found)


def _cut(parcels: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (parcels[at : at + _CHUNK] for at in range(0, len(parcels), _CHUNK))


#: The fields of a snapshot that do not come from the run's file.
_SEEN = ("answers", "catalog")


def find_version(body: Body) -> int:
    """Return the number with which a run's allowance starts again.

    It changes with the spec. A pipeline decides about each of its runs: it has an allowance for
    each one that has a letter in its status.
    """
    generation = int(body["metadata"].get("generation") or 1)
    states = str((read_status(body).get("children") or {}).get("states") or "")
    return generation * _MOST_RUNS + len(states) - states.count(ABSENT)


#: More than any pipeline has runs.
_MOST_RUNS = 1_000_000


class _Account:
    """The allowance of one run: for all its decisions together, and for each of them."""

    def __init__(self, snapshot: Snapshot, key: Key, world: World) -> None:
        metadata = snapshot.body["metadata"]
        self._uid, self._version = str(metadata["uid"]), find_version(snapshot.body)
        self._key, self._world = key, world

    @property
    def is_used(self) -> bool:
        """Whether an earlier decision about this run was expensive: then so is this one."""
        return self._world.ledger.spent(self._uid, self._version) > 0

    async def run(self, job: str, *arguments: Any, chunks: Any = None) -> Any:
        """The job's value.

        Raises SpecError for what is wrong with the file, and for a job that exceeds the allowance.
        """
        world, settings = self._world, self._world.settings
        left = settings.decision_seconds_per_run - world.ledger.spent(self._uid, self._version)
        if left <= 0:
            message = (
                f"deciding about this run took {settings.decision_seconds_per_run} s of computing "
                "time altogether"
            )
            raise SpecError("TooExpensive", message)
        try:
            seconds = min(left, world.pool.seconds)
            done = await world.pool.run(
                f"{JOB}:{job}",
                settings,
                *arguments,
                group=self._key[0],
                seconds=seconds,
                chunks=chunks,
            )
        except Exceeded as error:
            world.ledger.charge(self._uid, self._version, error.seconds)
            logger.info("a decision took too much: %s", error.message, extra=about(*self._key))
            raise SpecError(
                "TooExpensive", f"deciding about this run was ended: {error.message}"
            ) from None
        except (Refused, Stuck) as error:
            world.ledger.charge(self._uid, self._version, error.seconds)
            raise
        world.ledger.charge(self._uid, self._version, done.seconds)
        return done.value
