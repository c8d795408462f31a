"""A pipeline and a matrix are resumed while one of their runs still ends."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import JOB
from tests.support.memory_cluster import MemoryCluster

from opstrand.core.phase import parse_phase

DAG = {
    "component": {
        "run": {"kind": "dag", "operations": [{"name": "0", **JOB}, {"name": "1", **JOB}]}
    }
}
GRID = {
    "matrix": {"kind": "grid", "params": {"x": {"kind": "choice", "value": [1, 2]}}},
    "component": {"inputs": [{"name": "x", "type": "int"}], **JOB["component"]},
}


async def end_all(cluster: MemoryCluster, names: list[str]) -> None:
    """Let every run that is started succeed, until the parent has ended."""
    for _ in range(20):
        await cluster.end_stopped_pods()
        await cluster.settle()
        for name in names:
            if parse_phase(cluster.status(name)).value in ("Starting", "Running"):
                await cluster.end_pod(name)
        await cluster.wait()
        if parse_phase(cluster.status("p")).is_final:
            return
    raise AssertionError(f"it has not ended: {cluster.status('p')}")


@pytest.mark.parametrize(
    ("spec", "keys"), [(DAG, ("0", "1")), (GRID, (0, 1))], ids=["pipeline", "matrix"]
)
async def test_a_run_that_still_stops_when_the_round_begins_runs_again_in_it(
    spec: dict[str, Any], keys: tuple[Any, Any]
) -> None:
    with MemoryCluster() as cluster:
        await cluster.create("p", spec)
        await cluster.settle()
        first, second = (cluster.find_child("p", key) for key in keys)
        for name in (first, second):
            await cluster.run_pod(name)
        await cluster.settle()
        await cluster.end_pod(first, 1)
        await cluster.wait()
        # By hand, one that failed runs again; its parent ends with it, and it is stopped.
        await cluster.edit(first, "control", {"resume": 1})
        await cluster.settle()
        await cluster.run_pod(first)
        await cluster.settle()
        await cluster.end_pod(second, 1)
        await cluster.settle()
        assert cluster.status("p")["phase"] == "Failed"
        assert cluster.status(first)["phase"] == "Stopping"
        await cluster.edit("p", "control", {"resume": 1})
        await cluster.settle()
        await end_all(cluster, [first, second])
        assert cluster.status("p")["phase"] == "Succeeded"
        assert cluster.status("p")["children"]["states"] == "ss"
        assert cluster.status(first)["round"] == 1
