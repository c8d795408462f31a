"""The runs whose objects are deleted, read from the store.

Owns how a search is divided between SQL, which narrows, and the query on bodies, which decides.
Only runs of the living namespace are answered. Must not write (`archiver`), nor know of live runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opstrand.core.names import run_uuid
from opstrand.core.packed import is_large, pack
from opstrand.runs.bodies import read_beside
from opstrand.runs.namespaces import Namespaces
from opstrand.runs.narrowing import Narrowed, narrow
from opstrand.runs.protocols import Fields, Listed, Search
from opstrand.runs.records import read_body
from opstrand.runs.searching import select, sort
from opstrand.store.rows import Row, Selection, Stored
from opstrand.store.store import RunStore
from opstrand.types import Body

logger = logging.getLogger(__name__)

#: Bodies that one step of a search reads; between two steps, other requests are answered.
_STEP = 200
#: The most runs below a pipeline that one request reads, some 50 MB.
_MOST_BELOW = 10_000


@dataclass(frozen=True)
class ArchivedRun:
    """A run of the store. `is_deleted`: its object is known to be gone."""

    body: Body
    is_deleted: bool


@dataclass(frozen=True)
class Selected:
    """Runs that a query selects, in its order, after the first `skipped` ones.

    `count`: how many it selects.
    """

    count: int
    runs: Sequence[Fields] = ()
    skipped: int = 0


class Archive:
    """Reads the store. Every method raises PlatformError if it does not answer."""

    def __init__(self, store: RunStore, namespaces: Namespaces) -> None:
        self._store, self._namespaces = store, namespaces

    async def get(self, project: str, uuid: str) -> ArchivedRun | None:
        """The run of this uuid, or None."""
        namespace = await self._namespaces.uid(project)
        found = None if namespace is None else await self._store.find(namespace, uuid)
        return None if found is None else ArchivedRun(read_body(found), found.is_deleted)

    async def named(self, project: str, name: str) -> Body | None:
        """The newest of the deleted runs whose object had this name, or None."""
        namespace = await self._namespaces.uid(project)
        found = None if namespace is None else await self._store.named(namespace, name)
        return None if found is None else read_body(found)

    async def find(self, project: str, uuids: Sequence[str]) -> Sequence[Body]:
        """Those of these runs that the store has."""
        namespace = await self._namespaces.uid(project)
        if namespace is None or not uuids:
            return []
        return [read_body(one) for one in await self._store.find_all(namespace, uuids)]

    async def below(self, body: Body, *, without: Callable[[str], bool]) -> Sequence[Listed]:
        """The runs on all levels below a pipeline, but those of whose uuid `without` holds; all of
        them packed.
        """
        namespace = await self._namespaces.uid(body["metadata"]["namespace"])
        if namespace is None:
            return []
        family = await self._store.family(body["metadata"]["uid"])
        own = run_uuid(body["metadata"]["uid"])
        uuids = [one for at, one in family if at == namespace and one != own and not without(one)]
        if len(uuids) > _MOST_BELOW:
            logger.warning(
                "a pipeline that is over has more runs than are read at once: some are left out",
                extra={"run": body["metadata"]["name"], "count": len(uuids)},
            )
        found: list[Listed] = []
        for start in range(0, min(len(uuids), _MOST_BELOW), _STEP):
            step = uuids[start : min(start + _STEP, _MOST_BELOW)]
            found += await list_packed(await self._store.find_all(namespace, step))
        return found

    async def search(
        self, project: str, search: Search, *, without: Sequence[str] = (), others: int = 0
    ) -> Selected:
        """The deleted runs that the query selects, up to the end of the page.

        `without`: uids that are left out. `others`: how many other runs are sorted between these
        afterwards; what cannot reach the page among so many is skipped. Raises SpecError for a
        wrong query.
        """
        narrowed = narrow(search.query, search.sort)
        namespace = await self._namespaces.uid(project)
        if namespace is None:
            return Selected(0)
        selection = Selection(namespace, narrowed.tests, tuple(without))
        if not narrowed.is_exact:
            return await self._decide_on_bodies(selection, search)
        return await self._decide_in_store(selection, narrowed, search, others)

    async def _decide_in_store(
        self, selection: Selection, narrowed: Narrowed, search: Search, others: int
    ) -> Selected:
        skipped = max(0, search.offset - others)
        limit = search.offset + search.limit - skipped
        count = await self._store.count(selection)
        page = (
            await self._store.select(
                selection, narrowed.keys, limit=limit, offset=skipped, count=count
            )
            if count
            else ()
        )
        found = await list_packed(page, above=None)
        return Selected(count, [search.fields(one) for one in found], skipped)

    async def _decide_on_bodies(self, selection: Selection, search: Search) -> Selected:
        count, best, last = 0, list[Fields](), ""
        end = search.offset + search.limit
        while True:
            step = await self._store.after(selection, last, limit=_STEP)
            found = await asyncio.to_thread(_select, step, search)
            count += len(found)
            best = sort([*best, *found], search)[:end]
            if len(step) < _STEP:
                return Selected(count, best)
            last = step[-1].uid


async def list_packed(rows: Sequence[Stored | Row], *, above: int | None = 0) -> list[Listed]:
    """These runs, each as its head, of which many can be kept; other requests are answered while
    they are parsed. `above`: as for `pack`.
    """
    found: list[Listed] = []
    for start in range(0, len(rows), _STEP):
        found += await asyncio.to_thread(_pack, rows[start : start + _STEP], above)
    return found


def _pack(rows: Sequence[Stored | Row], above: int | None) -> list[Listed]:
    return [_to_listed(body, pack(body, above=above)) for body in map(read_body, rows)]


def _to_listed(body: Body, packed: Body) -> Listed:
    return Listed(packed, read_beside(body) if is_large(packed) else {})


def _select(step: Sequence[Stored], search: Search) -> list[Fields]:
    return select([_list(one) for one in step], search)


def _list(stored: Stored) -> Listed:
    return Listed(read_body(stored))
