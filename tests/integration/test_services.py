"""A run of kind service against real controllers: they make the Pods of its Deployment, and the
test decides what happens to these.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core.names import UUID_LABEL, run_uuid, service_name
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import DEPLOYMENTS, OPERATIONS, PODS, SERVICES, Resource
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import (
    OPERATOR_USER,
    in_phase,
    make_namespace,
    operation,
    service,
    start_operator,
    wait_for,
)
from tests.support.audit import count_requests
from tests.support.kubelet_stand_in import KubeletStandIn, mark, running
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.usefixtures("operator")


@pytest_asyncio.fixture(loop_scope="session")
async def kubelet(kube: KubeApi) -> AsyncIterator[None]:
    async with KubeletStandIn(kube):
        yield


async def pods_of(kube: KubeApi, namespace: str, body: Manifest, count: int = 1) -> list[Manifest]:
    """Return the replicas that are not being deleted, once there are this many."""
    for _ in range(1200):  # the garbage collector discovers new kinds every half minute
        items, _version = await kube.list(
            PODS, namespace, labels=f"{UUID_LABEL}={run_uuid(body['metadata']['uid'])}"
        )
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
    await kube.json_patch(
        OPERATIONS,
        namespace,
        name,
        [{"op": "add", "path": "/spec/control", "value": {"stop": True}}],
    )


def crashed(code: int, restarts: int, words: str = "") -> dict[str, Any]:
    end = {
        "exitCode": code,
        "reason": "Error",
        "message": words,
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:01Z",
    }
    main = {
        "name": "main", "image": "x", "imageID": "x", "ready": False, "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": end},
    }  # fmt: skip
    return {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [main],
    }


@pytest.mark.usefixtures("kubelet")
async def test_a_service_runs_while_its_replicas_serve_and_goes_when_it_is_stopped(
    kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    offset = control_plane.audit_log.stat().st_size
    body = await kube.create(OPERATIONS, namespace, service("web", {"replicas": 2}))
    body = await wait_for(
        kube,
        namespace,
        "web",
        lambda one: in_phase("Running")(one) and len(one["status"]["service"]["pods"]) == 2,
    )
    pods = await pods_of(kube, namespace, body, 2)
    status = body["status"]
    assert status["kind"] == "service"
    assert status["service"]["host"] == f"{name_of(body)}.{namespace}"
    assert {(one["name"], one["uid"]) for one in status["service"]["pods"]} == {
        (p["metadata"]["name"], p["metadata"]["uid"]) for p in pods
    }
    assert status["pod"]["name"] in {pod["metadata"]["name"] for pod in pods}
    await asyncio.sleep(1)
    requests = count_requests(
        control_plane.audit_log, OPERATOR_USER, after=offset, namespace=namespace
    )
    assert requests.pop(("patch", "operations/status", 200)) <= 3
    assert requests == {("create", "deployments", 201): 1, ("create", "services", 201): 1}
    await stop(kube, namespace, "web")
    body = await wait_for(kube, namespace, "web", in_phase("Stopped"))
    assert body["status"]["reason"] == "Stopped"
    assert await is_gone(kube, namespace, body)
    assert await pods_of(kube, namespace, body, 0) == []


async def test_a_crash_is_reported_once_and_the_service_comes_back(
    kube: KubeApi, namespace: str
) -> None:
    body = await kube.create(OPERATIONS, namespace, service("web"))
    (pod,) = await pods_of(kube, namespace, body)
    pod = await mark(kube, pod, crashed(3, 0, "no such table"))
    body = await wait_for(kube, namespace, "web", in_phase("Retrying"))
    assert (body["status"]["reason"], body["status"]["pod"]["uid"]) == (
        "ContainerFailed",
        pod["metadata"]["uid"],
    )
    assert body["status"]["message"] == "exit code 3: no such table; Kubernetes starts it again"
    for restarts in (1, 2, 3):
        pod = await mark(kube, pod, crashed(3, restarts, "no such table"))
    pod = await mark(kube, pod, running("2026-01-01T00:00:00Z"))
    body = await wait_for(kube, namespace, "web", in_phase("Running"))
    assert [entry["status"] for entry in body["status"]["history"]] == [
        "created",
        "starting",
        "retrying",
        "running",
    ]


async def test_used_up_retries_end_a_service(kube: KubeApi, namespace: str) -> None:
    body = await kube.create(OPERATIONS, namespace, service("web", termination={"maxRetries": 1}))
    (pod,) = await pods_of(kube, namespace, body)
    await mark(kube, pod, crashed(3, 1, "no such table"))
    body = await wait_for(kube, namespace, "web", in_phase("Failed"))
    assert (body["status"]["reason"], "no such table" in body["status"]["message"]) == (
        "ContainerFailed",
        True,
    )
    assert await is_gone(kube, namespace, body)


@pytest.mark.usefixtures("kubelet")
async def test_a_service_is_stopped_after_its_timeout(kube: KubeApi, namespace: str) -> None:
    await kube.create(OPERATIONS, namespace, service("web", termination={"timeout": 2}))
    body = await wait_for(kube, namespace, "web", in_phase("Stopped"))
    assert body["status"]["reason"] == "DeadlineExceeded"
    assert await is_gone(kube, namespace, body)


@pytest.mark.usefixtures("kubelet")
async def test_a_deployment_that_a_person_deletes_is_made_again(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, service("web"))
    body = await wait_for(kube, namespace, "web", in_phase("Running"))
    first = await kube.get(DEPLOYMENTS, namespace, name_of(body))
    await kube.delete(DEPLOYMENTS, namespace, name_of(body))
    body = await wait_for(kube, namespace, "web", has_reason("DeploymentLost"))
    assert body["status"]["phase"] == "Retrying"
    body = await wait_for(kube, namespace, "web", in_phase("Running"))
    assert body["status"]["retries"] == {"failures": 0, "disruptions": 1}
    assert (await kube.get(DEPLOYMENTS, namespace, name_of(body)))["metadata"]["uid"] != first[
        "metadata"
    ]["uid"]


async def test_a_service_object_that_a_person_deletes_is_made_again(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> None:
    """There is no watch on Services: the operator polls them, here every second."""
    kube, namespace = quiet_kube, await make_namespace(quiet_kube, "deleted-service")
    own = start_operator(
        quiet_plane, tmp_path, namespaces=namespace, pending_grace=1, relist_interval=1
    )
    try:
        async with KubeletStandIn(kube):
            await kube.create(OPERATIONS, namespace, service("web"))
            body = await wait_for(kube, namespace, "web", in_phase("Running"))
            (pod,) = await pods_of(kube, namespace, body)
            first = await kube.get(SERVICES, namespace, name_of(body))
            await kube.delete(SERVICES, namespace, name_of(body))
            again = await made_again(kube, namespace, name_of(body))
            assert again["spec"]["selector"] == first["spec"]["selector"]
            assert again["metadata"]["ownerReferences"] == first["metadata"]["ownerReferences"]
            after = await kube.get(OPERATIONS, namespace, "web")
            assert (after["status"]["phase"], after["status"].get("retries")) == ("Running", None)
            assert [one["metadata"]["uid"] for one in await pods_of(kube, namespace, body)] == [
                pod["metadata"]["uid"]
            ]
    finally:
        assert own.stop() == 0
        print(own.read_log()[-4000:])


async def made_again(kube: KubeApi, namespace: str, name: str) -> Manifest:
    for _ in range(400):
        try:
            return await kube.get(SERVICES, namespace, name)
        except NotFound:
            await asyncio.sleep(0.05)
    raise AssertionError("the Service is still gone")


@pytest.mark.usefixtures("kubelet")
async def test_a_pod_that_a_person_deletes_is_another_replica_and_nothing_more(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, service("web"))
    body = await wait_for(kube, namespace, "web", in_phase("Running"))
    gone = body["status"]["pod"]
    await kube.delete(PODS, namespace, gone["name"])
    body = await wait_for(
        kube,
        namespace,
        "web",
        lambda one: in_phase("Running")(one) and one["status"]["pod"]["uid"] != gone["uid"],
    )
    assert [one["uid"] for one in body["status"]["service"]["pods"]] == [
        body["status"]["pod"]["uid"]
    ]
    assert "retries" not in body["status"]


async def test_a_foreign_object_of_the_name_is_left_alone(
    kube: KubeApi, namespace: str, operator: OperatorProcess
) -> None:
    # The name is known once the run has a uid: the operator is kept from looking until the foreign
    # object exists.
    operator.kill()
    body = await kube.create(OPERATIONS, namespace, service("web"))
    selector = {"a": "b"}
    template = {
        "metadata": {"labels": selector},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": selector}, "template": template}
    await kube.create(DEPLOYMENTS, namespace, {"metadata": {"name": name_of(body)}, "spec": spec})
    operator.start()
    operator.wait_until_started()
    body = await wait_for(kube, namespace, "web", in_phase("Failed"))
    assert body["status"]["reason"] == "NameConflict"
    assert (await kube.get(DEPLOYMENTS, namespace, name_of(body)))["spec"]["replicas"] == 0
    with pytest.raises(NotFound):
        await kube.get(SERVICES, namespace, name_of(body))


async def test_pods_that_the_cluster_refuses_are_reported_though_a_controller_makes_them(
    kube: KubeApi, namespace: str
) -> None:
    quotas = Resource("", "v1", "resourcequotas", "ResourceQuota")
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    await kube.create(quotas, namespace, quota)
    await kube.create(OPERATIONS, namespace, service("web"))
    body = await wait_for(kube, namespace, "web", has_reason("QuotaExceeded"))
    assert body["status"]["phase"] == "Starting"
    assert "exceeded quota: none" in body["status"]["message"]
    await stop(kube, namespace, "web")
    body = await wait_for(kube, namespace, "web", in_phase("Stopped"))
    assert await is_gone(kube, namespace, body)


async def test_a_service_that_is_deleted_leaves_nothing(kube: KubeApi, namespace: str) -> None:
    body = await kube.create(OPERATIONS, namespace, service("web"))
    await pods_of(kube, namespace, body)
    await kube.delete(OPERATIONS, namespace, "web")
    await pods_of(kube, namespace, body, 0)
    for _ in range(600):
        if await is_gone(kube, namespace, body):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("its objects are still there")


@pytest.mark.usefixtures("kubelet")
async def test_an_operator_that_comes_back_finds_its_service_and_makes_none(
    kube: KubeApi, namespace: str, operator: OperatorProcess, control_plane: ControlPlane
) -> None:
    await kube.create(OPERATIONS, namespace, service("web", {"replicas": 2}))
    before = await wait_for(
        kube,
        namespace,
        "web",
        lambda one: len(((one.get("status") or {}).get("service") or {}).get("pods") or ()) == 2,
    )
    before = await wait_for(kube, namespace, "web", in_phase("Running"))
    operator.kill()
    await asyncio.sleep(1)  # the audit log is written after the answers
    offset = control_plane.audit_log.stat().st_size
    operator.start()
    operator.wait_until_started()
    await asyncio.sleep(1)
    after = await kube.get(OPERATIONS, namespace, "web")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert (
        count_requests(control_plane.audit_log, OPERATOR_USER, after=offset, namespace=namespace)
        == {}
    )
    operator.kill()
    await stop(kube, namespace, "web")
    operator.start()
    body = await wait_for(kube, namespace, "web", in_phase("Stopped"))
    assert await is_gone(kube, namespace, body)


@pytest.mark.usefixtures("kubelet")
async def test_who_asks_for_a_services_host_waits_until_it_answers(
    kube: KubeApi, namespace: str
) -> None:
    asked = {
        name: {"ref": "ops.web", "value": f"globals.{name}", "contextOnly": True}
        for name in ("host", "ports", "base_url")
    }
    await kube.create(OPERATIONS, namespace, operation("ask", {"params": asked}))
    body = await wait_for(kube, namespace, "ask", in_phase("Waiting"))
    web = await kube.create(OPERATIONS, namespace, service("web"))
    body = await wait_for(kube, namespace, "ask", in_phase("Succeeded"))
    uuid = run_uuid(web["metadata"]["uid"])
    assert body["status"]["inputs"] == {
        "host": f"{name_of(web)}.{namespace}",
        "ports": [8000],
        "base_url": f"/services/v1/{namespace}/default/{namespace}/runs/{uuid}/8000",
    }
    asked = {"host": {"ref": "ops.ask", "value": "globals.host", "contextOnly": True}}
    await kube.create(OPERATIONS, namespace, operation("wrong", {"params": asked}))
    body = await wait_for(kube, namespace, "wrong", in_phase("Failed"))
    assert "is no service" in body["status"]["message"]
