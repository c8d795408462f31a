"""Keep the cache true: full lists, events, the health of each watch, and the time of the last
message from the cluster.

Must not reconcile; it only adds keys to the queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from opstrand.controller.cache import WATCHED, Cache
from opstrand.controller.gather import World
from opstrand.controller.queue import Queue
from opstrand.core import names
from opstrand.errors import PlatformError
from opstrand.kube.errors import ApiError, Forbidden, NotFound
from opstrand.kube.informer import Scope, list_into
from opstrand.kube.resources import OPERATIONS, PODS, Resource
from opstrand.kube.watch_health import LONGEST_PAUSE, WatchHealth
from opstrand.types import Body, Key, key_of

logger = logging.getLogger(__name__)

#: Timeout in seconds of a small list: less than a probe waits, so that the probe gets the reason.
_SMALL_LIST = 5.0
_GUESSES = tuple(
    re.compile(rb'"%s":"([^"\\]+)"' % key) for key in (b"namespace", b"name", b"resourceVersion")
)
#: How an API server writes an event: the object's keys are sorted, and few sort before `metadata`.
_HEAD = re.compile(
    rb'\{"type":"([A-Z]+)","object":\{"apiVersion":"[^"\\]*","kind":"[^"\\]*","metadata":'
)
#: Of these kinds, only the objects with these labels are watched.
_LABELS: Mapping[Resource, str] = {PODS: names.MANAGED_SELECTOR}


def _read_head(line: bytes) -> tuple[str, Mapping[str, Any]]:
    """An event's type, and its object with at least the metadata.

    Of an event in the API server's own format, only the metadata is parsed.
    """
    head = _HEAD.match(line)
    if head is None:
        event = json.loads(line)
        return event["type"], event["object"]
    metadata, _ = json.JSONDecoder().raw_decode(line[head.end() :].decode())
    return head[1].decode(), {"metadata": metadata}


@dataclass(eq=False)
class Watch:
    """One watch of kopf, of one namespace or of all."""

    scope: Scope
    #: The version of a full list from which no watch has started yet.
    version: str = ""
    health: WatchHealth = field(default_factory=WatchHealth)


@dataclass(frozen=True)
class QueueingStore:
    """The cached objects of one kind; a change adds the keys that it concerns to the queue."""

    resource: Resource
    cache: Cache
    queue: Queue

    def keys(self, namespace: str | None) -> frozenset[Key]:
        return self.cache.keys(self.resource, namespace)

    def missing(self, known: frozenset[Key], present: Set[Key]) -> Collection[Body]:
        return self.cache.missing(self.resource, known, present)

    def put(self, body: Body) -> None:
        self.queue.add_all(self.cache.put(self.resource, body))

    def drop(self, body: Body) -> None:
        self.queue.add_all(self.cache.drop(self.resource, body))


class Sync:
    """Connects kopf's events to the cache and the queue."""

    def __init__(self, world: World, queue: Queue) -> None:
        self._world = world
        self._queue = queue
        self._last_message = time.monotonic()
        namespaces = world.settings.watched_namespaces or (None,)
        self.watches = tuple(
            Watch(Scope(resource, namespace, _LABELS.get(resource, "")))
            for resource in WATCHED
            for namespace in namespaces
        )

    def record_message(self) -> None:
        """Record that the cluster sent something."""
        self._last_message = time.monotonic()

    def _store(self, resource: Resource) -> QueueingStore:
        return QueueingStore(resource, self._world.cache, self._queue)

    def observe(self, resource: Resource, kind: str | None, body: Body) -> None:
        """Process one event. `kind` is ADDED, MODIFIED or DELETED."""
        store = self._store(resource)
        if kind == "DELETED":
            store.drop(body)
        else:
            store.put(body)

    def repeats_cache(self, resource: Resource, line: bytes) -> bool:
        """Whether an event, as the watch sent it, repeats what is cached.

        Half of all events repeat the response to one of our own writes. The first match of each key
        in the text is a guess, and usually right; the event is parsed only if the guess says that
        it is old.
        """
        namespace, name, version = (
            found[1].decode() if (found := key.search(line)) else "" for key in _GUESSES
        )
        if not version or self._world.cache.version(resource, (namespace, name)) != version:
            return False
        kind, head = _read_head(line)
        known = self._world.cache.version(resource, key_of(head))
        return kind in ("ADDED", "MODIFIED") and known == head["metadata"]["resourceVersion"]

    async def list_all(self) -> None:
        """Store a full list of everything.

        Raises PlatformError if one of the lists fails.
        """
        # Together: the API server makes a page of one list while this process reads another's.
        lists = (self._list(watch) for watch in self.watches)
        versions = await asyncio.gather(*lists, return_exceptions=True)
        for watch, version in zip(self.watches, versions, strict=True):
            if isinstance(version, NotFound):
                raise PlatformError(
                    "the cluster knows no Operations or Components: apply crds/ first"
                ) from version
            if isinstance(version, BaseException):
                raise version
            watch.version = version

    async def list_for(self, watch: Watch) -> str:
        """The version to watch from: everything older is cached, and what the list lacks is
        dropped.
        """
        version, watch.version = watch.version, ""
        return version or await self._list(watch)

    async def _list(self, watch: Watch) -> str:
        """Store a full list. Returns its version."""
        store = self._store(watch.scope.resource)
        version = await list_into(self._world.kube, watch.scope, store)
        self.record_message()
        return version

    async def list_at_start(self, patience: float) -> None:
        """The first full list, retried for `patience` seconds: the operator must not die because an
        API server is busy or restarting.

        Raises PlatformError if no list succeeds by then, and at once for an error that will not
        pass: missing rights or CRDs.
        """
        deadline, health = time.monotonic() + patience, WatchHealth()
        while True:
            try:
                return await self.list_all()
            except PlatformError as error:
                pause = health.record_failure(str(error), error.retry_after)
                if not _may_pass(error) or time.monotonic() + pause > deadline:
                    raise
                logger.warning("the first list failed: %s; again in %.1f s", error, pause)
                await asyncio.sleep(pause)

    async def relist_forever(self, interval: float) -> None:
        """List everything every `interval` seconds, for what a watch has missed; sooner after a
        failed list.
        """
        pause = interval
        while True:
            await asyncio.sleep(pause)
            try:
                for watch in self.watches:
                    await self._list(watch)
                pause = interval
            except PlatformError as error:
                pause = min(interval, error.retry_after or LONGEST_PAUSE)
                logger.warning("the periodic list failed: %s; again in %.1f s", error, pause)
            except Exception:
                pause = interval
                logger.exception("the periodic list failed: this is a bug")

    async def find_trouble(self) -> str | None:
        """Why the operator should be restarted; None if it should not.

        The reasons are a watch that keeps failing, or a long silence during which a small list
        fails too.
        """
        settings = self._world.settings
        for watch in self.watches:
            if (seconds := watch.health.failing_for()) > settings.silence:
                return (
                    f"the watch of {watch.scope.resource.plural} has failed for "
                    f"{seconds:.0f} s: {watch.health.message}"
                )
        if time.monotonic() - self._last_message < settings.silence:
            return None
        try:
            async with asyncio.timeout(_SMALL_LIST):
                await self._world.kube.list(
                    OPERATIONS, next(iter(settings.watched_namespaces), None), limit=1
                )
        except (PlatformError, TimeoutError) as error:
            message = str(error) or f"no answer to a small list within {_SMALL_LIST:.0f} s"
            silence = time.monotonic() - self._last_message
            return f"the cluster sent nothing for {silence:.0f} s: {message}"
        self.record_message()
        return None

    def numbers(self) -> dict[str, float]:
        """Numbers that a health probe may show."""
        return {
            "queue": self._queue.depth,
            "heardSecondsAgo": round(time.monotonic() - self._last_message, 1),
        }


def _may_pass(error: PlatformError) -> bool:
    """Whether the same list may succeed later: not if rights or the CRDs are missing."""
    return isinstance(error, ApiError) and not isinstance(error, (NotFound, Forbidden))
