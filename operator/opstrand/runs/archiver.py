"""Writes every run to the store: when it is first seen, when it is over, and when its object is
deleted.

Owns what is still to be written: it sees every change of the index, writes in batches, and tries
again while the store does not work. At the start it finds the deletions that it missed. Writes
nothing to Kubernetes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from opstrand.core.identity import read_outermost, read_pipeline
from opstrand.core.names import run_uuid as uuid_of
from opstrand.errors import PlatformError
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import OPERATIONS, Resource
from opstrand.kube.versions import version_of
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.forgetting import Forgetting, RecordLimits
from opstrand.runs.namespaces import Namespaces
from opstrand.runs.protocols import Listed
from opstrand.runs.records import in_namespace, make_row, read_body
from opstrand.store.rows import Known, Row
from opstrand.store.store import RunStore
from opstrand.types import Body, Manifest

logger = logging.getLogger(__name__)

#: Seconds between two batches: changes that follow each other are written once. The first of them
#: is written at once, since the process may be killed.
_WINDOW = 0.5
_BATCH = 200
#: Seconds between two tries while the store does not work.
_PAUSE = 5.0
#: Deleted runs that wait for the store in memory, about 100 MB. The oldest is given up first.
_MOST_WAITING = 50_000


class Cluster(Protocol):
    """The part of a cluster that is needed here."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...


class Archiver:
    """An `index.Observer` that stores runs. `run()` must run beside it."""

    def __init__(
        self,
        store: RunStore,
        namespaces: Namespaces,
        cluster: Cluster,
        forgetting: Forgetting | None = None,
    ) -> None:
        self._store, self._namespaces, self._cluster = store, namespaces, cluster
        self._forgetting = forgetting or Forgetting(RecordLimits(), store)
        #: By uid. Begun and finished runs are the index's own bodies; deleted ones are in no other
        #: place.
        self._begun: dict[str, Body] = {}
        self._finished: dict[str, Body] = {}
        self._deleted: dict[str, Row] = {}
        #: Runs that are not over and that the store has.
        self._seen: set[str] = set()
        #: Runs that are being removed for good.
        self._removed: set[str] = set()
        self._work = asyncio.Event()

    # -- index.Observer

    def changed(self, body: Body) -> None:
        uid = body["metadata"]["uid"]
        if is_final(body):
            self._begun.pop(uid, None)
            self._finished[uid] = body
        elif uid not in self._seen:
            # Once: a deletion that is missed later finds at least who the run was.
            self._begun[uid] = body
        else:
            return
        self._work.set()

    def dropped(self, body: Body) -> None:
        uid = body["metadata"]["uid"]
        self._forget_living(uid)
        if uid in self._removed:
            return
        known = self._deleted.get(uid)
        if known is None or known.version < version_of(body):
            row = _make_row(body, deleted_at=time.time())
            if row is not None:
                self._deleted[uid] = row
        while len(self._deleted) > _MOST_WAITING:
            lost = self._deleted.pop(next(iter(self._deleted)))
            logger.error(
                "a deleted run is forgotten: the store does not work",
                extra={"project": lost.namespace, "run": lost.object_name},
            )
        self._work.set()

    # -- reading what is not stored yet

    def find(self, project: str, uuid: str) -> Body | None:
        """A deleted run that is not stored yet."""
        for row in self._deleted.values():
            if row.namespace == project and uuid in (row.uuid, uuid_of(row.uid)):
                return read_body(row)
        return None

    def list(self, project: str) -> Mapping[str, Listed]:
        """The deleted runs that are not stored yet, by uid."""
        return {
            uid: Listed(read_body(row))
            for uid, row in self._deleted.items()
            if row.namespace == project
        }

    def below(self, body: Body) -> Sequence[Row]:
        """Those that may be below this pipeline, of which each has its outermost pipeline."""
        own = {run_uuid(body), uuid_of(body["metadata"]["uid"])}
        outermost = {read_outermost(body)} if read_pipeline(body) else own
        return [
            row
            for row in self._deleted.values()
            if row.namespace == body["metadata"]["namespace"]
            and row.pipeline is not None
            and (row.controller is None or row.controller in outermost)
        ]

    # -- writing

    async def remove(self, body: Body) -> None:
        """Remove a run and those below it for good with their files, after its object."""
        uid = body["metadata"]["uid"]
        self.expect_removal(body)
        self._forget_living(uid)
        self._deleted.pop(uid, None)
        try:
            # The row stays as a mark, so that no late event stores the run again.
            namespace = await self._namespaces.uid_of(body)
            row = make_row(body, deleted_at=time.time(), namespace_uid=namespace or "")
            await self._store.write([row])
            await self._forgetting.remove(uid, time.time())
        except BaseException:
            self.keep_after_all(body)
            # The object is gone in any case: its deletion is stored as any other.
            self.dropped(body)
            raise
        self._removed.discard(uid)

    def _forget_living(self, uid: str) -> None:
        self._begun.pop(uid, None)
        self._finished.pop(uid, None)
        self._seen.discard(uid)

    def expect_removal(self, body: Body) -> None:
        """Do not store the deletion that follows."""
        self._removed.add(body["metadata"]["uid"])

    def keep_after_all(self, body: Body) -> None:
        """The removal was refused, or did not succeed."""
        self._removed.discard(body["metadata"]["uid"])

    async def run(self) -> None:
        """Write what changes, for ever."""
        loop = asyncio.get_running_loop()
        written = loop.time() - _WINDOW
        while True:
            await self._work.wait()
            await asyncio.sleep(written + _WINDOW - loop.time())
            self._work.clear()
            try:
                while self._begun or self._finished or self._deleted:
                    await self._write_batch()
                written = loop.time()
            except PlatformError as error:
                logger.warning("%s; runs are stored later", error.message)
                self._work.set()
                await asyncio.sleep(error.retry_after or _PAUSE)
            except Exception:
                # Nothing is stored any more without this task.
                logger.exception("a bug: runs are stored later")
                self._work.set()
                await asyncio.sleep(_PAUSE)

    async def _write_batch(self) -> None:
        deleted = dict(list(self._deleted.items())[:_BATCH])
        finished = dict(list(self._finished.items())[: _BATCH - len(deleted)])
        begun = dict(list(self._begun.items())[: _BATCH - len(deleted) - len(finished)])
        known = await self._store.known([*deleted, *finished, *begun])
        rows: list[Row] = []
        for uid, row in deleted.items():
            if not _has(known.get(uid), row.version, is_deleted=True):
                namespace = await self._namespaces.uid_of(read_body(row))
                rows += [] if namespace is None else [in_namespace(row, namespace)]
        changed = [
            *(body for uid, body in begun.items() if uid not in known),
            *(
                body
                for uid, body in finished.items()
                if not _has(known.get(uid), version_of(body), is_deleted=False)
            ),
        ]
        for body in changed:
            made = _make_row(body, namespace_uid=await self._namespaces.uid_of(body))
            rows += [] if made is None else [made]
        await self._store.write(rows)
        self._seen.update(uid for uid in begun if uid in self._begun)
        self._seen.difference_update(finished)
        _forget(self._deleted, deleted)
        _forget(self._finished, finished)
        _forget(self._begun, begun)

    async def find_missed(self, is_there: IsThere) -> None:
        """Store the deletion of the runs whose objects went while this process did not watch. Those
        that were not over are recorded as Stopped.

        `is_there`: whether the synced index has the object of this uid.
        """
        gone = [
            uid
            for uid, namespace, name in await self._store.living()
            if not is_there(namespace, uid) and await self._is_gone(uid, namespace, name)
        ]
        for row in await self._store.rows(gone):
            ended = _make_row(
                read_body(row), deleted_at=time.time(), namespace_uid=row.namespace_uid
            )
            await self._store.write([] if ended is None else [ended])

    async def _is_gone(self, uid: str, namespace: str, name: str) -> bool:
        """Ask the cluster: another replica may have stored a run that is newer than the index."""
        try:
            found = await self._cluster.get(OPERATIONS, namespace, name)
        except NotFound:
            return True
        return bool(found["metadata"]["uid"] != uid)


class IsThere(Protocol):
    """Whether the object of a namespace and a uid is in the index."""

    def __call__(self, namespace: str, uid: str) -> bool: ...


def _make_row(
    body: Body, *, deleted_at: float | None = None, namespace_uid: str | None = ""
) -> Row | None:
    """The row of a run; None in a namespace that is gone, where no one can ask for it.

    A body of which no row can be made must keep neither the watch nor the other runs waiting.
    """
    if namespace_uid is None:
        return None
    try:
        return make_row(body, deleted_at=deleted_at, namespace_uid=namespace_uid)
    except Exception:
        logger.exception(
            "a bug: a run cannot be stored", extra={"uid": body["metadata"].get("uid")}
        )
        return None


def _has(known: Known | None, version: int, *, is_deleted: bool) -> bool:
    return known is not None and known.version >= version and (known.is_deleted or not is_deleted)


def _forget(waiting: dict[str, Body] | dict[str, Row], written: Mapping[str, object]) -> None:
    """Forget what was written, unless it changed since."""
    for uid, value in written.items():
        if waiting.get(uid) is value:
            del waiting[uid]
