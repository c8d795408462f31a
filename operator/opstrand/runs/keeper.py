"""All runs of a cluster: those that have an object, then those of the store.

This is how the API gets `Runs`: `KeptRuns(ClusterRuns(...), Archive(...), Archiver(...))`, in a
request `request.app[RUNS]`. `get`, `find` and `search` answer for runs whose Operation is deleted;
`list` has only the runs of the cluster. A run is not found only after the store has answered.

Owns the order in which the two are asked. Must not know SQL, nor how a run is watched.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from opstrand.core.names import controller_uid
from opstrand.core.names import run_uuid as uuid_of
from opstrand.errors import PlatformError
from opstrand.runs.archive import Archive, list_packed
from opstrand.runs.archiver import Archiver
from opstrand.runs.bodies import run_uuid
from opstrand.runs.forgetting import Forgetting
from opstrand.runs.live import ClusterRuns
from opstrand.runs.protocols import (
    Control,
    Found,
    Identity,
    Listed,
    LogLine,
    Orders,
    Refused,
    RunNotFound,
    Search,
)
from opstrand.runs.retention import Retention
from opstrand.runs.searching import newest_named, select, sort
from opstrand.runs.status_edits import Edit
from opstrand.types import Body

logger = logging.getLogger(__name__)

#: Seconds between two tries to find missed deletions.
_PAUSE = 10.0
_NOT_CAUGHT_UP = "the API has not stored yet which runs were deleted while it did not run"
#: The most runs that one query of the store leaves out.
_MOST = 500


class KeptRuns:
    """`Runs` over a cluster and the store. `keep_watching()` must run beside it."""

    def __init__(
        self,
        live: ClusterRuns,
        archive: Archive,
        archiver: Archiver,
        retention: Retention | None = None,
        forgetting: Forgetting | None = None,
    ) -> None:
        self._live, self._archive, self._archiver = live, archive, archiver
        self._retention, self._forgetting = retention, forgetting
        #: Whether there may be deletions that no process saw and that are not stored yet.
        self._has_missed = True
        live.observe(archiver)

    async def keep_watching(self) -> None:
        """Watch the cluster and store what ends, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._live.keep_watching())
            tasks.create_task(self._archiver.run())
            tasks.create_task(self._find_missed())
            if self._retention is not None:
                tasks.create_task(self._retention.run())
            if self._forgetting is not None:
                tasks.create_task(self._forgetting.run())

    async def _find_missed(self) -> None:
        await self._live.wait_until_ready()
        while True:
            try:
                await self._archiver.find_missed(self._is_live)
                self._has_missed = False
                return
            except PlatformError as error:
                logger.info("deletions are looked for later: %s", error.message)
            except Exception:
                # The API ends with any of its tasks.
                logger.exception("a bug: deletions are looked for later")
            await asyncio.sleep(_PAUSE)

    def _is_live(self, namespace: str, uid: str) -> bool:
        return self._live.peek(namespace, uuid_of(uid)) is not None

    async def ready(self) -> bool:
        return await self._live.ready()

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        if self._live.peek(project, uuid) is None:
            gone = self._archiver.find(project, uuid)
            kept = None if gone else await self._archive.get(project, uuid)
            if gone is not None:
                return gone
            if kept is not None and kept.is_deleted:
                return kept.body
        try:
            return await self._live.get(project, uuid, newest=newest)
        except RunNotFound:
            return await self._get_gone(project, uuid)

    async def _get_gone(self, project: str, uuid: str) -> Body:
        """A run that the cluster does not have. Raises RunNotFound."""
        gone = self._archiver.find(project, uuid)
        if gone is not None:
            return gone
        kept = await self._archive.get(project, uuid)
        if kept is None:
            raise RunNotFound(uuid)
        return kept.body

    async def record(self, project: str, uuid: str) -> Body | None:
        """The run of this uuid without a look at the cluster, for a caller that watches it too.

        Raises PlatformError while it is not known which runs are gone, and Refused if it is not
        stored yet how this one ended.
        """
        here = self._live.peek(project, uuid) or self._archiver.find(project, uuid)
        if here is not None:
            return here
        self._check_caught_up()
        kept = await self._archive.get(project, uuid)
        if kept is not None and not kept.is_deleted:
            raise Refused(f"it is not stored yet how the run {uuid} ended")
        return None if kept is None else kept.body

    async def search_gone(self, project: str, search: Search) -> Found:
        """One page of those runs alone that have no object any more.

        Raises PlatformError while it is not known which they are.
        """
        self._check_caught_up()
        return await self._search_with((), project, search)

    async def find_gone(self, project: str, uuids: Sequence[str]) -> Sequence[Body]:
        """Those of these runs that have no object any more, in any order."""
        here = [one.whole for one in self._archiver.list(project).values()]
        found = [one for one in here if run_uuid(one) in uuids]
        known = set(map(run_uuid, found))
        return [*found, *await self._archive.find(project, [u for u in uuids if u not in known])]

    def _check_caught_up(self) -> None:
        self._live.check_ready()
        if self._has_missed:
            raise PlatformError(_NOT_CAUGHT_UP, retry_after=1)

    async def list(self, project: str) -> Sequence[Listed]:
        return await self._live.list(project)

    async def named(self, project: str, name: str) -> Body:
        for here in (await self._live.list(project), self._archiver.list(project).values()):
            found = newest_named(here, name)
            if found is not None:
                return found.whole
        kept = await self._archive.named(project, name)
        if kept is None:
            raise RunNotFound(name)
        return kept

    def made_by(self, project: str, uid: str) -> Sequence[Listed]:
        return self._live.made_by(project, uid)

    async def gone_below(self, body: Body) -> Mapping[str, Sequence[Listed]]:
        project = body["metadata"]["namespace"]
        waiting = await list_packed(self._archiver.below(body))
        below = await self._archive.below(
            body, without=lambda uuid: self._live.peek(project, uuid) is not None
        )
        made: defaultdict[str, dict[str, Listed]] = defaultdict(dict)
        for one in (*below, *waiting):
            made[controller_uid(one.head)][one.head["metadata"]["uid"]] = one
        return {uid: list(runs.values()) for uid, runs in made.items()}

    def version_below(self, project: str, uid: str) -> int:
        return self._live.version_below(project, uid)

    async def find(self, project: str, uuids: Sequence[str]) -> Sequence[Body]:
        live = await self._live.find(project, uuids)
        gone = self._archiver.list(project).values()
        found = {run_uuid(one): one for one in (*(one.whole for one in gone), *live)}
        missing = [uuid for uuid in dict.fromkeys(uuids) if uuid not in found]
        kept = await self._archive.find(project, missing)
        return [*(found[uuid] for uuid in uuids if uuid in found), *kept]

    async def search(self, project: str, search: Search) -> Found:
        return await self._search_with(await self._live.list(project), project, search)

    async def _search_with(self, living: Sequence[Listed], project: str, search: Search) -> Found:
        waiting = self._archiver.list(project)
        here = select([*living, *waiting.values()], search)
        kept = await self._archive.search(
            project, search, without=tuple(waiting)[:_MOST], others=len(here)
        )
        start = search.offset - kept.skipped
        page = sort([*here, *kept.runs], search)[start : start + search.limit]
        return Found(len(here) + kept.count, page)

    async def projects(self) -> Sequence[str]:
        return await self._live.projects()

    def on_behalf_of(self, by: Identity) -> Orders:
        return _OrdersOf(self, self._live.on_behalf_of(by))

    async def create(self, project: str, body: Body) -> Body:
        return await self._live.create(project, body)

    async def edit(self, project: str, uuid: str, edit: Edit) -> Body:
        try:
            return await self._live.edit(project, uuid, edit)
        except RunNotFound:
            raise await self._refuse(project, uuid) from None

    async def control(self, project: str, uuid: str, control: Control) -> Body:
        return await self.control_as(self._live, project, uuid, control)

    async def control_as(self, orders: Orders, project: str, uuid: str, control: Control) -> Body:
        try:
            return await orders.control(project, uuid, control)
        except RunNotFound:
            raise await self._refuse(project, uuid) from None

    async def _refuse(self, project: str, uuid: str) -> Refused:
        """What to answer to a change of a run that has no object. Raises RunNotFound."""
        name = (await self._get_gone(project, uuid))["metadata"]["name"]
        return Refused(
            f"the Operation of the run {name} is deleted; its record can be read, restarted and "
            "deleted, and not changed"
        )

    async def delete(self, project: str, uuid: str) -> None:
        await self.delete_as(self._live, project, uuid)

    async def delete_as(self, orders: Orders, project: str, uuid: str) -> None:
        """Delete the Operation, the record of it and its files."""
        body = await self.get(project, uuid)
        self._archiver.expect_removal(body)
        try:
            if self._live.peek(project, uuid) is not None:
                await orders.delete(project, uuid)
        except RunNotFound:
            pass
        except BaseException:
            self._archiver.keep_after_all(body)
            if self._live.peek(project, uuid) is None:
                # It went while the answer was lost: its deletion was seen, and not stored.
                self._archiver.dropped(body)
            raise
        await self._archiver.remove(body)
        await self._live.delete_logs(body)

    async def wait(
        self, project: str, uuid: str, until: Callable[[Body], bool], seconds: float
    ) -> Body:
        try:
            return await self._live.wait(project, uuid, until, seconds)
        except RunNotFound:
            return await self._get_gone(project, uuid)

    async def find_tail(self, body: Body, attempt: int, lines: int) -> str | None:
        return await self._live.find_tail(body, attempt, lines)

    def log(self, body: Body, attempt: int, since: str | None) -> AsyncGenerator[LogLine, None]:
        if self._live.peek(body["metadata"]["namespace"], run_uuid(body)) is None:
            # Its Pods were deleted with its object.
            return self._live.log_of_gone(body, attempt, since)
        return self._live.log(body, attempt, since)


class _OrdersOf:
    """`Orders` of one user."""

    def __init__(self, runs: KeptRuns, orders: Orders) -> None:
        self._runs, self._orders = runs, orders

    async def create(self, project: str, body: Body) -> Body:
        return await self._orders.create(project, body)

    async def control(self, project: str, uuid: str, control: Control) -> Body:
        return await self._runs.control_as(self._orders, project, uuid, control)

    async def delete(self, project: str, uuid: str) -> None:
        await self._runs.delete_as(self._orders, project, uuid)
