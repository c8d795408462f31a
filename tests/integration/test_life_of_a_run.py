"""The life of a run against a real API server: phases, conditions, history, failures, stop,
adoption, lost Pods.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import CONFIG_MAPS, OPERATIONS, PODS, Resource
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, operation, pod_of, run_kubectl, wait_for
from tests.support.kubelet_stand_in import ended, mark, running
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.usefixtures("operator")
STARTED = "2026-01-01T00:00:00Z"


async def start(
    kube: KubeApi, namespace: str, name: str = "run", spec: dict[str, Any] | None = None
) -> tuple[Manifest, Manifest]:
    await kube.create(OPERATIONS, namespace, operation(name, spec))
    body = await wait_for(kube, namespace, name, in_phase("Starting"))
    return body, await pod_of(kube, namespace, body)


def conditions(body: Manifest) -> dict[str, str]:
    return {one["type"]: one["status"] for one in body["status"]["conditions"]}


async def test_a_run_that_succeeds_has_its_whole_history(
    control_plane: ControlPlane, kube: KubeApi, namespace: str
) -> None:
    body, pod = await start(
        kube, namespace, spec={"params": {"x": {"value": 1, "contextOnly": True}}}
    )
    assert body["status"]["inputs"] == {"x": 1}
    assert pod["metadata"]["ownerReferences"][0]["uid"] == body["metadata"]["uid"]
    pod = await mark(kube, pod, running(STARTED))
    body = await wait_for(kube, namespace, "run", in_phase("Running"))
    assert body["status"]["pod"]["uid"] == pod["metadata"]["uid"]
    assert conditions(body) == {
        "Accepted": "True",
        "RefsResolved": "True",
        "Running": "True",
        "Ready": "False",
    }
    await mark(kube, pod, ended(0, STARTED))
    body = await wait_for(kube, namespace, "run", in_phase("Succeeded"))
    assert conditions(body) == {
        "Accepted": "True",
        "RefsResolved": "True",
        "Running": "False",
        "Succeeded": "True",
        "Finished": "True",
        "Ready": "True",
    }
    assert [one["status"] for one in body["status"]["history"]] == [
        "created",
        "starting",
        "running",
        "succeeded",
    ]
    assert body["status"]["duration"] > 0
    shown = body["status"]["elapsed"]
    assert re.fullmatch(r"(\d+[dhms]){1,2}", shown)
    plane, where = control_plane.kubeconfig, ("-n", namespace)
    row = run_kubectl(plane, *where, "get", "op", "run", "--no-headers").stdout.split()
    assert shown in row
    ready = ("wait", "op/run", "--for=condition=Ready", "--timeout=1s")
    assert "condition met" in run_kubectl(plane, *where, *ready).stdout


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (
            ended(3, STARTED, "ValueError: no such file"),
            "ContainerFailed",
            "exit code 3: ValueError: no such file",
        ),
        (ended(137, STARTED), "ContainerFailed", "exit code 137"),
    ],
)
async def test_a_run_that_fails_says_why(
    kube: KubeApi, namespace: str, status: dict[str, Any], reason: str, words: str
) -> None:
    _, pod = await start(kube, namespace)
    await mark(kube, pod, status)
    body = await wait_for(kube, namespace, "run", in_phase("Failed"))
    assert (body["status"]["reason"], body["status"]["message"]) == (reason, words)


async def test_a_run_whose_start_the_cluster_does_not_keep_fails_with_the_message(
    kube: KubeApi, namespace: str
) -> None:
    """Before, the run was retried without end and without a message."""
    await kube.create(
        OPERATIONS, namespace, operation("run", {"tags": [f"t{number}" for number in range(1001)]})
    )
    body = await wait_for(kube, namespace, "run", in_phase("Failed"))
    assert body["status"]["reason"] == "InvalidSpec"
    assert "status.tags: Too many: 1001: must have at most 1000 items" in body["status"]["message"]
    assert (await kube.list(PODS, namespace))[0] == []


async def test_the_log_has_a_line_for_each_run_that_ended_and_none_else(
    kube: KubeApi, namespace: str, operator: OperatorProcess
) -> None:
    for name, code in {"good": 0, "bad": 3}.items():
        _, pod = await start(kube, namespace, name)
        await mark(kube, pod, ended(code, STARTED))
        await wait_for(kube, namespace, name, in_phase("Succeeded", "Failed"))
    await asyncio.sleep(0.3)
    lines = [json.loads(line) for line in operator.read_log().splitlines() if namespace in line]
    told = [
        {key: line.get(key) for key in ("run", "project", "phase", "reason", "level")}
        for line in lines
    ]
    assert told == [
        {
            "run": "good",
            "project": namespace,
            "phase": "Succeeded",
            "reason": "Succeeded",
            "level": "info",
        },
        {
            "run": "bad",
            "project": namespace,
            "phase": "Failed",
            "reason": "ContainerFailed",
            "level": "info",
        },
    ]


async def test_an_image_that_cannot_be_pulled_shows_in_the_reason_and_is_written_once(
    kube: KubeApi, namespace: str
) -> None:
    _, pod = await start(kube, namespace)
    waiting = {"name": "main", "image": "nope", "imageID": "", "ready": False, "restartCount": 0}
    for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull"):
        state = {
            "state": {"waiting": {"reason": reason, "message": f"{reason}: pull access denied"}}
        }
        pod = await mark(
            kube, pod, {"phase": "Pending", "containerStatuses": [{**waiting, **state}]}
        )
        body = await wait_for(
            kube, namespace, "run", lambda one: one["status"]["reason"] == "ImagePullFailed"
        )
    assert "ErrImagePull: pull access denied" in body["status"]["message"]
    assert [one["reason"] for one in body["status"]["history"]] == [
        "Created",
        "PodCreated",
        "ImagePullFailed",
    ]
    await mark(kube, pod, running(STARTED))
    await wait_for(kube, namespace, "run", in_phase("Running"))


async def test_an_image_name_that_is_none_ends_the_run(kube: KubeApi, namespace: str) -> None:
    _, pod = await start(kube, namespace)
    state = {"waiting": {"reason": "InvalidImageName", "message": "couldn't parse image name"}}
    container = {
        "name": "main",
        "image": "!",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
    }
    await mark(kube, pod, {"phase": "Pending", "containerStatuses": [container]})
    body = await wait_for(kube, namespace, "run", in_phase("Failed"))
    assert body["status"]["reason"] == "ImagePullFailed"


async def test_a_stopped_run_that_started_is_given_its_grace(kube: KubeApi, namespace: str) -> None:
    _, pod = await start(kube, namespace)
    pod = await mark(kube, pod, running(STARTED))
    await wait_for(kube, namespace, "run", in_phase("Running"))
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "run",
        [{"op": "add", "path": "/spec/control", "value": {"stop": True}}],
    )
    await wait_for(kube, namespace, "run", in_phase("Stopping"))
    for _ in range(3000):
        pod = await kube.get(PODS, namespace, pod["metadata"]["name"])
        if pod["spec"].get("activeDeadlineSeconds") == 1:
            break
        await asyncio.sleep(0.02)
    assert pod["spec"]["activeDeadlineSeconds"] == 1
    await mark(kube, pod, ended(143, STARTED, reason="DeadlineExceeded"))
    body = await wait_for(kube, namespace, "run", in_phase("Stopped"))
    assert body["status"]["reason"] == "Stopped"


async def test_if_main_ended_first_its_result_wins_over_a_stop(
    kube: KubeApi, namespace: str
) -> None:
    _, pod = await start(kube, namespace)
    pod = await mark(kube, pod, running(STARTED))
    # A Pod that has not started, as far as the operator knows, would be deleted at once.
    await wait_for(kube, namespace, "run", in_phase("Running"))
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "run",
        [{"op": "add", "path": "/spec/control", "value": {"stop": True}}],
    )
    await wait_for(kube, namespace, "run", in_phase("Stopping"))
    pod = await kube.get(PODS, namespace, pod["metadata"]["name"])
    await mark(kube, pod, ended(0, STARTED))
    await wait_for(kube, namespace, "run", in_phase("Succeeded"))


async def test_a_stopped_run_that_never_started_loses_its_pod(
    kube: KubeApi, namespace: str
) -> None:
    _, pod = await start(kube, namespace)
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "run",
        [{"op": "add", "path": "/spec/control", "value": {"stop": True}}],
    )
    await wait_for(kube, namespace, "run", in_phase("Stopped"))
    with pytest.raises(NotFound):
        await kube.get(PODS, namespace, pod["metadata"]["name"])


async def test_a_run_stopped_before_it_is_validated_makes_no_pod(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("run", {"control": {"stop": True}}))
    await wait_for(kube, namespace, "run", in_phase("Stopped"))
    assert (await kube.list(PODS, namespace))[0] == []


async def test_a_pod_that_vanishes_is_tried_again_and_charged_to_the_platform(
    kube: KubeApi, namespace: str
) -> None:
    body, pod = await start(kube, namespace)
    await mark(kube, pod, running(STARTED))
    await wait_for(kube, namespace, "run", in_phase("Running"))
    # Use force: there is no kubelet here to confirm the deletion.
    await kube._json(
        "DELETE",
        PODS.path(namespace, pod["metadata"]["name"]),
        what="force",
        body={"gracePeriodSeconds": 0},
    )
    body = await wait_for(
        kube,
        namespace,
        "run",
        lambda one: one["status"].get("attempt") == 1 and one["status"]["phase"] == "Starting",
    )
    assert body["status"]["retries"] == {"failures": 0, "disruptions": 1}
    pod = await pod_of(kube, namespace, body)
    assert pod["metadata"]["name"].endswith("-1")
    await mark(kube, pod, ended(0, STARTED))
    await wait_for(kube, namespace, "run", in_phase("Succeeded"))


async def test_a_failure_is_retried_as_often_as_the_user_said(
    kube: KubeApi, namespace: str
) -> None:
    body, pod = await start(kube, namespace, spec={"termination": {"maxRetries": 1}})
    await mark(kube, pod, ended(1, STARTED))
    body = await wait_for(kube, namespace, "run", in_phase("Retrying"))
    assert body["status"]["retries"]["failures"] == 1
    body = await wait_for(kube, namespace, "run", in_phase("Starting"))
    pod = await pod_of(kube, namespace, body)
    await mark(kube, pod, ended(1, STARTED))
    await wait_for(kube, namespace, "run", in_phase("Failed"))


async def test_a_pod_of_ours_that_is_there_already_is_adopted(
    kube: KubeApi, namespace: str, operator: OperatorProcess
) -> None:
    """The operator died after the POST and before its answer."""
    _, pod = await start(kube, namespace)
    operator.kill()
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "run",
        [{"op": "replace", "path": "/status/message", "value": "as it was"}],
        subresource="status",
    )
    operator.start()
    operator.wait_until_started()
    await mark(kube, pod, ended(0, STARTED))
    await wait_for(kube, namespace, "run", in_phase("Succeeded"))
    assert len((await kube.list(PODS, namespace))[0]) == 1


async def test_a_foreign_pod_of_its_name_is_a_name_conflict(
    kube: KubeApi, namespace: str, operator: OperatorProcess
) -> None:
    operator.kill()
    try:
        body = await kube.create(OPERATIONS, namespace, operation("run"))
        name = f"run-{body['metadata']['uid'].replace('-', '')[:8]}-0"
        container = {"name": "main", "image": "x"}
        foreign = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": [container]},
        }
        await kube.create(PODS, namespace, foreign)
    finally:
        operator.start()
        operator.wait_until_started()
    body = await wait_for(kube, namespace, "run", in_phase("Failed"))
    assert body["status"]["reason"] == "NameConflict"


async def test_long_init_files_travel_in_a_config_map_of_the_run(
    kube: KubeApi, namespace: str
) -> None:
    step = {"file": {"filename": "big.txt", "content": "line of text\n" * 20_000}}
    container = {"image": "busybox", "command": ["true"]}
    body, pod = await start(
        kube,
        namespace,
        spec={"component": {"run": {"kind": "job", "init": [step], "container": container}}},
    )
    config_map = await kube.get(CONFIG_MAPS, namespace, pod["metadata"]["name"])
    assert config_map["metadata"]["ownerReferences"][0]["uid"] == body["metadata"]["uid"]
    assert any(
        volume.get("configMap", {}).get("name") == pod["metadata"]["name"]
        for volume in pod["spec"]["volumes"]
    )


async def test_what_the_api_server_refuses_of_a_pod_is_reported_in_its_words(
    kube: KubeApi, namespace: str
) -> None:
    container = {
        "image": "busybox",
        "command": ["true"],
        "resources": {"requests": {"cpu": "much"}},
    }
    await kube.create(
        OPERATIONS,
        namespace,
        operation("run", {"component": {"run": {"kind": "job", "container": container}}}),
    )
    body = await wait_for(kube, namespace, "run", in_phase("Failed"))
    assert body["status"]["reason"] in ("PodRefused", "InvalidSpec")
    assert "much" in body["status"]["message"] or "quantit" in body["status"]["message"]


async def test_quota_is_waited_for(kube: KubeApi, namespace: str) -> None:
    quotas = Resource("", "v1", "resourcequotas", "ResourceQuota")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    await kube.create(quotas, namespace, quota)
    for _ in range(1200):
        if (await kube.get(quotas, namespace, "none")).get("status", {}).get("hard"):
            break
        await asyncio.sleep(0.05)
    await kube.create(OPERATIONS, namespace, operation("run"))
    body = await wait_for(
        kube,
        namespace,
        "run",
        lambda one: (one.get("status") or {}).get("reason") == "QuotaExceeded",
    )
    assert "exceeded quota" in body["status"]["message"]
    await kube.delete(quotas, namespace, "none")
    await wait_for(kube, namespace, "run", lambda one: one["status"]["reason"] == "PodCreated")


async def test_pod_security_is_the_users_fault(kube: KubeApi, namespace: str) -> None:
    label = [
        {
            "op": "add",
            "path": "/metadata/labels/pod-security.kubernetes.io~1enforce",
            "value": "restricted",
        }
    ]
    from opstrand.kube.resources import NAMESPACES

    await kube.json_patch(NAMESPACES, None, namespace, label)
    await kube.create(OPERATIONS, namespace, operation("loose"))
    body = await wait_for(kube, namespace, "loose", in_phase("Failed"))
    assert body["status"]["reason"] == "PodRefused"
    assert "violates PodSecurity" in body["status"]["message"]


async def test_a_container_that_meets_the_restricted_level_keeps_meeting_it(
    kube: KubeApi, namespace: str
) -> None:
    from opstrand.kube.resources import NAMESPACES

    label = [
        {
            "op": "add",
            "path": "/metadata/labels/pod-security.kubernetes.io~1enforce",
            "value": "restricted",
        }
    ]
    await kube.json_patch(NAMESPACES, None, namespace, label)
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"image": "busybox", "command": ["true"], "securityContext": security}
    _, pod = await start(
        kube, namespace, spec={"component": {"run": {"kind": "job", "container": container}}}
    )
    assert pod["spec"]["initContainers"][0]["securityContext"]["runAsUser"] == 1000


async def test_an_object_restored_from_a_backup_is_not_run_again(
    kube: KubeApi, namespace: str
) -> None:
    await kube.create(
        OPERATIONS, namespace, operation("run", labels={"velero.io/restore-name": "monday"})
    )
    body = await wait_for(kube, namespace, "run", in_phase("Stopped"))
    assert body["status"]["reason"] == "Restored"


async def test_what_a_run_owns_goes_with_it(kube: KubeApi, namespace: str) -> None:
    _, pod = await start(kube, namespace)
    await kube.delete(OPERATIONS, namespace, "run")
    for _ in range(1200):  # the garbage collector discovers new kinds every half minute
        try:
            found = await kube.get(PODS, namespace, pod["metadata"]["name"])
        except NotFound:
            return
        if found["metadata"].get("deletionTimestamp"):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the Pod outlives its run")


async def test_a_pod_goes_after_its_time_though_nothing_ever_happens_to_it_again(
    kube: KubeApi, namespace: str
) -> None:
    """After the final status neither the run nor its Pod has another event.

    The second run's time is changed by then.
    """
    _, short = await start(kube, namespace, "short", {"termination": {"ttl": 1}})
    _, changed = await start(kube, namespace, "changed")
    for name, pod in (("short", short), ("changed", changed)):
        await mark(kube, pod, ended(0, STARTED))
        await wait_for(kube, namespace, name, in_phase("Succeeded"))
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "changed",
        [{"op": "add", "path": "/spec/termination", "value": {"ttl": 0}}],
    )
    for pod in (short, changed):
        assert await is_taken_away(kube, pod)


async def is_taken_away(kube: KubeApi, pod: Manifest) -> bool:
    """Return whether the Pod is gone or marked: without a kubelet no deletion is confirmed."""
    for _ in range(400):
        try:
            if (
                "deletionTimestamp"
                in (await kube.get(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"]))[
                    "metadata"
                ]
            ):
                return True
        except NotFound:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_foreground_deletion_takes_the_pod_and_no_other_is_made(
    kube: KubeApi, namespace: str
) -> None:
    """Argo CD deletes this way: the Operation stays until its Pod is gone."""
    _, pod = await start(kube, namespace)
    await mark(kube, pod, running(STARTED))
    await wait_for(kube, namespace, "run", in_phase("Running"))
    # A finalizer of another controller keeps it for longer still.
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "run",
        [{"op": "add", "path": "/metadata/finalizers", "value": ["test/keep"]}],
    )
    body = {"propagationPolicy": "Foreground"}
    await kube._json(
        "DELETE", OPERATIONS.path(namespace, "run"), what="delete in the foreground", body=body
    )
    with suppress(NotFound):  # the garbage collector may be first
        await kube._json(
            "DELETE",
            PODS.path(namespace, pod["metadata"]["name"]),
            what="force",
            body={"gracePeriodSeconds": 0},
        )
    body = await wait_for(kube, namespace, "run", in_phase("Stopped"))
    assert (body["status"]["reason"], body["status"]["message"]) == (
        "Stopped",
        "its Operation is being deleted",
    )
    await asyncio.sleep(2)  # another attempt would start after one second
    assert (await kube.list(PODS, namespace))[0] == []
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "run",
        [{"op": "replace", "path": "/metadata/finalizers", "value": []}],
    )


LIMIT_RANGE = {"limits": [{"type": "Container", "max": {"cpu": "2", "memory": "2Gi"}}]}


@pytest.mark.parametrize(
    ("run", "extra", "words"),
    [
        (
            {"environment": {"priorityClassName": "absent"}},
            None,
            "no PriorityClass with name absent was found",
        ),
        (
            {"environment": {"priority": 7}},
            None,
            "the integer value of priority (7) must not be provided in pod spec",
        ),
        (
            {"limits": {"cpu": "3", "memory": "3Gi"}},
            ("limitranges", "LimitRange", LIMIT_RANGE),
            "maximum memory usage per Container is 2Gi",
        ),
        (
            {},
            ("resourcequotas", "ResourceQuota", {"hard": {"requests.cpu": "4"}}),
            "must specify requests.cpu for: main",
        ),
    ],
    ids=["priority class", "priority", "limits of the namespace", "quota that wants requests"],
)
async def test_whatever_admission_refuses_is_reported_at_once_and_in_its_words(
    kube: KubeApi,
    namespace: str,
    run: dict[str, Any],
    extra: tuple[str, str, dict[str, Any]] | None,
    words: str,
) -> None:
    if extra is not None:
        resource = Resource("", "v1", extra[0], extra[1])
        made = await kube.create(
            resource, namespace, {"metadata": {"name": "small"}, "spec": extra[2]}
        )
        while extra[0] == "resourcequotas" and not made.get("status", {}).get("hard"):
            await asyncio.sleep(0.05)
            made = await kube.get(resource, namespace, "small")
    container = {
        "image": "busybox",
        "command": ["true"],
        **({"resources": {"limits": run.pop("limits")}} if "limits" in run else {}),
    }
    await kube.create(
        OPERATIONS,
        namespace,
        operation("run", {"component": {"run": {"kind": "job", "container": container, **run}}}),
    )
    body = await wait_for(kube, namespace, "run", in_phase("Failed"))
    assert body["status"]["reason"] == "PodRefused"
    assert words in body["status"]["message"]


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_what_a_webhook_put_beside_main_neither_hides_its_end_nor_outlives_it(
    kube: KubeApi, namespace: str, code: int, phase: str
) -> None:
    """A mesh's proxy does not end by itself: the Pod's phase stays Running."""
    _, pod = await start(kube, namespace)
    proxy = {
        "name": "istio-proxy",
        "image": "x",
        "imageID": "x",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {}},
    }
    status = ended(code, STARTED, "boom")
    await mark(
        kube,
        pod,
        {**status, "phase": "Running", "containerStatuses": [*status["containerStatuses"], proxy]},
    )
    body = await wait_for(kube, namespace, "run", in_phase(phase))
    assert body["status"]["message"] == ("exit code 3: boom" if code else "")
    for _ in range(1200):
        pod = await kube.get(PODS, namespace, pod["metadata"]["name"])
        if pod["spec"].get("activeDeadlineSeconds") == 1:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the Pod goes on, and holds what it asked for")


NEVER = {"params": {"p": {"ref": "ops.never", "value": "outputs.x", "contextOnly": True}}}
#: Phase -> what leads a run into it: its spec, and how its Pod ends or runs (None: it has none
#: yet).
INTO: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "Waiting": (NEVER, None),
    "Starting": ({}, {}),
    "Running": ({}, running(STARTED)),
    "Retrying": ({"termination": {"maxRetries": 9}}, ended(1, STARTED)),
}


async def lead_into_every_phase(kube: KubeApi, namespace: str) -> list[str]:
    for phase, (spec, status) in INTO.items():
        name = phase.lower()
        if status is None:
            await kube.create(OPERATIONS, namespace, operation(name, spec))
        else:
            _, pod = await start(kube, namespace, name, spec)
            if status:
                await mark(kube, pod, status)
        await wait_for(kube, namespace, name, in_phase(phase))
    return [phase.lower() for phase in INTO]


async def test_a_stop_ends_a_run_in_every_phase(kube: KubeApi, namespace: str) -> None:
    names = await lead_into_every_phase(kube, namespace)
    for name in names:
        await kube.json_patch(
            OPERATIONS,
            namespace,
            name,
            [{"op": "add", "path": "/spec/control", "value": {"stop": True}}],
        )
    going = await wait_for(kube, namespace, "running", in_phase("Stopping"))
    await mark(
        kube, await pod_of(kube, namespace, going), ended(143, STARTED, reason="DeadlineExceeded")
    )
    for name in names:
        body = await wait_for(kube, namespace, name, in_phase("Stopped"))
        assert body["status"]["reason"] == "Stopped"
    pods, _ = await kube.list(PODS, namespace)
    assert {pod["status"]["phase"] for pod in pods} <= {"Failed"}, "nothing runs or starts"


async def test_a_run_that_is_deleted_in_any_phase_leaves_nothing_and_begins_nothing(
    kube: KubeApi, namespace: str
) -> None:
    for name in await lead_into_every_phase(kube, namespace):
        await kube.delete(OPERATIONS, namespace, name)
    for _ in range(1200):  # the garbage collector discovers new kinds every half minute
        pods, _version = await kube.list(PODS, namespace)
        if all("deletionTimestamp" in pod["metadata"] for pod in pods):
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)  # another attempt would start after one second
    pods, _version = await kube.list(PODS, namespace)
    assert [
        pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]
    ] == []
