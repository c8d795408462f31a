"""Pipelines and matrices that are changed by hand while they run, with the real garbage collector.

Every phase is in `tests/unit/controller/test_changed_pipelines.py`, in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core import names
from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, operation, run_kubectl, wait_for
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.usefixtures("operator", "kubelet")

RUN = {
    "kind": "job",
    "environment": {"annotations": {"test/until": "stopped"}},
    "container": {"image": "busybox", "command": ["true"]},
}
ENDS_ALONE = {**RUN, "environment": {"annotations": {"test/until": "Running"}}}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


def dag(name: str, run: dict[str, Any]) -> Manifest:
    operations = [
        {"name": "a", "component": {"run": run}},
        {"name": "b", "component": {"run": run}, "dependencies": ["a"]},
    ]
    return operation(name, {"component": {"run": {"kind": "dag", "operations": operations}}})


async def wait_for_child(kube: KubeApi, namespace: str, parent: str, key: str | int) -> str:
    """Return the name of a pipeline's run once that is running."""
    body = await wait_for(kube, namespace, parent, in_phase("Running"), seconds=60)
    name = names.child_name(parent, names.run_uuid(body["metadata"]["uid"]), key)
    for _ in range(1200):
        found = {
            one["metadata"]["name"]: one for one in (await kube.list(OPERATIONS, namespace))[0]
        }
        if name in found and in_phase("Running", "Succeeded")(found[name]):
            return name
        await asyncio.sleep(0.05)
    raise AssertionError(f"'{name}' does not run: {found.get(name)}")


async def test_a_run_of_a_matrix_that_is_deleted_by_hand_counts_as_stopped(
    kube: KubeApi, namespace: str
) -> None:
    params = {"x": {"kind": "choice", "value": [1, 2]}}
    script = {"test/until": "{{ 'stopped' if x == 1 else 'Running' }}"}
    component = {
        "inputs": [{"name": "x", "type": "int"}],
        "run": {**RUN, "environment": {"annotations": script}},
    }
    spec = {"matrix": {"kind": "grid", "params": params}, "component": component}
    await kube.create(OPERATIONS, namespace, operation("m", spec))
    name = await wait_for_child(kube, namespace, "m", 0)
    await wait_for(
        kube, namespace, "m", lambda one: one["status"]["children"]["states"][0] == "r", seconds=60
    )
    await kube.delete(OPERATIONS, namespace, name)
    body = await wait_for(
        kube, namespace, "m", lambda one: parse_phase(one["status"]).is_final, seconds=60
    )
    assert (body["status"]["phase"], body["status"]["children"]["states"]) == ("Succeeded", "xs")


@pytest.mark.parametrize("cascade", ["background", "foreground"])
async def test_a_deleted_pipeline_leaves_nothing(
    control_plane: ControlPlane, kube: KubeApi, namespace: str, cascade: str
) -> None:
    await kube.create(OPERATIONS, namespace, dag("p", RUN))
    await wait_for_child(kube, namespace, "p", "a")
    delete(control_plane.kubeconfig, namespace, "p", cascade)
    for _ in range(1200):
        left = [
            *(await kube.list(OPERATIONS, namespace))[0],
            *(await kube.list(PODS, namespace))[0],
        ]
        if not left:
            return
        await asyncio.sleep(0.05)
    raise AssertionError([one["metadata"]["name"] for one in left])


async def test_the_runs_of_a_pipeline_that_is_deleted_alone_go_on(
    control_plane: ControlPlane, kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, dag("p", {**ENDS_ALONE}))
    name = await wait_for_child(kube, namespace, "p", "a")
    delete(control_plane.kubeconfig, namespace, "p", "orphan")
    body = await wait_for(
        kube, namespace, name, lambda one: parse_phase(one["status"]).is_final, seconds=60
    )
    assert parse_phase(body["status"]).value in ("Succeeded", "Stopped")


def delete(kubeconfig: Path, namespace: str, name: str, cascade: str) -> None:
    options = (f"--cascade={cascade}", "--wait=false")
    run_kubectl(kubeconfig, "delete", "operation", name, "-n", namespace, *options)
