"""Runs are stored while the store works, and later if it does not; until then they are answered
from memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support.postgres import PostgresServer
from tests.support.stores import NAMESPACE_UID, final_body

from opstrand.errors import PlatformError
from opstrand.kube.errors import NotFound
from opstrand.runs import archiver as module
from opstrand.runs.archive import Archive
from opstrand.runs.archiver import Archiver
from opstrand.runs.keeper import KeptRuns
from opstrand.runs.namespaces import Namespaces
from opstrand.runs.records import read_body
from opstrand.store.opening import open_store
from opstrand.store.rows import Selection
from opstrand.store.store import RunStore
from opstrand.types import Body, Manifest

ALL = Selection(NAMESPACE_UID)
#: Seconds; the machine may be slow.
PATIENCE = 60.0


class Cluster:
    """Has one namespace, and these Operations by name."""

    def __init__(self, created: str = "2025-01-01T00:00:00Z") -> None:
        self.created = created
        self.operations: dict[str, Manifest] = {}

    async def get(self, resource: Any, namespace: str | None, name: str) -> Manifest:
        if namespace is None:
            return {"metadata": {"uid": NAMESPACE_UID, "creationTimestamp": self.created}}
        if name not in self.operations:
            raise NotFound(f"{namespace}/{name}", status=404)
        return self.operations[name]


@contextlib.asynccontextmanager
async def running(store: RunStore, cluster: Cluster) -> AsyncIterator[Archiver]:
    archiver = Archiver(store, Namespaces(cluster), cluster)
    task = asyncio.create_task(archiver.run())
    try:
        yield archiver
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest_asyncio.fixture(loop_scope="session")
async def store(tmp_path: Path) -> AsyncIterator[RunStore]:
    opened = await open_store(f"sqlite://{tmp_path / 'runs.db'}")
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def _prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WINDOW", 0.01)


async def until(
    store: RunStore, holds: Callable[[dict[str, str]], bool], *, count: int | None = None
) -> dict[str, str]:
    """Return the phase of each stored run by its uid, as soon as they are the expected ones.

    `count`: of how many the object must be known to be gone.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await store.rows_after("", limit=1000)
            found = {one.uid: str(read_body(one)["status"]["phase"]) for one in rows}
            if holds(found) and (count is None or await store.count(ALL) == count):
                return found
            await asyncio.sleep(0.02)


async def test_a_run_is_stored_when_it_is_seen_when_it_ends_and_when_it_goes(
    store: RunStore,
) -> None:
    async with running(store, Cluster()) as archiver:
        archiver.changed(final_body(1, phase="Starting", version=1))
        await until(store, lambda found: found == {"uid-1": "Starting"})
        archiver.changed(final_body(1, phase="Running", version=2))
        archiver.changed(final_body(1, version=3))
        await until(store, lambda found: found == {"uid-1": "Succeeded"})
        assert await store.count(ALL) == 0
        archiver.dropped(final_body(1, version=4, outputs={"last": 1}))
        await until(store, lambda found: found == {"uid-1": "Succeeded"}, count=1)


async def test_a_run_of_an_earlier_namespace_of_the_name_is_not_stored(store: RunStore) -> None:
    async with running(store, Cluster(created="2026-06-01T00:00:00Z")) as archiver:
        archiver.dropped(final_body(1))
        archiver.dropped(final_body(2, created="2026-06-02T00:00:00Z"))
        await until(store, lambda found: found == {"uid-2": "Succeeded"})


async def test_a_body_that_cannot_be_stored_holds_up_no_other(
    store: RunStore, caplog: pytest.LogCaptureFixture
) -> None:
    broken = final_body(1, outputs={"a": 10**400})
    async with running(store, Cluster()) as archiver:
        for body in (broken, final_body(2)):
            archiver.changed(body)
            archiver.dropped(body)
        await until(store, lambda found: [*found] == ["uid-2"])
    assert "a bug: a run cannot be stored" in caplog.text


async def refuse(rows: object) -> None:
    raise PlatformError("the store is away")


@pytest.mark.parametrize("is_seen_first", [False, True])
async def test_the_deletion_of_a_run_whose_removal_failed_is_stored(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, is_seen_first: bool
) -> None:
    """Whether the watch sees it after the removal or before."""
    body = final_body(1, phase="Running", version=2)
    async with running(store, Cluster()) as archiver:
        archiver.changed(final_body(1, phase="Running"))
        await until(store, lambda found: found == {"uid-1": "Running"})
        archiver.expect_removal(body)
        if is_seen_first:
            archiver.dropped(body)
        with monkeypatch.context() as away:
            away.setattr(store, "write", refuse)
            with pytest.raises(PlatformError, match="is away"):
                await archiver.remove(body)
        if not is_seen_first:
            archiver.dropped(body)
        await until(store, lambda found: found == {"uid-1": "Stopped"}, count=1)
        # The user asks again.
        await archiver.remove(body)
        assert await store.count(ALL) == 0


class LostAnswer:
    """The cached runs of a cluster that deletes one, and whose answer is lost."""

    def __init__(self, body: Body) -> None:
        self.body: Body | None = body
        self.archiver: Any = None

    def observe(self, archiver: Archiver) -> None:
        self.archiver = archiver

    def peek(self, project: str, uuid: str) -> Body | None:
        return self.body

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        assert self.body is not None
        return self.body

    async def delete(self, project: str, uuid: str) -> None:
        body, self.body = self.body, None
        self.archiver.dropped(body)
        raise PlatformError("the API server does not answer")


async def test_a_deletion_whose_answer_is_lost_is_stored(store: RunStore) -> None:
    body, cluster = final_body(1, phase="Running"), Cluster()
    live: Any = LostAnswer(body)
    async with running(store, cluster) as archiver:
        runs = KeptRuns(live, Archive(store, Namespaces(cluster)), archiver)
        archiver.changed(body)
        await until(store, lambda found: found == {"uid-1": "Running"})
        with pytest.raises(PlatformError, match="does not answer"):
            await runs.delete("n", body["status"]["uuid"])
        await until(store, lambda found: found == {"uid-1": "Stopped"}, count=1)


async def test_what_went_unseen_is_found_at_the_start(store: RunStore) -> None:
    cluster = Cluster()
    async with running(store, cluster) as archiver:
        for number, phase in ((1, "Running"), (2, "Failed"), (3, "Running"), (4, "Running")):
            archiver.changed(final_body(number, phase=phase))
        await until(store, lambda found: len(found) == 4)
        # One is in the index; of another, the index of this replica does not know yet.
        cluster.operations["run-4"] = final_body(4)
        await archiver.find_missed(lambda _, uid: uid == "uid-3")
    expected = {"uid-1": "Stopped", "uid-2": "Failed", "uid-3": "Running", "uid-4": "Running"}
    assert await until(store, lambda found: len(found) == 4) == expected
    assert await store.count(ALL) == 2


async def test_while_the_store_is_away_runs_are_answered_and_stored_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = PostgresServer()
    try:
        server.start()
        store = await open_store(server.new_database())
        await store.count(ALL)
        server.stop()
        async with running(store, Cluster()) as archiver:
            gone = final_body(1)
            archiver.changed(final_body(2))
            archiver.dropped(gone)
            async with asyncio.timeout(PATIENCE):
                while "runs are stored later" not in caplog.text:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert archiver.find("n", gone["status"]["uuid"]) == gone
            assert [*archiver.list("n")] == ["uid-1"]
            server.start()
            await until(store, lambda found: len(found) == 2)
        await store.close()
    finally:
        server.close()
