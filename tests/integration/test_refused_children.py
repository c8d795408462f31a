"""Runs of a pipeline or a matrix that the API server refuses for a while: a quota on Operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, Resource
from opstrand.types import Manifest
from tests.integration.conftest import operation, wait_for
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.usefixtures("operator", "kubelet")

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
COUNTED = "count/operations.opstrand.dev"
RUN = {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}
DAG = {
    "component": {
        "run": {
            "kind": "dag",
            "operations": [{"name": name, "component": {"run": RUN}} for name in "abcd"],
        }
    }
}
GRID = {
    "matrix": {"kind": "grid", "params": {"x": {"kind": "choice", "value": [1, 2, 3, 4]}}},
    "component": {"inputs": [{"name": "x", "type": "int"}], "run": RUN},
}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


async def allow(kube: KubeApi, namespace: str, operations: int) -> None:
    """Allow so many Operations in the namespace, and wait until they are counted.

    The quota controller learns of a custom resource some time after its start, and looks at a quota
    only when that is new.
    """
    quota = {"metadata": {"name": "runs"}, "spec": {"hard": {COUNTED: str(operations)}}}
    async with asyncio.timeout(120):
        while True:
            await kube.create(QUOTAS, namespace, quota)
            for _ in range(60):
                if await is_counted(kube, namespace):
                    return
                await asyncio.sleep(0.05)
            await kube.delete(QUOTAS, namespace, "runs")


async def is_counted(kube: KubeApi, namespace: str) -> bool:
    status = (await kube.get(QUOTAS, namespace, "runs")).get("status") or {}
    return COUNTED in (status.get("used") or {})


def is_held_by_the_quota(body: Manifest) -> bool:
    status = body.get("status") or {}
    return (
        status.get("reason") == "QuotaExceeded"
        and (status.get("children") or {}).get("states", "").count("s") == 2
    )


@pytest.mark.parametrize(
    ("spec", "usual"), [(DAG, "PipelineRunning"), (GRID, "MatrixRunning")], ids=["dag", "matrix"]
)
async def test_a_parent_says_that_a_quota_holds_its_runs_and_goes_on_without_it(
    kube: KubeApi, namespace: str, spec: dict[str, Any], usual: str
) -> None:
    await allow(kube, namespace, 3)
    await kube.create(OPERATIONS, namespace, operation("held", spec))
    body = await wait_for(kube, namespace, "held", is_held_by_the_quota, seconds=60)
    assert body["status"]["phase"] == "Running"
    assert "exceeded quota: runs" in body["status"]["message"]
    await kube.delete(QUOTAS, namespace, "runs")
    body = await wait_for(
        kube, namespace, "held", lambda one: parse_phase(one["status"]).is_final, seconds=90
    )
    assert (body["status"]["phase"], body["status"]["children"]["states"]) == ("Succeeded", "ssss")
    reasons = [one["reason"] for one in body["status"]["history"]]
    assert reasons in (
        ["Created", usual, "QuotaExceeded", "Succeeded"],
        ["Created", usual, "QuotaExceeded", usual, "Succeeded"],
    )
