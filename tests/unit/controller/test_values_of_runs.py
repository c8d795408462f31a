"""What a pipeline reads of its runs and what it gives them: outputs of any size, and edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.builders import JOB
from tests.support.memory_cluster import MemoryCluster

STOP = [{"kind": "metric_early_stopping", "metric": "loss", "value": 1, "optimization": "minimize"}]
GRID = {"kind": "grid", "params": {"x": {"kind": "choice", "value": [1, 2]}}}
INPUTS = [{"name": "x", "type": "int"}, {"name": "y", "type": "float", "value": 0.5}]
SEARCH = {**JOB["component"], "inputs": INPUTS}
DAG = {"kind": "dag", "operations": [{"name": "0", **JOB}, {"name": "1", **JOB}]}
STOPPED_EARLY: dict[str, dict[str, Any]] = {
    "dag": {"component": {"run": {**DAG, "earlyStopping": STOP}}},
    "matrix": {"matrix": {**GRID, "earlyStopping": STOP}, "component": SEARCH},
}


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    with MemoryCluster() as cluster:
        yield cluster


@pytest.mark.parametrize("kind", STOPPED_EARLY)
@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_metric_counts_however_much_else_its_run_reports(
    cluster: MemoryCluster, kind: str, size: int, has_ended: bool
) -> None:
    await cluster.create("p", STOPPED_EARLY[kind])
    await cluster.settle()
    child = cluster.find_child("p", "0" if kind == "dag" else 0)
    if not has_ended:
        await cluster.settle()
        await cluster.wait()
    await cluster.run_pod(child, text="x" * size, loss=0.25)
    if has_ended:
        await cluster.end_pod(child)
    await cluster.settle()
    status = cluster.status("p")
    assert (status["phase"], status["reason"]) == ("Stopping", "MetricReached")


async def test_the_runs_of_a_matrix_have_its_edges(cluster: MemoryCluster) -> None:
    made = {**JOB, "component": {**JOB["component"], "outputs": [{"name": "y", "type": "float"}]}}
    await cluster.create("a", made)
    await cluster.settle()
    await cluster.run_pod("a", y=0.25)
    await cluster.end_pod("a")
    await cluster.settle()
    params = {"y": {"ref": "ops.a", "value": "outputs.y"}}
    await cluster.create("m", {"matrix": GRID, "params": params, "component": SEARCH})
    await cluster.settle()
    (edge,) = cluster.status("m")["upstream"]
    assert (edge["uuid"], edge["values"]) == (cluster.status("a")["uuid"], {"y": "outputs.y"})
    runs = await cluster.children("m")
    assert sorted(runs) == ["0", "1"]
    for one in runs.values():
        assert one["status"]["upstream"] == [edge]
        assert one["status"]["inputs"]["y"] == 0.25


async def test_an_operation_of_a_pipeline_has_only_its_own_edges(cluster: MemoryCluster) -> None:
    await cluster.create("a", JOB)
    await cluster.settle()
    state = {"s": {"ref": "ops.a", "value": "globals.uuid", "contextOnly": True}}
    await cluster.create("p", {"params": state, "component": {"run": DAG}})
    await cluster.settle()
    await cluster.end_pod("a")
    await cluster.settle()
    assert len(cluster.status("p")["upstream"]) == 1
    assert cluster.status(cluster.find_child("p", "0"))["upstream"] == []
