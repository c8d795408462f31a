"""Refs and joins to runs whose object is gone, with a store that answers, is silent, or is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.builders import JOB
from tests.support.memory_cluster import MemoryCluster
from tests.support.memory_store import MemoryStore

from opstrand.controller.store_reader import NoStore
from opstrand.core.resolving.stored import StoredRun
from opstrand.errors import PlatformError

OLD = {**JOB, "tags": ["old"]}
COMPONENT = {**JOB["component"], "inputs": [{"name": "x", "type": "any"}]}


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


def refer(uuid: str, value: str = "outputs.loss") -> dict[str, Any]:
    return {"component": COMPONENT, "params": {"x": {"ref": f"runs.{uuid}", "value": value}}}


def join(query: str = "tags: old", **parts: Any) -> dict[str, Any]:
    params = {"x": {"value": "globals.name"}}
    return {"component": COMPONENT, "joins": [{"query": query, "params": params, **parts}]}


@pytest.mark.parametrize("size", [1, 100_000], ids=["small", "large"])
async def test_a_ref_reads_a_gone_run_without_a_write_for_the_question(
    cluster: MemoryCluster, size: int
) -> None:
    store = MemoryStore(cluster)
    uuid = await store.make("a", OLD, loss=0.25, text="x" * size)
    await cluster.create("b", refer(uuid))
    await store.settle()
    status = cluster.status("b")
    assert (status["phase"], status["inputs"]) == ("Starting", {"x": 0.25})
    assert [one["status"] for one in status["history"]] == ["created", "starting"]
    assert [(one["uuid"], one["name"]) for one in status["upstream"]] == [(uuid, "a")]
    assert set(store.questions) == {StoredRun(uuid)}


async def test_a_join_selects_among_living_and_gone_runs_and_takes_none_twice(
    cluster: MemoryCluster,
) -> None:
    store = MemoryStore(cluster)
    for number, name in enumerate("abcdef"):
        await store.make(name, OLD, is_gone=bool(number % 2), loss=number)
    await cluster.create("j", join(sort="-name", limit=3, offset=1))
    await store.settle()
    status = cluster.status("j")
    assert (status["phase"], status["inputs"]) == ("Starting", {"x": ["e", "d", "c"]})
    made = join("name: {{ last }}|a", sort="name")
    await cluster.create("k", {**made, "params": {"last": {"value": "f", "contextOnly": True}}})
    await store.settle()
    assert cluster.status("k")["inputs"]["x"] == ["a", "f"]


async def test_a_living_run_wins_over_its_record(cluster: MemoryCluster) -> None:
    store = MemoryStore(cluster)
    await store.make("a", OLD, is_gone=False, loss=1)
    record = store.bodies[0]
    store.bodies[0] = {**record, "status": {**record["status"], "tags": ["old", "older"]}}
    await cluster.create("j", join("tags: older"))
    await cluster.create("k", join("tags: old"))
    await store.settle()
    assert cluster.status("j")["inputs"] == {"x": []}
    assert cluster.status("k")["inputs"] == {"x": ["a"]}


async def test_without_a_store_a_missing_run_is_missing_at_once(cluster: MemoryCluster) -> None:
    await cluster.create("b", refer("1" * 32))
    await cluster.settle()
    before = cluster.status("b")
    assert before["reason"] == "UpstreamNotFound"
    store = MemoryStore(cluster)
    store.error = NoStore()
    await cluster.create("c", refer("1" * 32))
    await cluster.create("j", join())
    await store.settle()
    assert cluster.status("c")["message"] == before["message"]
    assert cluster.status("j")["inputs"] == {"x": []}


async def test_a_silent_store_holds_up_the_runs_that_need_it_and_no_other(
    cluster: MemoryCluster,
) -> None:
    store = MemoryStore(cluster)
    uuid = await store.make("a", OLD, loss=0.25)
    store.error = PlatformError("the API does not answer")
    await cluster.create("b", refer(uuid))
    await cluster.create("j", join())
    await cluster.create("plain", JOB)
    await store.settle()
    assert {cluster.status(name)["reason"] for name in "bj"} == {"StoreUnavailable"}
    assert cluster.status("plain")["phase"] == "Starting"
    await cluster.wait(1_000_000)
    assert {cluster.status(name)["phase"] for name in "bj"} == {"Waiting"}
    await cluster.edit("b", "control", {"stop": True})
    await store.settle()
    assert cluster.status("b")["phase"] == "Stopped"
