"""Keep a store equal to what the cluster holds: list page by page, then watch from that version.

Owns when to list, when a watch resumes where the last one ended, and that no change is missed:

- What a list lacks was deleted only if a GET of the object says so too.
- A version that is too old, an error, a silence, or a watch that ends at once: list again, after a
  pause that grows until a watch was healthy.
- A watch that the API server ends in order resumes at its last event or bookmark.

A store keeps the newest version of an object, whatever arrives first. Must not know what an object
means, nor who reads the store. kopf watches for the operator: `controller.sync` shares
`list_into` and `WatchHealth`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Set
from dataclasses import dataclass
from typing import Protocol

from opstrand.errors import PlatformError
from opstrand.kube.errors import Expired, NotFound, Unreachable
from opstrand.kube.protocol import Page, WatchedKube
from opstrand.kube.resources import Resource
from opstrand.kube.watch_health import WatchHealth
from opstrand.types import Body, Key, Manifest, key_of

logger = logging.getLogger(__name__)

#: Seconds: the API server sends a bookmark every minute, so a watch that is silent for longer is
#: dead.
SILENCE = 150.0


@dataclass(frozen=True)
class Scope:
    """Which objects of a kind are meant: those of one namespace or of all, by labels, or the one of
    this name.
    """

    resource: Resource
    namespace: str | None = None
    labels: str = ""
    name: str = ""


class Store(Protocol):
    """Where an informer keeps what it reads."""

    def keys(self, namespace: str | None) -> frozenset[Key]:
        """The names of all objects in the store, in one namespace or in all."""
        ...

    def missing(self, known: frozenset[Key], present: Set[Key]) -> Collection[Body]:
        """The objects of those `known` that are still in the store and not `present`."""
        ...

    def put(self, body: Manifest) -> object:
        """Store this body, unless a newer one is known or this very object was deleted."""
        ...

    def drop(self, body: Body) -> object:
        """Forget this very object; a newer one of the same name stays."""
        ...


class Listing(Protocol):
    """The part of a cluster that a list needs."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...

    def pages(
        self, resource: Resource, namespace: str | None = None, *, labels: str = ""
    ) -> AsyncIterator[Page]: ...


async def list_into(kube: Listing, scope: Scope, store: Store) -> str:
    """Store a full list page by page, so that the whole list is never held beside the store.

    What was known when the list began, and is not in it, is read once more and then dropped or
    stored. Returns the version to watch from. Raises NotFound if the kind does not exist, and where
    one object is meant, if that does not.
    """
    if scope.name:
        return await _read_one(kube, scope, store)
    # An object that is stored from now on is newer than the list, so it is not missing there.
    known = store.keys(scope.namespace)
    present: set[Key] = set()
    version = ""
    async for page in kube.pages(scope.resource, scope.namespace, labels=scope.labels):
        version = page.version
        for body in page.items:
            present.add(key_of(body))
            store.put(body)
    for missing in store.missing(known, present):
        await _drop_if_gone(kube, scope.resource, store, missing)
    return version


async def _read_one(kube: Listing, scope: Scope, store: Store) -> str:
    try:
        body = await kube.get(scope.resource, scope.namespace, scope.name)
    except NotFound:
        for missing in store.missing(store.keys(scope.namespace), frozenset()):
            store.drop(missing)
        raise
    store.put(body)
    version: str = body["metadata"]["resourceVersion"]
    return version


async def _drop_if_gone(kube: Listing, resource: Resource, store: Store, body: Body) -> None:
    """Read the object itself: the list may be older or newer than the store."""
    try:
        found = await kube.get(resource, *key_of(body))
    except NotFound:
        store.drop(body)
        return
    store.put(found)


def log_failure(error: PlatformError, health: WatchHealth) -> None:
    """Report a failed list or watch in the log."""
    logger.warning("%s; listed again", error.message)


class Informer:
    """Keeps `store` equal to the objects of `scope` while `run` runs.

    `version`: that of what the store holds already; "" lists first. `on_failure` is called with
    each error but a version that is too old, which is normal; it may raise, and that ends `run`.
    """

    def __init__(
        self,
        kube: WatchedKube,
        scope: Scope,
        store: Store,
        *,
        version: str = "",
        on_failure: Callable[[PlatformError, WatchHealth], None] = log_failure,
    ) -> None:
        self._kube, self._scope, self._store = kube, scope, store
        self._version = version
        self._on_failure = on_failure
        #: Is set once the store has been equal to the cluster.
        self.synced = asyncio.Event()
        if version:
            self.synced.set()

    @property
    def is_synced(self) -> bool:
        return self.synced.is_set()

    async def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """List and watch until `until` holds; it is asked after each change."""
        health = WatchHealth(asyncio.get_running_loop().time)
        while not until():
            error = await self._list_and_watch(health, until)
            if until() or (error is None and health.was_healthy()):
                continue
            self._version = ""
            message = "the watch ended at once" if error is None else error.message
            asked = error.retry_after if error else None
            pause = health.record_failure(message, asked)
            if error is not None and not isinstance(error, Expired):
                self._on_failure(error, health)
            # Many clients lose their watches at the same moment: let them not return together.
            await asyncio.sleep(max(pause * random.uniform(0.5, 1.0), asked or 0))

    async def _list_and_watch(
        self, health: WatchHealth, until: Callable[[], bool]
    ) -> PlatformError | None:
        """Return the error that ended the watch; None if it ended in order."""
        try:
            if not self._version:
                self._version = await list_into(self._kube, self._scope, self._store)
                self.synced.set()
            if not until():
                await self._watch(health, until)
        except PlatformError as error:
            return error
        return None

    async def _watch(self, health: WatchHealth, until: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SILENCE) as silence, self._open(health) as events:
                async for kind, body in events:
                    silence.reschedule(loop.time() + SILENCE)
                    health.record_event()
                    self._version = body["metadata"]["resourceVersion"]
                    self._store_event(kind, body)
                    if until():
                        return
        except TimeoutError:
            if not silence.expired():
                raise
            plural = self._scope.resource.plural
            raise Unreachable(
                f"the watch of {plural} was silent for {SILENCE:.0f} s", status=0
            ) from None

    def _open(
        self, health: WatchHealth
    ) -> contextlib.aclosing[AsyncGenerator[tuple[str, Manifest], None]]:
        scope = self._scope
        return contextlib.aclosing(
            self._kube.watch(
                scope.resource,
                scope.namespace,
                since=self._version,
                fields=f"metadata.name={scope.name}" if scope.name else "",
                labels=scope.labels,
                on_open=health.record_open,
            )
        )

    def _store_event(self, kind: str, body: Manifest) -> None:
        if kind == "DELETED":
            self._store.drop(body)
        elif kind != "BOOKMARK":
            self._store.put(body)
