"""Removes records of runs whose Operation is gone, with their files: by age and by count, and what
was asked for.

Owns the order: first the record becomes a mark, then the files go, and the mark is purged only once
they are gone, so that what a crash left is found. Must not delete an Operation (`retention`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from opstrand.errors import PlatformError
from opstrand.store.store import RunStore

logger = logging.getLogger(__name__)

#: Seconds between two looks, and the most that one look removes or purges.
_INTERVAL = 60.0
_BATCH = 500
#: Seconds between two looks for marks, each of which reads every row.
_PURGE = 3600.0
#: Seconds that the mark of a removed run stays: no event of its Operation comes so late.
_MARK = 24 * 3600.0

#: Deletes the files of a run: (uid of the namespace, uuid of the run). Nothing there is no error.
DeleteFiles = Callable[[str, str], Awaitable[None]]


async def _delete_nothing(_: str, __: str) -> None:
    """The API keeps no files."""


@dataclass(frozen=True)
class RecordLimits:
    """Which records are kept of runs whose Operation is gone; 0 is no limit.

    `seconds` since the end of a run. A pipeline counts as one, with all its runs.
    """

    seconds: int = 0
    per_namespace: int = 0
    in_total: int = 0


class Forgetting:
    """`run()` removes what is too much, for ever; `remove` what a user deletes."""

    def __init__(
        self, limits: RecordLimits, store: RunStore, delete_files: DeleteFiles = _delete_nothing
    ) -> None:
        self._limits, self._store, self._delete_files = limits, store, delete_files

    async def run(self) -> None:
        purged = 0.0
        while True:
            try:
                now = time.time()
                await self.remove_excess(now)
                if now - purged > _PURGE and await self.purge_marks(now) < _BATCH:
                    purged = now
            except (PlatformError, OSError) as error:
                logger.warning("%s; old records are removed later", error)
            except Exception:
                # The API ends with any of its tasks.
                logger.exception("a bug: old records are removed later")
            await asyncio.sleep(_INTERVAL)

    async def remove_excess(self, now: float) -> int:
        """Remove what is too much at this moment. Returns how many records, pipelines as one."""
        found = list(dict.fromkeys(await self._find_excess(now)))[:_BATCH]
        for uid in found:
            await self.remove(uid, now)
        if found:
            logger.info("removed the records of old runs", extra={"count": len(found)})
        return len(found)

    async def _find_excess(self, now: float) -> Sequence[str]:
        limits, excess = self._limits, self._store.excess
        found: list[str] = []
        if limits.seconds:
            found += await excess.older(now - limits.seconds, limit=_BATCH)
        if limits.per_namespace:
            found += await excess.beyond_in_each(limits.per_namespace, limit=_BATCH)
        if limits.in_total:
            found += await excess.beyond(limits.in_total, limit=_BATCH)
        return found

    async def remove(self, uid: str, now: float) -> None:
        """Remove a run and those below it for good: their records, then their files."""
        family = await self._store.family(uid)
        await self._store.remove(uid, now)
        for namespace_uid, uuid in family:
            await self._delete_files(namespace_uid, uuid)

    async def purge_marks(self, now: float) -> int:
        """Purge old marks, and the files that came after the removal. Returns how many."""
        marks = await self._store.excess.marks(now - _MARK, limit=_BATCH)
        for _, namespace_uid, uuid in marks:
            await self._delete_files(namespace_uid, uuid)
        if marks:
            await self._store.excess.purge([uid for uid, _, _ in marks])
        return len(marks)
