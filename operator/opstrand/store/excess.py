"""Which rows are more or older than what is to be kept, and the marks of what was removed.

Owns that SQL. Must not remove a run: `store` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from opstrand.store.database import Database

# A run that took the result of another shows the files of that one. It is the only one that
# succeeds without a start; a restart or a copy has an original too, but files of its own.
_TAKEN = """
FROM runs AS takers JOIN runs AS done ON done.uuid = takers.original
  AND done.namespace_uid = takers.namespace_uid
WHERE takers.original IS NOT NULL AND takers.removed_at IS NULL
AND takers.status = 'succeeded' AND takers.started_at IS NULL
"""
_NOT_OF_TAKER = "NOT IN (coalesce(takers.pipeline, ''), coalesce(takers.controller, ''))"
# Each run whose removal would remove such files: the done one, and what it is below of. A taker
# that is removed with it does not count.
_USED = f"""
SELECT done.namespace_uid, done.uuid {_TAKEN}
UNION SELECT done.namespace_uid, done.pipeline {_TAKEN} AND done.pipeline {_NOT_OF_TAKER}
UNION SELECT done.namespace_uid, done.controller {_TAKEN} AND done.controller {_NOT_OF_TAKER}
"""
# A run of a pipeline goes with its pipeline, and a run whose own runs still have objects stays.
_ROOTS = f"""
FROM runs WHERE deleted_at IS NOT NULL AND removed_at IS NULL
AND NOT EXISTS (SELECT 1 FROM runs AS parents WHERE parents.uuid = runs.pipeline
  AND parents.namespace_uid = runs.namespace_uid AND parents.removed_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM runs AS made WHERE made.pipeline = runs.uuid
  AND made.namespace_uid = runs.namespace_uid AND made.deleted_at IS NULL)
AND (namespace_uid, uuid) NOT IN ({_USED})
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
