"""What a run costs the API server, counted in its own audit log."""

from __future__ import annotations

import asyncio

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, operation
from tests.support.audit import count_requests
from tests.support.kubelet_stand_in import KubeletStandIn

RUNS = 100


@pytest.mark.usefixtures("operator")
async def test_a_hundred_runs_cost_one_pod_and_at_most_three_patches_each(
    kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    offset = control_plane.audit_log.stat().st_size
    async with KubeletStandIn(kube, run_for=0.3):
        await asyncio.gather(
            *(kube.create(OPERATIONS, namespace, operation(f"run-{i}")) for i in range(RUNS))
        )
        for _ in range(1200):
            items, _version = await kube.list(OPERATIONS, namespace)
            if all((one.get("status") or {}).get("phase") == "Succeeded" for one in items):
                break
            await asyncio.sleep(0.1)
    assert {one["status"]["phase"] for one in items} == {"Succeeded"}
    await asyncio.sleep(0.5)
    requests = count_requests(
        control_plane.audit_log, OPERATOR_USER, after=offset, namespace=namespace
    )
    assert set(requests) == {("create", "pods", 201), ("patch", "operations/status", 200)}, requests
    assert requests["create", "pods", 201] == RUNS
    assert 2 * RUNS <= requests["patch", "operations/status", 200] <= 3 * RUNS
