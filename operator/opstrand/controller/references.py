"""Look up what a run's file refers to: its component, and the runs that its params name.

Owns that a run is woken by what it waits for, and where a ref is looked up: inside a pipeline it
names a sibling or the pipeline. Must not do I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opstrand.controller.cache import Subject
from opstrand.controller.gather import World
from opstrand.core import names
from opstrand.core.names import run_uuid
from opstrand.core.resolving.cycles import check_circle
from opstrand.core.resolving.refs import Ref
from opstrand.core.resolving.scope import check_sibling, find_pipeline, sibling_name
from opstrand.types import Key


def find_component(key: Key, name: str, world: World) -> Mapping[str, Any] | None:
    """The Component of this name. If there is none, its creation wakes the run."""
    found = world.cache.component(key[0], name)
    if found is None:
        world.cache.wait(key, frozenset({Subject("component", key[0], name)}))
    return found


def find_upstream(
    key: Key, refs: Iterable[Ref], world: World
) -> dict[Ref, Mapping[str, Any] | None]:
    """The bodies of every run that the params refer to.

    Registers the wait before it reads, with no await between, so that no end of a run is missed.
    """
    body = world.cache.operation(key)
    if body is None:
        return dict.fromkeys(refs)
    subjects = {ref: _subject(ref, body, world) for ref in refs}
    world.cache.wait(key, frozenset(subject for subject in subjects.values() if subject))
    return {ref: _find_body(ref, body, world) for ref in subjects}


def check_waiting(body: Mapping[str, Any], world: World) -> None:
    """Raise SpecError if this run waits for itself by way of other runs."""
    check_circle(body, lambda ref, of: _find_body(ref, of, world))


def _subject(ref: Ref, body: Mapping[str, Any], world: World) -> Subject | None:
    """What a run waits for with this ref; None if its pipeline is gone."""
    namespace = body["metadata"]["namespace"]
    if ref.kind == "runs":
        return Subject("run", namespace, ref.target)
    if names.find_controller(body) is None:
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
