"""Look for an earlier run's result before a run is started.

Owns the look-up, and that a run that waits for another one's result is woken by it: the wait is
registered with no await after the look-up. Must not decide: `core.runtimes.reuse` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from opstrand.controller.cache import Subject
from opstrand.controller.gather import World
from opstrand.controller.references import list_above
from opstrand.core.lifecycle.cache_key import CacheKey
from opstrand.core.lifecycle.snapshot import NOTHING, Decision, Snapshot
from opstrand.core.names import run_uuid
from opstrand.core.packed import from_parcel, is_large, unpack
from opstrand.core.pipelines.children import find_outermost
from opstrand.core.recorded import read_status
from opstrand.core.resolving.stored import StoredRuns, Unanswered
from opstrand.core.runtimes.reuse import (
    is_fresh,
    is_on,
    reuse_result,
    run_anyway,
    run_without_key,
    wait_for,
)
from opstrand.types import Body, Key

#: Stored runs with the key that are looked at: the newest ones may be invalidated.
_STORED = 4


def settle(decision: Decision, snapshot: Snapshot, key: Key, world: World) -> Decision:
    """The decision to start a run, or in its place the one to take a result or to wait for it."""
    wanted = decision.cache
    if wanted is None:
        return decision
    above = [str(read_status(body).get("kind") or "") for body in list_above(key, world)]
    if not is_on(wanted, above, world.reuses_results):
        return decision
    if wanted.secrets:
        return run_without_key(decision)
    return _look(decision, wanted, snapshot, key, world)


def _look(
    decision: Decision, wanted: CacheKey, snapshot: Snapshot, key: Key, world: World
) -> Decision:
    outermost, now = find_outermost(snapshot.body), snapshot.now
    original = _find_done(wanted, key[0], outermost, now, world)
    if original is not None:
        return reuse_result(snapshot, decision, unpack(original))
    started = world.cache.results.find_started(key[0], wanted.digest, outermost)
    computing = None if started is None else world.cache.operation(started)
    if computing is not None:
        uuid = run_uuid(str(computing["metadata"]["uid"]))
        world.cache.wait_too(key, Subject("run", key[0], uuid))
        return wait_for(snapshot, decision, computing)
    stored = _find_stored(wanted, key, outermost, now, world)
    if isinstance(stored, Mapping):
        return reuse_result(snapshot, decision, stored)
    if stored == Unanswered():
        return NOTHING
    near = list(_list_alike(wanted, key[0], outermost, world))
    return run_anyway(snapshot, decision, near, now)


def _find_done(
    wanted: CacheKey, namespace: str, outermost: str, now: datetime, world: World
) -> Body | None:
    """The newest usable result; if the newest one is too old, so are the others."""
    found = world.cache.results.find_done(namespace, wanted.digest, outermost)
    body = None if found is None else world.cache.operation(found)
    if body is None or not is_fresh(wanted, read_status(body).get("finishedAt"), now):
        return None
    return body if world.has_files(body) else None


def _find_stored(
    wanted: CacheKey, key: Key, outermost: str, now: datetime, world: World
) -> Body | Unanswered | None:
    """A usable result of a run whose object is gone.

    A question that was just asked wakes the run. Where the store does not answer, the run runs.
    """
    if world.store is None or not world.store.is_there:
        return None
    query = f"cache_key: {wanted.digest}, status: succeeded, original: nil"
    found = world.store.search(key, StoredRuns(query, "-finished_at", _STORED))
    if isinstance(found, Unanswered):
        return found
    for parcel in found:
        body: Body | None = from_parcel(parcel)
        if body is not None and _is_usable(body, wanted, outermost, now):
            return body
    return None


def _is_usable(body: Body, wanted: CacheKey, outermost: str, now: datetime) -> bool:
    control = (body.get("spec") or {}).get("control") or {}
    is_apart = find_outermost(body) != outermost and not control.get("invalidate")
    return is_apart and is_fresh(wanted, read_status(body).get("finishedAt"), now)


def _list_alike(wanted: CacheKey, namespace: str, outermost: str, world: World) -> Iterator[Body]:
    """Yield earlier runs of the component; of large ones, which take time to unpack, only one."""
    has_large = False
    for key in world.cache.results.list_alike(namespace, wanted.component, outermost):
        body = world.cache.operation(key)
        if body is None or (has_large and is_large(body)):
            continue
        has_large = has_large or is_large(body)
        yield unpack(body)
