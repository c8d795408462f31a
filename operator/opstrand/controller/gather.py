"""From a key to a snapshot: what `decide` needs to see, from the cache, with a request only where
the cache cannot know.

The kind of the run says what must be known (`core.decide.list_asks`); here each question is
answered. Reading a run's file is not part of it, since that may be expensive: `gather` says whether
the file is needed; `controller.references` looks up what the file refers to. Must not
decide, must not write, and must not know a kind of run.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from opstrand.controller.cache import Cache
from opstrand.controller.crash_record import CrashRecord
from opstrand.controller.outlines import Outlines
from opstrand.controller.probe import ask_activity
from opstrand.controller.stopwatch import Stopwatch
from opstrand.controller.store_reader import StoreReader
from opstrand.core.decide import list_asks, needs_file
from opstrand.core.lifecycle.asks import (
    Ask,
    Children,
    Get,
    Known,
    Labelled,
    Pipeline,
    Probe,
    Sighting,
    Warnings,
)
from opstrand.core.lifecycle.snapshot import Snapshot
from opstrand.core.names import run_uuid
from opstrand.core.planning.connections import EMPTY, Catalog
from opstrand.core.planning.culling import Activity
from opstrand.core.planning.plan import Plan
from opstrand.core.templates.template import refuse
from opstrand.errors import SpecError
from opstrand.kube.errors import ApiError, NotFound
from opstrand.kube.protocol import Kube
from opstrand.kube.resources import BY_KIND, EVENTS, OPERATIONS, Resource
from opstrand.logs import about
from opstrand.settings import Settings
from opstrand.types import Body, Event, Key
from opstrand.workers.ledger import Ledger
from opstrand.workers.pool import Pool

logger = logging.getLogger(__name__)

#: For a run that has its objects: its file is no longer read.
_NOT_PREPARED = SpecError("InternalError", "not prepared")


@dataclass
class World:
    """What every reconcile shares: the cluster client, the cache and the settings."""

    kube: Kube
    cache: Cache
    settings: Settings
    #: Runs expensive work in worker processes.
    pool: Pool
    #: Called with the plan of every attempt before its objects are created: a local run keeps it.
    on_plan: Callable[[Key, Plan], None] | None = None
    #: Asks a page of a service when the service was last used.
    ask_activity: Callable[[str], Awaitable[Activity]] = ask_activity
    #: Returns the current catalog of connections.
    read_catalog: Callable[[], Catalog | None] = lambda: EMPTY
    #: Whether the files of a run that has ended are still there, as far as that is known here.
    has_files: Callable[[Body], bool] = lambda body: True
    #: Whether the runs of a pipeline take results of earlier ones though no file says so.
    reuses_results: bool = True
    #: What the decisions about each run have cost so far.
    ledger: Ledger = field(default_factory=Ledger)
    #: Which runs were being reconciled when the process died.
    crashes: CrashRecord = field(default_factory=CrashRecord)
    #: What the files of the pipelines that run say.
    outlines: Outlines = field(default_factory=Outlines)
    #: Answers for runs whose objects are gone; None: such a run counts as not found.
    store: StoreReader | None = None
    #: Measures time by a clock that cannot be set; None: the wall clock is trusted.
    stopwatch: Stopwatch | None = None


@dataclass(frozen=True)
class Gathered:
    """What was gathered about a run.

    `is_file_needed`: the snapshot's `prepared` must still be replaced by what the run's file says.
    """

    snapshot: Snapshot
    is_file_needed: bool = False


async def gather(key: Key, *, world: World, now: datetime) -> Gathered | None:
    """The snapshot of this run; None if there is no such Operation."""
    body = world.cache.operation(key)
    if body is None:
        if world.stopwatch is not None:
            world.stopwatch.forget(key)
        return None
    snapshot = Snapshot(body, _NOT_PREPARED, now, world.settings, refuse)
    if world.stopwatch is not None:
        snapshot = snapshot.changed(measure=world.stopwatch.look(key, snapshot.times, now))
    while asks := list_asks(snapshot):
        answers = {ask: await _answer(ask, key, snapshot, world) for ask in asks}
        snapshot = snapshot.changed(answers={**snapshot.answers, **answers})
    if not needs_file(snapshot):
        return Gathered(snapshot)
    return Gathered(snapshot.changed(catalog=world.read_catalog()), is_file_needed=True)


async def _answer(ask: Ask, key: Key, snapshot: Snapshot, world: World) -> Any:
    match ask:
        case Known() | Labelled() | Children():
            return _recall(ask, key, snapshot, world.cache)
        case Pipeline():
            return await world.outlines.read(snapshot, key, world.pool, world.settings)
        case Get(kind, name):
            return await _read(BY_KIND[kind], (key[0], name), world)
        case Warnings(pod_uid):
            return await _read_warnings(pod_uid, key, world)
        case Probe(url):
            return await _probe(url, key, world)


def _recall(ask: Known | Labelled | Children, key: Key, snapshot: Snapshot, cache: Cache) -> Any:
    """What the cache knows."""
    uid = str(snapshot.body["metadata"]["uid"])
    match ask:
        case Known(kind, name):
            return _sight(BY_KIND[kind], (key[0], name), cache)
        case Labelled(kind):
            return cache.labelled(BY_KIND[kind], key[0], run_uuid(uid))
        case Children():
            return cache.children(key[0], uid)


def _sight(resource: Resource, key: Key, cache: Cache) -> Sighting:
    """What the cache knows of an object."""
    own_uid = cache.own_uid(resource, key) or ""
    return Sighting(cache.find(resource, key), own_uid, cache.was_seen(resource, key))


async def _read(resource: Resource, key: Key, world: World) -> Sighting:
    """What the API server has. The cache then knows it too."""
    try:
        found = await world.kube.get(resource, *key)
    except NotFound:
        known = world.cache.find(resource, key)
        if known is not None:
            world.cache.drop(resource, known)
        own_uid = world.cache.own_uid(resource, key) or ""
        return Sighting(own_uid=own_uid, last=world.cache.last_of(resource, key))
    if world.cache.keeps(resource):
        world.cache.put(resource, found)
    return Sighting(found, world.cache.own_uid(resource, key) or "")


async def _probe(url: str, key: Key, world: World) -> Activity:
    """When a service was last used, by its own page."""
    activity = await world.ask_activity(url)
    if activity.trouble:
        logger.warning(
            "whether a service is idle is not known: %s", activity.trouble, extra=about(*key)
        )
    return activity


async def _read_warnings(uid: str, key: Key, world: World) -> tuple[Event, ...]:
    """The warning Events of a Pod. Best effort: without them the run waits as before."""
    try:
        found, _ = await world.kube.list(
            EVENTS, key[0], fields=f"involvedObject.uid={uid},type=Warning"
        )
    except ApiError as error:
        logger.warning(
            "the events of a Pod that hangs could not be read: %s", error, extra=about(*key)
        )
        return ()
    return tuple(cast(list[Event], found))


async def refresh(key: Key, *, world: World) -> set[Key]:
    """Read the Operation itself, after a write failed because the cache was too old.

    Returns the runs to reconcile, since the watch may have nothing new to report.
    """
    try:
        return world.cache.put(OPERATIONS, await world.kube.get(OPERATIONS, *key))
    except NotFound:
        known = world.cache.operation(key)
        return set() if known is None else world.cache.drop(OPERATIONS, known)
