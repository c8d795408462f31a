"""Runs that are over run again, asked by kubectl, the command line and the published client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from opstrand.core.names import child_name, run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import Invalid
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, operation, pod_of, run_kubectl, service, wait_for
from tests.support.command_line import run_opstrand
from tests.support.kubelet_stand_in import KubeletStandIn, ended, mark

STARTED = "2026-01-01T00:00:00Z"
pytestmark = pytest.mark.usefixtures("operator")


async def control(kube: KubeApi, namespace: str, name: str, **value: Any) -> Manifest:
    ops = [{"op": "add", "path": "/spec/control", "value": value}]
    return await kube.json_patch(OPERATIONS, namespace, name, ops)


async def end_pod(kube: KubeApi, namespace: str, name: str, attempt: int, code: int) -> None:
    """End the Pod of this attempt, once it is there."""

    def is_made(body: Manifest) -> bool:
        status = body.get("status") or {}
        return "pod" in status and status.get("attempt") == attempt

    body = await wait_for(kube, namespace, name, is_made)
    await mark(kube, await pod_of(kube, namespace, body), ended(code, STARTED))


async def fail(kube: KubeApi, namespace: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    """Return a run whose only attempt failed."""
    await kube.create(OPERATIONS, namespace, operation(name, spec))
    await end_pod(kube, namespace, name, 0, 1)
    return await wait_for(kube, namespace, name, in_phase("Failed"))


def is_resumed(number: int, phase: str = "Succeeded") -> Any:
    return lambda one: in_phase(phase)(one) and one["status"].get("resume") == number


async def test_a_job_is_resumed_by_kubectl_and_then_by_the_command_line(
    kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    # Its number at creation was absorbed by its first end.
    first = await fail(kube, namespace, "a", {"control": {"resume": 1}})
    assert first["status"]["resume"] == 1
    patch = '{"spec": {"control": {"resume": 2}}}'
    run_kubectl(
        control_plane.kubeconfig, "patch", "op", "a", "-n", namespace, "--type=merge", "-p", patch
    )
    await end_pod(kube, namespace, "a", 1, 1)
    body = await wait_for(kube, namespace, "a", is_resumed(2, "Failed"))
    assert body["status"]["uuid"] == first["status"]["uuid"]
    env = {"KUBECONFIG": str(control_plane.kubeconfig), "OPSTRAND_PROJECT": namespace}
    done = await asyncio.to_thread(run_opstrand, "resume", "a", env=env)
    assert (done.code, done.stderr) == (0, "a: resumed\n")
    await wait_for(kube, namespace, "a", lambda one: one["status"].get("attempt") == 2)
    refused = await asyncio.to_thread(run_opstrand, "resume", "a", env=env)
    assert refused.code == 2
    assert "'a' has not ended" in refused.stderr
    await end_pod(kube, namespace, "a", 2, 0)
    body = await wait_for(kube, namespace, "a", is_resumed(3))
    story = [one["status"] for one in body["status"]["history"]]
    assert (story.count("resuming"), story.count("failed"), story[-1]) == (2, 2, "succeeded")
    pods = (await kube.list(PODS, namespace))[0]
    assert sorted(one["metadata"]["name"][-1] for one in pods) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("before", "order", "expected"),
    [
        ({"resume": 2}, {"resume": 1}, "control.resume only grows"),
        ({"resume": 2}, {}, "control.resume only grows"),
        ({}, {"resume": 1, "stop": True}, "would end it at once"),
        ({}, {"resume": 1, "skip": True}, "would end it at once"),
    ],
)
async def test_the_cluster_refuses_an_order_that_makes_no_sense(
    kube: KubeApi,
    namespace: str,
    before: dict[str, Any],
    order: dict[str, Any],
    expected: str,
) -> None:
    spec = {"control": {**before, "stop": True}}
    await kube.create(OPERATIONS, namespace, operation("a", spec))
    await wait_for(kube, namespace, "a", in_phase("Stopped"))
    with pytest.raises(Invalid) as refused:
        await control(kube, namespace, "a", **order)
    assert expected in refused.value.server_message


async def test_a_pipeline_runs_what_did_not_succeed_again(kube: KubeApi, namespace: str) -> None:
    job = operation("x")["spec"]["component"]
    operations = [
        {"name": "a", "component": job},
        {"name": "b", "component": job, "dependencies": ["a"]},
        {"name": "c", "component": job, "dependencies": ["b"]},
    ]
    made = operation("p", {"component": {"run": {"kind": "dag", "operations": operations}}})
    body = await kube.create(OPERATIONS, namespace, made)
    uuid = run_uuid(body["metadata"]["uid"])
    a, b, c = (child_name("p", uuid, key) for key in "abc")
    for name, code in ((a, 0), (b, 1)):
        await wait_for_run(kube, namespace, name)
        await end_pod(kube, namespace, name, 0, code)
    body = await wait_for(kube, namespace, "p", in_phase("Failed"))
    assert body["status"]["children"]["states"] == "sfu"
    first = await kube.get(OPERATIONS, namespace, a)
    await control(kube, namespace, "p", resume=1)
    await end_pod(kube, namespace, b, 1, 0)
    await wait_for_run(kube, namespace, c)
    await end_pod(kube, namespace, c, 0, 0)
    body = await wait_for(kube, namespace, "p", is_resumed(1))
    assert body["status"]["children"]["states"] == "sss"
    assert (await kube.get(OPERATIONS, namespace, a))["status"] == first["status"]


async def wait_for_run(kube: KubeApi, namespace: str, name: str) -> None:
    """Wait until a pipeline has made this run."""
    async with asyncio.timeout(60):
        while True:
            found, _ = await kube.list(OPERATIONS, namespace)
            if any(one["metadata"]["name"] == name for one in found):
                return
            await asyncio.sleep(0.05)


async def test_a_live_run_is_not_resumed(kube: KubeApi, namespace: str) -> None:
    await kube.create(OPERATIONS, namespace, operation("a"))
    await wait_for(kube, namespace, "a", in_phase("Starting"))
    with pytest.raises(Invalid) as refused:
        await control(kube, namespace, "a", resume=1)
    assert "the run has not ended" in refused.value.server_message


async def test_a_stopped_service_serves_again(kube: KubeApi, namespace: str) -> None:
    async with KubeletStandIn(kube):
        await kube.create(OPERATIONS, namespace, service("web"))
        first = await wait_for(kube, namespace, "web", in_phase("Running"))
        await control(kube, namespace, "web", stop=True)
        await wait_for(kube, namespace, "web", in_phase("Stopped"))
        await control(kube, namespace, "web", resume=1)
        body = await wait_for(kube, namespace, "web", is_resumed(1, "Running"))
        assert body["status"]["service"]["name"] == first["status"]["service"]["name"]
        assert run_uuid(body["metadata"]["uid"]) == first["status"]["uuid"]
        await control(kube, namespace, "web", resume=1, stop=True)
        await wait_for(kube, namespace, "web", in_phase("Stopped"))
