"""Which runs have a result that another run may take, and which compute one.

Owns the two indexes by the key of a result: what has ended well, by its end, and what has started;
and one by the component, for the sentence about a run that found none. Must not say whether a
result is taken: `core.runtimes.reuse` does.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import Any

from opstrand.core.phase import Phase, is_frozen, parse_phase
from opstrand.core.pipelines.children import find_outermost
from opstrand.core.recorded import read_status
from opstrand.types import Key, RunStatus, key_of

#: Runs of one component that are compared with a new one, at most.
_COMPARED = 8
#: A run of an index: a time by which it is ordered, its key, and its outermost pipeline.
_Entry = tuple[str, Key, str]
_Place = tuple[str, str]


class Results:
    """Runs by namespace and the key, or the component, of their result.

    A run that took its result from another one is in none of them. Runs of one pipeline do not take
    results from each other, since chance would decide which of them runs: each look-up leaves out
    the runs of a pipeline.
    """

    def __init__(self) -> None:
        self._done, self._started, self._alike = _Index(), _Index(), _Index()

    def add(self, body: Mapping[str, Any]) -> None:
        for index, place, entry in self._locate(body):
            index.add(place, entry)

    def remove(self, body: Mapping[str, Any]) -> None:
        """Remove a run, by the body with which it was added."""
        for index, place, entry in self._locate(body):
            index.remove(place, entry)

    def find_done(self, namespace: str, digest: str, outermost: str) -> Key | None:
        """The newest run that ended well with this key."""
        return next(iter(self._done.list_newest((namespace, digest), outermost, 1)), None)

    def find_started(self, namespace: str, digest: str, outermost: str) -> Key | None:
        """A run with this key that is frozen and has not ended."""
        return next(iter(self._started.list_newest((namespace, digest), outermost, 1)), None)

    def list_alike(self, namespace: str, component: str, outermost: str) -> list[Key]:
        """The newest runs of this component, the newest first."""
        return self._alike.list_newest((namespace, component), outermost, _COMPARED)

    def _locate(self, body: Mapping[str, Any]) -> Iterator[tuple[_Index, _Place, _Entry]]:
        """Yield where a run belongs."""
        found = body.get("status")
        if not isinstance(found, Mapping) or "cacheKey" not in found or "original" in found:
            return  # most runs: nothing of them is read
        status, metadata = read_status(body), body["metadata"]
        namespace, key, outermost = metadata["namespace"], key_of(body), find_outermost(body)
        created = str(metadata.get("creationTimestamp") or "")
        if component := (status.get("cache") or {}).get("component"):
            yield self._alike, (namespace, component), (created, key, outermost)
        if not (digest := status.get("cacheKey")):
            return
        if _has_result(body, status):
            finished = str(status.get("finishedAt") or "")
            yield self._done, (namespace, digest), (finished, key, outermost)
        elif _computes_result(body, status):
            yield self._started, (namespace, digest), (created, key, outermost)


def _has_result(body: Mapping[str, Any], status: RunStatus) -> bool:
    return parse_phase(status) is Phase.SUCCEEDED and not _is_withdrawn(body, "invalidate")


def _computes_result(body: Mapping[str, Any], status: RunStatus) -> bool:
    phase = parse_phase(status)
    is_live = not phase.is_final and phase is not Phase.STOPPING and is_frozen(status)
    return is_live and not _is_withdrawn(body, "invalidate", "stop")


def _is_withdrawn(body: Mapping[str, Any], *orders: str) -> bool:
    """Return whether the run is being deleted, or a person gave one of these orders."""
    control = (body.get("spec") or {}).get("control") or {}
    return "deletionTimestamp" in body["metadata"] or any(map(control.get, orders))


class _Index:
    """Runs by a place, each pipeline's in their order, and the newest one of each pipeline.

    So a look-up passes over all runs of one pipeline at once, however many they are.
    """

    def __init__(self) -> None:
        self._runs: dict[_Place, dict[str, list[_Entry]]] = {}
        self._newest: dict[_Place, list[_Entry]] = {}

    def add(self, place: _Place, entry: _Entry) -> None:
        runs = self._runs.setdefault(place, {}).setdefault(entry[2], [])
        before = runs[-1:]
        insort(runs, entry)
        self._follow(place, before, runs[-1:])

    def remove(self, place: _Place, entry: _Entry) -> None:
        pipelines = self._runs.get(place, {})
        runs = pipelines.get(entry[2], [])
        before = runs[-1:]
        _discard(runs, entry)
        self._follow(place, before, runs[-1:])
        if not runs:
            pipelines.pop(entry[2], None)
        if not pipelines:
            self._runs.pop(place, None)

    def _follow(self, place: _Place, before: list[_Entry], after: list[_Entry]) -> None:
        """Replace the newest run of one pipeline."""
        if before == after:
            return
        newest = self._newest.setdefault(place, [])
        for entry in before:
            _discard(newest, entry)
        for entry in after:
            insort(newest, entry)
        if not newest:
            del self._newest[place]

    def list_newest(self, place: _Place, outermost: str, most: int) -> list[Key]:
        """Return the newest runs of other pipelines, the newest first."""
        newest = reversed(self._newest.get(place, ()))
        others = islice((name for _, _, name in newest if name != outermost), most)
        runs = self._runs.get(place, {})
        found = merge(*(reversed(runs[name]) for name in others), reverse=True)
        return [key for _, key, _ in islice(found, most)]


def _discard(entries: list[_Entry], entry: _Entry) -> None:
    at = bisect_left(entries, entry)
    if at < len(entries) and entries[at] == entry:
        del entries[at]
