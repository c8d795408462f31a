"""`opstrand top` against a real API server that serves metrics.k8s.io by a CRD of that group: a
metrics-server needs kubelets, and gives the same objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core.names import UUID_LABEL, run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import CRDS, OPERATIONS, POD_METRICS
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, operation, wait_for
from tests.support.command_line import Ran, run_opstrand

pytestmark = pytest.mark.usefixtures("operator")
JOB = {"run": {"kind": "job", "container": {"image": "a", "command": ["true"]}}}
PATIENCE = 60


def metrics_crd() -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "pods.metrics.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": "metrics.k8s.io",
            "scope": "Namespaced",
            "names": {"kind": "PodMetrics", "listKind": "PodMetricsList", "plural": "pods"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest_asyncio.fixture(loop_scope="session")
async def metrics(kube: KubeApi, namespace: str) -> AsyncIterator[None]:
    await kube.create(CRDS, None, metrics_crd())
    await wait_until_served(kube, namespace, True)
    yield
    await kube.delete(CRDS, None, "pods.metrics.k8s.io")
    await wait_until_served(kube, namespace, False)


async def wait_until_served(kube: KubeApi, namespace: str, expected: bool) -> None:
    for _ in range(PATIENCE * 10):
        try:
            await kube.list(POD_METRICS, namespace)
            is_served = True
        except NotFound:
            is_served = False
        if is_served == expected:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"metrics.k8s.io is served: not {expected} within {PATIENCE} s")


async def top(control_plane: ControlPlane, namespace: str, *runs: str) -> Ran:
    env = {"KUBECONFIG": str(control_plane.kubeconfig), "OPSTRAND_PROJECT": namespace}
    return await asyncio.to_thread(run_opstrand, "top", *runs, env=env)


async def test_a_cluster_that_measures_nothing(control_plane: ControlPlane, namespace: str) -> None:
    ran = await top(control_plane, namespace)
    assert (ran.code, ran.out) == (5, "")
    assert ran.errors == ["error: this cluster measures nothing: it does not serve metrics.k8s.io"]


@pytest.mark.usefixtures("metrics")
async def test_runs_that_are_measured(
    control_plane: ControlPlane, kube: KubeApi, namespace: str
) -> None:
    assert (await top(control_plane, namespace)).stderr == "no run is measured\n"
    for name, cpu, memory in (("one", "1250m", "65536Ki"), ("two", "1999999n", "2Gi")):
        await kube.create(OPERATIONS, namespace, operation(name, JOB))
        body = await wait_for(kube, namespace, name, in_phase("Starting"))
        await kube.create(POD_METRICS, namespace, measured(body, cpu, memory))
    two = ["two", "two-0", "2m", "2048Mi"]
    expected = [["NAME", "POD", "CPU", "MEMORY"], ["one", "one-0", "1250m", "64Mi"], two]
    assert rows(await top(control_plane, namespace)) == expected
    assert rows(await top(control_plane, namespace, "two")) == [expected[0], two]
    part = await top(control_plane, namespace, "two", "nothing")
    assert (part.code, rows(part)) == (4, [expected[0], two])


def measured(body: Any, cpu: str, memory: str) -> dict[str, Any]:
    """Return the measurement of a run's Pod, with its labels, as metrics-server does."""
    name, uuid = body["metadata"]["name"], run_uuid(body["metadata"]["uid"])
    labels = {"app.kubernetes.io/part-of": "opstrand-runs", UUID_LABEL: uuid}
    container = {"name": "main", "usage": {"cpu": cpu, "memory": memory}}
    return {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": f"{name}-0", "labels": labels},
        "containers": [container],
    }


def rows(ran: Ran) -> list[list[str]]:
    return [line.split() for line in ran.out.splitlines()]
