"""Which rows are more or older than what is to be kept, and the marks of what was removed.

Owns that SQL. Must not remove a run: `store` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from opstrand.store.database import Database

# A run of a pipeline goes with its pipeline, and a run whose own runs still have objects stays.
_ROOTS = """
FROM runs WHERE deleted_at IS NOT NULL AND removed_at IS NULL
AND NOT EXISTS (SELECT 1 FROM runs AS parents WHERE parents.uuid = runs.pipeline
  AND parents.namespace_uid = runs.namespace_uid AND parents.removed_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM runs AS made WHERE made.pipeline = runs.uuid
  AND made.namespace_uid = runs.namespace_uid AND made.deleted_at IS NULL)
"""
_ENDED = "coalesce(finished_at, deleted_at)"


class Excess:
    """Reads what is too much. Every method raises PlatformError if the database does not work."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def older(self, than: float, *, limit: int) -> Sequence[str]:
        """The uids of runs that ended before a time, the oldest first."""
        sql = f"SELECT uid {_ROOTS} AND {_ENDED} < ? ORDER BY {_ENDED}, uid LIMIT ?"
        return [uid for (uid,) in await self._database.read(sql, (than, limit))]

    async def beyond(self, most: int, *, limit: int) -> Sequence[str]:
        """The uids of the oldest runs that are more than so many."""
        ((count,),) = await self._database.read(f"SELECT count(*) {_ROOTS}")
        return await self._oldest("", (), min(int(count) - most, limit))

    async def beyond_in_each(self, most: int, *, limit: int) -> Sequence[str]:
        """The uids of the oldest runs of each namespace that has more than so many."""
        counted = f"SELECT namespace_uid, count(*) {_ROOTS} GROUP BY namespace_uid"
        found: list[str] = []
        for namespace, count in await self._database.read(
            f"{counted} HAVING count(*) > ?", (most,)
        ):
            excess = min(int(count) - most, limit - len(found))
            found += await self._oldest("AND namespace_uid = ?", (namespace,), excess)
        return found

    async def _oldest(self, condition: str, values: tuple[str, ...], count: int) -> Sequence[str]:
        if count <= 0:
            return []
        sql = f"SELECT uid {_ROOTS} {condition} ORDER BY {_ENDED}, uid LIMIT ?"
        return [uid for (uid,) in await self._database.read(sql, (*values, count))]

    async def marks(self, before: float, *, limit: int) -> Sequence[tuple[str, str, str]]:
        """(uid, namespace_uid, uuid) of runs that were removed before a time."""
        sql = "SELECT uid, namespace_uid, uuid FROM runs WHERE removed_at < ? ORDER BY uid LIMIT ?"
        found = await self._database.read(sql, (before, limit))
        return [(uid, namespace, uuid) for uid, namespace, uuid in found]

    async def purge(self, uids: Sequence[str]) -> None:
        """Forget that these runs were removed."""
        statement = "DELETE FROM runs WHERE uid = ? AND removed_at IS NOT NULL"
        await self._database.write([(statement, (uid,)) for uid in uids])
