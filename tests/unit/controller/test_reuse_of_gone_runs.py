"""Results of runs whose object is gone, with a store that answers, is silent, or is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.builders import JOB
from tests.support.memory_cluster import MemoryCluster
from tests.support.memory_store import MemoryStore

from opstrand.controller.store_reader import NoStore
from opstrand.errors import PlatformError

CACHED = {**JOB, "cache": {"disable": False}}


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


async def create(
    cluster: MemoryCluster, store: MemoryStore, name: str, spec: Any = CACHED
) -> dict[str, Any]:
    """Create a run, and let questions be answered; returns its status."""
    await cluster.create(name, spec)
    await store.settle()
    return cluster.status(name)


async def test_the_result_of_a_gone_run_is_taken_by_one_write(cluster: MemoryCluster) -> None:
    store = MemoryStore(cluster)
    await store.make("a", CACHED, loss=0.25)
    status = await create(cluster, store, "b")
    assert (status["phase"], status["reason"]) == ("Succeeded", "CacheHit")
    assert status["outputs"] == {"loss": 0.25}
    assert status["original"]["uuid"] == store.bodies[0]["status"]["uuid"]
    assert [one["status"] for one in status["history"]] == ["created", "succeeded"]
    assert await cluster.pods_of("b") == []


@pytest.mark.parametrize("error", [NoStore(), PlatformError("the API does not answer")])
async def test_without_an_answer_a_run_runs(cluster: MemoryCluster, error: Exception) -> None:
    store = MemoryStore(cluster)
    await store.make("a", CACHED)
    store.error = error
    assert (await create(cluster, store, "b"))["phase"] == "Starting"


async def test_a_gone_run_counts_as_one_that_exists(cluster: MemoryCluster) -> None:
    store = MemoryStore(cluster)
    await store.make("a", CACHED)
    gone = store.bodies[0]
    gone["spec"]["control"] = {"invalidate": True}
    assert (await create(cluster, store, "invalidated"))["phase"] == "Starting"
    gone["spec"].pop("control")
    aged = {**JOB, "cache": {"disable": False, "ttl": 5}}
    await cluster.delete("invalidated")
    await cluster.wait(60)
    assert (await create(cluster, store, "old", aged))["phase"] == "Starting"


async def test_a_run_without_a_cache_asks_nothing(cluster: MemoryCluster) -> None:
    store = MemoryStore(cluster)
    await create(cluster, store, "a", JOB)
    assert store.questions == []
