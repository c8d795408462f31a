"""Results of runs whose object is gone, with a store that answers, is silent, or is none."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.support.builders import JOB
from tests.support.memory_cluster import MemoryCluster

from opstrand.controller.store_reader import NoStore, Question, StoreReader
from opstrand.core.names import run_uuid
from opstrand.core.resolving.query import select
from opstrand.core.resolving.stored import StoredRuns
from opstrand.core.resolving.upstream import read_upstream
from opstrand.errors import PlatformError
from opstrand.settings import Settings
from opstrand.types import Manifest

CACHED = {**JOB, "cache": {"disable": False}}


class Store:
    """The store of a cluster, as the API answers for it."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.bodies: list[Manifest] = []
        self.error: Exception | None = None
        self.questions: list[Question] = []
        self._cluster = cluster
        cluster.world.store = StoreReader(self, cluster.wake)

    async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
        self.questions.append(question)
        if self.error is not None:
            raise self.error
        assert isinstance(question, StoredRuns)
        runs = [read_upstream(one, Settings()) for one in self.bodies]
        found = select(question.query, question.sort, question.most, 0, runs)
        by_uuid = {run_uuid(one["metadata"]["uid"]): one for one in self.bodies}
        return [zlib.compress(json.dumps(by_uuid[run.uuid]).encode()) for run in found]

    async def make(self, name: str, spec: Any, **outputs: Any) -> None:
        """Make a run that ended well and is gone; the store has it."""
        await self.create(name, spec)
        await self._cluster.run_pod(name, **outputs)
        await self._cluster.end_pod(name)
        await self._cluster.settle()
        self.bodies.append(self._cluster.get(name))
        await self._cluster.delete(name)
        await self._cluster.collect_garbage()
        # Half a minute later: an answer is kept for so long.
        self._cluster.world.store = StoreReader(self, self._cluster.wake)

    async def create(self, name: str, spec: Any = CACHED) -> dict[str, Any]:
        """Create a run, and let questions be answered; returns its status."""
        await self._cluster.create(name, spec)
        for _ in range(20):
            await self._cluster.settle()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await self._cluster.settle()
        return self._cluster.status(name)


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


async def test_the_result_of_a_gone_run_is_taken_by_one_write(cluster: MemoryCluster) -> None:
    store = Store(cluster)
    await store.make("a", CACHED, loss=0.25)
    status = await store.create("b")
    assert (status["phase"], status["reason"]) == ("Succeeded", "CacheHit")
    assert status["outputs"] == {"loss": 0.25}
    assert status["original"]["uuid"] == store.bodies[0]["status"]["uuid"]
    assert [one["status"] for one in status["history"]] == ["created", "succeeded"]
    assert await cluster.pods_of("b") == []


@pytest.mark.parametrize("error", [NoStore(), PlatformError("the API does not answer")])
async def test_without_an_answer_a_run_runs(cluster: MemoryCluster, error: Exception) -> None:
    store = Store(cluster)
    await store.make("a", CACHED)
    store.error = error
    assert (await store.create("b"))["phase"] == "Starting"


async def test_a_gone_run_counts_as_one_that_exists(cluster: MemoryCluster) -> None:
    store = Store(cluster)
    await store.make("a", CACHED)
    gone = store.bodies[0]
    gone["spec"]["control"] = {"invalidate": True}
    assert (await store.create("invalidated"))["phase"] == "Starting"
    gone["spec"].pop("control")
    aged = {**JOB, "cache": {"disable": False, "ttl": 5}}
    await cluster.delete("invalidated")
    await cluster.wait(60)
    assert (await store.create("old", aged))["phase"] == "Starting"


async def test_a_run_without_a_cache_asks_nothing(cluster: MemoryCluster) -> None:
    store = Store(cluster)
    await store.create("a", JOB)
    assert store.questions == []
