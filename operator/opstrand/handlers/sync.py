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
from opstrand.kube.api import COMPONENTS, OPERATIONS, PODS, NotFound, Resource, gather_lists
from opstrand.kube.gather import World

logger = logging.getLogger(__name__)

#: Silence after which a small list asks whether the cluster still answers, seconds.
SILENCE = 60.0
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
        try:
            lists = await gather_lists(self._world.kube, _WATCHED)
        except NotFound as error:
            raise PlatformError("the cluster knows no Operations or Components: apply crds/ first") from error
        for (resource, _), items in zip(_WATCHED, lists, strict=True):
            for body in items:
                self._queue.add_all(self._world.cache.put(resource, body))
            for body in self._world.cache.missing(resource, items):
                await self._check_gone(resource, body)
        self._heard = time.monotonic()

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
        """Make up what a watch has missed, every `interval` seconds."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.list_all()
            except PlatformError as error:
                logger.warning("the periodic list failed: %s", error)

    async def find_trouble(self) -> str | None:
        """Why the operator should be restarted, if it should: nothing heard for long, and a small list not answered either."""
        if time.monotonic() - self._heard < SILENCE:
            return None
        try:
            await self._world.kube.list(OPERATIONS, limit=1)
        except PlatformError as error:
            return f"nothing heard for {time.monotonic() - self._heard:.0f} s: {error}"
        self._heard = time.monotonic()
        return None

    def numbers(self) -> dict[str, float]:
        """What a probe may show besides."""
        return {"queue": self._queue.depth, "heardSecondsAgo": round(time.monotonic() - self._heard, 1)}
