"""Which runs have a result that another run may take, and which compute one.

Owns the two indexes by the key of a result: what has ended well, by its end, and what has started;
and one by the component, for the sentence about a run that found none. Must not say whether a
result is taken: `core.runtimes.reuse` does.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
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
        self._done: dict[_Place, list[_Entry]] = {}
        self._started: dict[_Place, list[_Entry]] = {}
        self._alike: dict[_Place, list[_Entry]] = {}

    def add(self, body: Mapping[str, Any]) -> None:
        for index, place, entry in self._locate(body):
            insort(index.setdefault(place, []), entry)

    def remove(self, body: Mapping[str, Any]) -> None:
        """Remove a run, by the body with which it was added."""
        for index, place, entry in self._locate(body):
            found = index.get(place, [])
            at = bisect_left(found, entry)
            if at < len(found) and found[at] == entry:
                del found[at]
            if not found:
                index.pop(place, None)

    def find_done(self, namespace: str, digest: str, outermost: str) -> Key | None:
        """The newest run that ended well with this key."""
        return next(_outside(self._done.get((namespace, digest)), outermost), None)

    def find_started(self, namespace: str, digest: str, outermost: str) -> Key | None:
        """A run with this key that is frozen and has not ended."""
        return next(_outside(self._started.get((namespace, digest)), outermost), None)

    def list_alike(self, namespace: str, component: str, outermost: str) -> list[Key]:
        """The newest runs of this component, the newest first."""
        found = _outside(self._alike.get((namespace, component)), outermost)
        return list(islice(found, _COMPARED))

    def _locate(
        self, body: Mapping[str, Any]
    ) -> Iterator[tuple[dict[_Place, list[_Entry]], _Place, _Entry]]:
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


def _outside(entries: list[_Entry] | None, outermost: str) -> Iterator[Key]:
    """Yield the runs of other pipelines, the newest first."""
    return (key for _, key, pipeline in reversed(entries or ()) if pipeline != outermost)
