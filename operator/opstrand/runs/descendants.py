"""The runs that a pipeline made, on every level below it, each by its place in the files.

Owns the places: they never change while a pipeline runs, so a client can name a run by its place.
Must not read logs. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from opstrand.core import names
from opstrand.core.packed import unpack
from opstrand.core.recorded import read_status
from opstrand.runs.protocols import Listed
from opstrand.types import Body

#: The indexes that lead from a pipeline to a run: of the operation in its file, or in its matrix.
Place = tuple[int, ...]
#: Pipelines below a pipeline, at most; a longer chain of owners is not ours.
MOST_LEVELS = 16


@dataclass(frozen=True)
class Descendant:
    """A run without runs of its own, below a pipeline. `name`: the operations that lead to it."""

    place: Place
    name: str
    run: Listed


def is_pipeline(body: Body) -> bool:
    """Whether the run has made runs, or is about to."""
    status = read_status(body)
    return "children" in status or "schedule" in status


#: Returns the runs that the Operation of a uid made.
MadeBy = Callable[[str], Sequence[Listed]]


def find_descendants(pipeline: Body, made_by: MadeBy) -> list[Descendant]:
    """The runs below a pipeline that make no runs themselves, by their places."""
    found = _walk(pipeline, made_by, (), "")
    return sorted(found, key=lambda one: one.place)


def _walk(pipeline: Body, made_by: MadeBy, place: Place, name: str) -> Iterator[Descendant]:
    children = made_by(str(pipeline["metadata"]["uid"]))
    if not children or len(place) >= MOST_LEVELS:
        return
    keys = _read_keys(unpack(pipeline))
    indexes = _index_names(pipeline["metadata"]["name"], pipeline["metadata"]["uid"], keys)
    # An operation that only a patch adds has no place in the file: it comes after the others.
    others = sorted(
        one.head["metadata"]["name"]
        for one in children
        if one.head["metadata"]["name"] not in indexes
    )
    for child in children:
        object_name = child.head["metadata"]["name"]
        at = indexes.get(object_name)
        own = object_name if at is None else str(keys[at])
        where = (*place, len(keys) + others.index(object_name) if at is None else at)
        path = f"{name}/{own}" if name else own
        if is_pipeline(child.head):
            yield from _walk(child.head, made_by, where, path)
        else:
            yield Descendant(where, path, child)


def _read_keys(pipeline: Body) -> Sequence[str | int]:
    """The key of each child, in the order of the file: an operation's name, or an index."""
    status, spec = read_status(pipeline), pipeline.get("spec") or {}
    if status.get("kind") != "dag":
        return range(len((status.get("children") or {}).get("states") or ""))
    component: Any = status.get("component") or spec.get("component") or {}
    operations = (component.get("run") or {}).get("operations") or ()
    return tuple(str(one.get("name")) for one in operations)


@lru_cache(maxsize=64)
def _index_names(name: str, uid: str, keys: Sequence[str | int]) -> Mapping[str, int]:
    uuid = names.run_uuid(uid)
    return {names.child_name(name, uuid, key): at for at, key in enumerate(keys)}
