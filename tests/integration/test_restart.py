"""The operator dies while runs are at every stage: each ends once, with one Pod."""

from __future__ import annotations

import asyncio
from pathlib import Path

from opstrand.kube.api import OPERATIONS, PODS, KubeApi
from tests.integration.conftest import operation
from tests.support.kubelet_stand_in import KubeletStandIn
from tests.support.operator_process import OperatorProcess

RUNS = 50


async def test_fifty_runs_survive_three_deaths_of_the_operator(
    kube: KubeApi, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    async with KubeletStandIn(kube, run_for=0.4):
        for i in range(RUNS):
            spec = {"params": {"p": {"ref": f"ops.run-{i - 1}", "value": "globals.status", "contextOnly": True}}} if i % 5 == 4 else None
            await kube.create(OPERATIONS, namespace, operation(f"run-{i}", spec))
            if i % 17 == 16:
                operator.wait_until_started()
                await asyncio.sleep(0.2)
                operator.kill()
                operator.start()
        operator.wait_until_started()
        for _ in range(1200):
            items, _version = await kube.list(OPERATIONS, namespace)
            if all((one.get("status") or {}).get("phase") == "Succeeded" for one in items):
                break
            await asyncio.sleep(0.1)
    assert {one["status"]["phase"] for one in items} == {"Succeeded"}
    pods, _ = await kube.list(PODS, namespace)
    owners = [pod["metadata"]["ownerReferences"][0]["name"] for pod in pods]
    assert sorted(owners) == sorted(f"run-{i}" for i in range(RUNS))
    finals = [[entry["status"] for entry in one["status"]["history"]].count("succeeded") for one in items]
    assert set(finals) == {1}


async def test_the_operator_stops_at_once_when_asked(operator: OperatorProcess) -> None:
    assert operator.stop(seconds=5) == 0
    operator.start()
    operator.wait_until_started()
