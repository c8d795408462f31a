"""Look up what a run's file refers to: its component, and the runs that its params name.

Owns that a run is woken by what it waits for, and where a ref is looked up: inside a pipeline it
names a sibling or the pipeline, and a uuid may be that of a run of the store. Must not do I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opstrand.controller.cache import Subject
from opstrand.controller.gather import World
from opstrand.core import names
from opstrand.core.names import run_uuid
from opstrand.core.packed import unpack
from opstrand.core.pipelines.children import MAX_DEPTH
from opstrand.core.pipelines.hub import check_above, find_frozen
from opstrand.core.resolving.cycles import check_circle
from opstrand.core.resolving.joins import Searched
from opstrand.core.resolving.refs import Ref
from opstrand.core.resolving.scope import check_sibling, find_pipeline, is_outside, sibling_name
from opstrand.core.resolving.stored import StoredRuns, Unanswered
from opstrand.types import Body, Key


def find_component(key: Key, name: str, world: World) -> Mapping[str, Any] | None:
    """The Component of this name, for the run itself. If there is none, its creation wakes the run.

    Raises SpecError if a pipeline above the run is one of this Component.
    """
    check_above(name, list_above(key, world))
    found = _find_component(key, name, world)
    if found is None:
        world.cache.wait(key, frozenset({Subject("component", key[0], name)}))
    return found


def find_components(key: Key, wanted: Iterable[str], world: World) -> dict[str, Mapping[str, Any]]:
    """The Components that operations of this run name, as far as they exist."""
    found = {name: _find_component(key, name, world) for name in sorted(wanted)}
    return {name: body for name, body in found.items() if body is not None}


def _find_component(key: Key, name: str, world: World) -> Mapping[str, Any] | None:
    """The Component of this name, as the nearest pipeline around the run that used it froze it."""
    for body in list_above(key, world):
        spec = find_frozen(unpack(body), name)
        if spec is not None:
            return {"spec": spec}
    return world.cache.component(key[0], name)


def list_above(key: Key, world: World) -> Iterator[Body]:
    """Yield the runs that made this one, the nearest first."""
    body: Body | None = world.cache.operation(key)
    for _ in range(MAX_DEPTH):
        uid = "" if body is None else names.controller_uid(body)
        body = world.cache.find_by_uuid(key[0], run_uuid(uid)) if uid else None
        if body is None:
            return
        yield body


#: What is known of a run that is referred to: its body, or that the store has not answered yet.
Found = Mapping[str, Any] | Unanswered | None


def find_upstream(
    key: Key, refs: Iterable[Ref], world: World, components: Iterable[str] = ()
) -> dict[Ref, Found]:
    """The bodies of every run that the params refer to, also of those whose object is gone.

    Registers the wait before it reads, with no await between, so that no end of a run is missed.
    `components`: the missing ones, whose creation wakes the run too.
    """
    body = world.cache.operation(key)
    if body is None:
        return dict.fromkeys(refs)
    subjects = {ref: _subject(ref, body, world) for ref in refs}
    awaited = {subject for subject in subjects.values() if subject}
    awaited |= {Subject("component", key[0], name) for name in components}
    world.cache.wait(key, frozenset(awaited))
    return {ref: _find_body(ref, body, world) or _find_stored(ref, key, world) for ref in subjects}


def _find_stored(ref: Ref, key: Key, world: World) -> Found:
    """What the store says of a run that has no object. A name means an object, which may come."""
    if ref.kind != "runs" or world.store is None:
        return None
    return world.store.find(key, ref.target)


def find_searched(
    key: Key, questions: Iterable[StoredRuns], world: World
) -> tuple[Searched, list[bytes]]:
    """Which of these searches the store has answered, and the runs that it found, as parcels."""
    if world.store is None or not world.store.is_there:
        return None, []
    searched: dict[StoredRuns, Unanswered | None] = {}
    found: list[bytes] = []
    for question in questions:
        answer = world.store.search(key, question)
        searched[question] = answer if isinstance(answer, Unanswered) else None
        found += () if isinstance(answer, Unanswered) else answer
    return searched, found


def check_waiting(body: Mapping[str, Any], world: World) -> None:
    """Raise SpecError if this run waits for itself by way of other runs."""
    check_circle(body, lambda ref, of: _find_body(ref, of, world))


def _subject(ref: Ref, body: Mapping[str, Any], world: World) -> Subject | None:
    """What a run waits for with this ref; None if its pipeline is gone."""
    namespace = body["metadata"]["namespace"]
    if ref.kind == "runs":
        return Subject("run", namespace, ref.target)
    if is_outside(body, lambda uid: world.cache.find_by_uuid(namespace, run_uuid(uid))):
        # Outside a pipeline, `ops.NAME` is the Operation of that name: the author of a manifest in
        # git cannot know a uid beforehand.
        return Subject("operation", namespace, ref.target)
    pipeline = _find_pipeline(body, world)
    if pipeline is None:
        return None
    if ref.kind == "dag":
        return Subject("operation", namespace, pipeline["metadata"]["name"])
    return Subject("operation", namespace, sibling_name(pipeline, ref.target))


def _find_body(ref: Ref, body: Mapping[str, Any], world: World) -> Mapping[str, Any] | None:
    """The run that a ref of this run names."""
    subject = _subject(ref, body, world)
    if subject is None:
        return None
    if subject.kind == "run":
        return world.cache.find_by_uuid(subject.namespace, subject.name)
    found = world.cache.find_named(subject.namespace, subject.name)
    pipeline = _find_pipeline(body, world)
    if pipeline is None or ref.kind == "dag":
        return found
    return check_sibling(found, pipeline, body, ref)


def _find_pipeline(body: Mapping[str, Any], world: World) -> Mapping[str, Any] | None:
    namespace = body["metadata"]["namespace"]
    return find_pipeline(body, lambda uid: world.cache.find_by_uuid(namespace, run_uuid(uid)))
