"""Keeping the cache true: events as they come, full lists at the start and now and then, and how old the last word is.

Must not reconcile; it says which keys should be.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from opstrand.core import names
from opstrand.errors import PlatformError
from opstrand.handlers.queue import Queue
from opstrand.kube.api import COMPONENTS, OPERATIONS, PODS, ApiError, Forbidden, NotFound, Resource, gather_lists
from opstrand.kube.cache import slim_body
from opstrand.kube.gather import World

logger = logging.getLogger(__name__)

#: Seconds that a small list may take: less than a probe waits, so that it hears why.
_SMALL_LIST = 5.0
#: Seconds between two tries of a full list that failed: the first, and the longest.
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
#: Seconds from the start to the second full list: kopf's watches live by then.
_SOON = 10.0
_WATCHED: tuple[tuple[Resource, str], ...] = ((OPERATIONS, ""), (COMPONENTS, ""), (PODS, names.MANAGED_SELECTOR))


class Sync:
    """Between kopf and the queue."""

    def __init__(self, world: World, queue: Queue) -> None:
        self._world = world
        self._queue = queue
        self._heard = time.monotonic()

    def observe(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        """One event. `kind` is ADDED, MODIFIED, DELETED, or None for what a watch's own first list says."""
        self._heard = time.monotonic()
        cache = self._world.cache
        self._queue.add_all(cache.drop(resource, body) if kind == "DELETED" else cache.put(resource, body))

    async def list_all(self) -> None:
        """Take a full list of everything. Raises PlatformError where one of the lists cannot be had."""
        known = {resource: self._world.cache.keys(resource) for resource, _ in _WATCHED}
        try:
            lists = await gather_lists(self._world.kube, _WATCHED, self._world.settings.watched_namespaces, slim_body)
        except NotFound as error:
            raise PlatformError("the cluster knows no Operations or Components: apply crds/ first") from error
        for (resource, _), items in zip(_WATCHED, lists, strict=True):
            for body in items:
                self._queue.add_all(self._world.cache.put(resource, body))
            for body in self._world.cache.missing(resource, known[resource], items):
                await self._check_gone(resource, body)
        self._heard = time.monotonic()

    async def list_at_start(self, patience: float) -> None:
        """The first full list, tried again for so many seconds: an API server that is busy or restarting is no reason to die.

        Raises PlatformError where it cannot be had until then, and at once where it will not be: rights, or no CRDs.
        """
        deadline = time.monotonic() + patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self.list_all()
            except PlatformError as error:
                if not _may_pass(error) or time.monotonic() + pause > deadline:
                    raise
                logger.warning("the first list failed: %s; again in %.1f s", error, error.retry_after or pause)
                await asyncio.sleep(error.retry_after or pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _check_gone(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """A list was made before or after; only a GET of the object itself says that it is gone."""
        metadata = body["metadata"]
        try:
            found = await self._world.kube.get(resource, metadata["namespace"], metadata["name"])
        except NotFound:
            self._queue.add_all(self._world.cache.drop(resource, body))
            return
        self._queue.add_all(self._world.cache.put(resource, found))

    async def relist_forever(self, interval: float) -> None:
        """Make up what a watch has missed, every `interval` seconds; sooner where a list failed, and the first time: what was deleted
        between our first list and kopf's own is told by neither."""
        pause = min(interval, _SOON)
        while True:
            await asyncio.sleep(pause)
            try:
                await self.list_all()
                pause = interval
            except PlatformError as error:
                pause = min(interval, error.retry_after or _LONGEST_PAUSE)
                logger.warning("the periodic list failed: %s; again in %.1f s", error, pause)
            except Exception:
                pause = interval
                logger.exception("the periodic list failed: this is a bug")

    async def find_trouble(self) -> str | None:
        """Why the operator should be restarted, if it should: nothing heard for long, and a small list not answered either."""
        settings = self._world.settings
        if time.monotonic() - self._heard < settings.silence:
            return None
        try:
            async with asyncio.timeout(_SMALL_LIST):
                await self._world.kube.list(OPERATIONS, next(iter(settings.watched_namespaces), None), limit=1)
        except (PlatformError, TimeoutError) as error:
            words = str(error) or f"no answer to a small list within {_SMALL_LIST:.0f} s"
            return f"nothing heard for {time.monotonic() - self._heard:.0f} s: {words}"
        self._heard = time.monotonic()
        return None

    def numbers(self) -> dict[str, float]:
        """What a probe may show besides."""
        return {"queue": self._queue.depth, "heardSecondsAgo": round(time.monotonic() - self._heard, 1)}


def _may_pass(error: PlatformError) -> bool:
    """Whether the same list may be answered later: not where rights or the CRDs are missing."""
    return isinstance(error, ApiError) and not isinstance(error, (NotFound, Forbidden))
