"""A run of kind service against real controllers: they make the Pods of its Deployment, and the test says what becomes of those."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core.names import UUID_LABEL, run_uuid, service_name
from opstrand.kube.api import DEPLOYMENTS, OPERATIONS, PODS, SERVICES, KubeApi, Manifest, NotFound
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, in_phase, operation, wait_for
from tests.support.audit import count_requests
from tests.support.kubelet_stand_in import KubeletStandIn

pytestmark = pytest.mark.usefixtures("operator")
HOLD = {"annotations": {"test/hold": ""}}


def service(name: str, run: dict[str, Any] | None = None, **spec: Any) -> Manifest:
    container = {"image": "busybox", "command": ["httpd", "-f"]}
    made = {"kind": "service", "ports": [8000], "environment": HOLD, "container": container, **(run or {})}
    return operation(name, {"component": {"run": made}, **spec})


@pytest_asyncio.fixture(loop_scope="session")
async def kubelet(kube: KubeApi) -> AsyncIterator[None]:
    async with KubeletStandIn(kube):
        yield


async def pods_of(kube: KubeApi, namespace: str, body: Manifest, count: int = 1) -> list[Manifest]:
    """The replicas that are not being deleted, once there are so many."""
    for _ in range(300):
        items, _version = await kube.list(PODS, namespace, labels=f"{UUID_LABEL}={run_uuid(body['metadata']['uid'])}")
        live = [one for one in items if "deletionTimestamp" not in one["metadata"]]
        if len(live) == count:
            return live
        await asyncio.sleep(0.05)
    raise AssertionError(f"not {count} Pods: {[one['metadata']['name'] for one in items]}")


def name_of(body: Manifest) -> str:
    return service_name(body["metadata"]["name"], run_uuid(body["metadata"]["uid"]))


async def is_gone(kube: KubeApi, namespace: str, body: Manifest) -> bool:
    for resource in (DEPLOYMENTS, SERVICES):
        try:
            await kube.get(resource, namespace, name_of(body))
        except NotFound:
            continue
        return False
    return True


def has_reason(*reasons: str) -> Callable[[Manifest], bool]:
    return lambda body: (body.get("status") or {}).get("reason") in reasons


async def stop(kube: KubeApi, namespace: str, name: str) -> None:
    await kube.json_patch(OPERATIONS, namespace, name, [{"op": "add", "path": "/spec/control", "value": {"stop": True}}])


def crashed(code: int, restarts: int, words: str = "") -> dict[str, Any]:
    end = {"exitCode": code, "reason": "Error", "message": words, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}
    main = {
        "name": "main", "image": "x", "imageID": "x", "ready": False, "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": end},
    }  # fmt: skip
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [main]}


@pytest.mark.usefixtures("kubelet")
async def test_a_service_runs_while_its_replicas_serve_and_goes_when_it_is_stopped(
    kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    offset = control_plane.audit_log.stat().st_size
    body = await kube.create(OPERATIONS, namespace, service("web", {"replicas": 2}))
    body = await wait_for(kube, namespace, "web", lambda one: in_phase("Running")(one) and len(one["status"]["service"]["pods"]) == 2)
    pods = await pods_of(kube, namespace, body, 2)
    status = body["status"]
    assert status["kind"] == "service"
    assert status["service"]["host"] == f"{name_of(body)}.{namespace}"
    assert {(one["name"], one["uid"]) for one in status["service"]["pods"]} == {(p["metadata"]["name"], p["metadata"]["uid"]) for p in pods}
    assert status["pod"]["name"] in {pod["metadata"]["name"] for pod in pods}
    await asyncio.sleep(1)
    requests = count_requests(control_plane.audit_log, OPERATOR_USER, after=offset, namespace=namespace)
    assert requests.pop(("patch", "operations/status", 200)) <= 3
    assert requests == {("create", "deployments", 201): 1, ("create", "services", 201): 1}
    await stop(kube, namespace, "web")
    body = await wait_for(kube, namespace, "web", in_phase("Stopped"))
    assert body["status"]["reason"] == "Stopped"
    assert await is_gone(kube, namespace, body)
    assert await pods_of(kube, namespace, body, 0) == []
