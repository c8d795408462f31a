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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.controller.gather import World
from opstrand.controller.queue import Queue
from opstrand.core import names
from opstrand.core.names import key_of
from opstrand.errors import PlatformError
from opstrand.kube.errors import ApiError, Forbidden, NotFound
from opstrand.kube.resources import COMPONENTS, OPERATIONS, PODS, Resource
from opstrand.types import Key

logger = logging.getLogger(__name__)

#: Timeout in seconds of a small list: less than a probe waits, so that the probe gets the reason.
_SMALL_LIST = 5.0
#: Seconds between two tries after a failure: the first pause, and the longest.
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
#: A watch that lived for this many seconds was healthy: its failure does not continue an earlier
#: series of failures.
_WELL = 5.0
_GUESSES = tuple(
    re.compile(rb'"%s":"([^"\\]+)"' % key) for key in (b"namespace", b"name", b"resourceVersion")
)
#: How an API server writes an event: the object's keys are sorted, and few sort before `metadata`.
_HEAD = re.compile(
    rb'\{"type":"([A-Z]+)","object":\{"apiVersion":"[^"\\]*","kind":"[^"\\]*","metadata":'
)
_WATCHED: tuple[tuple[Resource, str], ...] = (
    (OPERATIONS, ""),
    (COMPONENTS, ""),
    (PODS, names.MANAGED_SELECTOR),
)


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
    """One watch, of one namespace or of all, and its recent health."""

    resource: Resource
    namespace: str | None
    labels: str
    #: The version of a full list from which no watch has started yet.
    version: str = ""
    opened: float | None = None
    failures: int = 0
    failing_since: float = 0.0
    words: str = ""

    def open(self) -> None:
        self.opened = time.monotonic()

    def fail(self, words: str) -> float:
        """Record that the server ended the watch with an error.

        Returns how many seconds to wait: more each time, until a watch lives.
        """
        now = time.monotonic()
        if not self.failures or (self.opened is not None and now - self.opened > _WELL):
            self.failures, self.failing_since = 0, now
        self.failures, self.words, self.opened = self.failures + 1, words, None
        return float(min(_FIRST_PAUSE * 2 ** min(self.failures - 1, 10), _LONGEST_PAUSE))

    def failing_for(self) -> float:
        """Seconds since the first failure of the current series; 0 while the watch is open."""
        return (
            time.monotonic() - self.failing_since if self.failures and self.opened is None else 0.0
        )


class Sync:
    """Connects kopf's events to the cache and the queue."""

    def __init__(self, world: World, queue: Queue) -> None:
        self._world = world
        self._queue = queue
        self._heard = time.monotonic()
        places = world.settings.watched_namespaces or (None,)
        self.watches = tuple(
            Watch(resource, place, labels) for resource, labels in _WATCHED for place in places
        )

    def hear(self) -> None:
        """Record that the cluster sent something."""
        self._heard = time.monotonic()

    def observe(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        """Process one event. `kind` is ADDED, MODIFIED or DELETED."""
        cache = self._world.cache
        self._queue.add_all(
            cache.drop(resource, body) if kind == "DELETED" else cache.put(resource, body)
        )

    def is_old_news(self, resource: Resource, line: bytes) -> bool:
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
        for watch in self.watches:
            try:
                watch.version = await self._list(watch)
            except NotFound as error:
                raise PlatformError(
                    "the cluster knows no Operations or Components: apply crds/ first"
                ) from error

    async def list_for(self, watch: Watch) -> str:
        """The version to watch from: everything older is cached, and what the list lacks is
        dropped.
        """
        version, watch.version = watch.version, ""
        return version or await self._list(watch)

    async def _list(self, watch: Watch) -> str:
        """List page by page, so that the whole list is never held beside the cache.

        Returns the list's version.
        """
        cache = self._world.cache
        known: frozenset[Key] = cache.keys(watch.resource, watch.namespace)
        present: set[Key] = set()
        version = ""
        async for page in self._world.kube.pages(
            watch.resource, watch.namespace, labels=watch.labels
        ):
            version = page.version
            for body in page.items:
                present.add(key_of(body))
                self._queue.add_all(cache.put(watch.resource, body))
        for body in cache.missing(watch.resource, known, present):
            await self._check_gone(watch.resource, body)
        self.hear()
        return version

    async def list_at_start(self, patience: float) -> None:
        """The first full list, retried for `patience` seconds: the operator must not die because an
        API server is busy or restarting.

        Raises PlatformError if no list succeeds by then, and at once for an error that will not
        pass: missing rights or CRDs.
        """
        deadline = time.monotonic() + patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self.list_all()
            except PlatformError as error:
                if not _may_pass(error) or time.monotonic() + pause > deadline:
                    raise
                logger.warning(
                    "the first list failed: %s; again in %.1f s", error, error.retry_after or pause
                )
                await asyncio.sleep(error.retry_after or pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _check_gone(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Read the object itself: the list may be older or newer, and only a GET proves that it is
        gone.
        """
        metadata = body["metadata"]
        try:
            found = await self._world.kube.get(resource, metadata["namespace"], metadata["name"])
        except NotFound:
            self._queue.add_all(self._world.cache.drop(resource, body))
            return
        self._queue.add_all(self._world.cache.put(resource, found))

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
                pause = min(interval, error.retry_after or _LONGEST_PAUSE)
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
            if watch.failing_for() > settings.silence:
                return (
                    f"the watch of {watch.resource.plural} has failed for "
                    f"{watch.failing_for():.0f} s: {watch.words}"
                )
        if time.monotonic() - self._heard < settings.silence:
            return None
        try:
            async with asyncio.timeout(_SMALL_LIST):
                await self._world.kube.list(
                    OPERATIONS, next(iter(settings.watched_namespaces), None), limit=1
                )
        except (PlatformError, TimeoutError) as error:
            words = str(error) or f"no answer to a small list within {_SMALL_LIST:.0f} s"
            return f"nothing heard for {time.monotonic() - self._heard:.0f} s: {words}"
        self.hear()
        return None

    def numbers(self) -> dict[str, float]:
        """Numbers that a health probe may show."""
        return {
            "queue": self._queue.depth,
            "heardSecondsAgo": round(time.monotonic() - self._heard, 1),
        }


def _may_pass(error: PlatformError) -> bool:
    """Whether the same list may succeed later: not if rights or the CRDs are missing."""
    return isinstance(error, ApiError) and not isinstance(error, (NotFound, Forbidden))
