"""Jobs that fail in real containers: volumes, deleted Pods, failure policies, leaked secrets, full
disks.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import OPERATIONS, PODS
from tests.e2e.conftest import (
    describe,
    in_phase,
    is_final,
    kubectl,
    main_log,
    operation,
    succeed,
    wait_for,
)

PLAIN = "localhost/python-base:1"


def job(*command: str, run: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    return {
        "run": {
            "kind": "job",
            "container": {"image": PLAIN, "command": list(command), **container},
            **(run or {}),
        }
    }


def secret_volume(name: str) -> dict[str, Any]:
    return {"volumes": [{"name": "s", "secret": {"secretName": name}}]}


#: Seconds that a program waits before its end: on a busy node the last output of a program that
#: ends at once is lost.
PAUSE = "sleep 4"
FULL = f"dd if=/dev/zero of=/small/f bs=1M count=8 || {{ {PAUSE}; exit 1; }}"
RUNS: dict[str, dict[str, Any]] = {
    "no-volume": {
        "component": job(
            "true", run=secret_volume("absent"), volumeMounts=[{"name": "s", "mountPath": "/s"}]
        )
    },
    "late-volume": {
        "component": job(
            "cat",
            "/s/key",
            run=secret_volume("late"),
            volumeMounts=[{"name": "s", "mountPath": "/s"}],
        )
    },
    "late-variables": {
        "component": job(
            "sh",
            "-c",
            "echo $A $B",
            envFrom=[{"secretRef": {"name": name}} for name in ("first", "second")],
        )
    },
    "fails-for-good": {
        "termination": {
            "maxRetries": 3,
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]
            },
        },
        "component": job("sh", "-c", "exit 42"),
    },
    "goes-soon": {"termination": {"ttl": 1}, "component": job("true")},
    "tells-secrets": {
        "component": job(
            "sh",
            "-c",
            f'echo "cannot log in with $DB_PASSWORD, token=abcdef123"; {PAUSE}; exit 1',
            env=[{"name": "DB_PASSWORD", "value": "swordfish"}],
        )
    },
    "full-volume": {
        "component": job(
            "sh",
            "-c",
            FULL,
            run={
                "volumes": [{"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}}]
            },
            volumeMounts=[{"name": "small", "mountPath": "/small"}],
        )
    },
    "deleted": {"component": job("sleep", "300")},
    "refused-by-us": {"component": job("true", resources={"requests": {"cpu": "much"}})},
    "refused-by-them": {
        "component": job("true", run={"environment": {"priorityClassName": "absent"}})
    },
}


@pytest.fixture(autouse=True)
async def submitted(kube: KubeApi, namespace: str) -> None:
    """Create all of them at once."""
    for name, spec in RUNS.items():
        await kube.create(OPERATIONS, namespace, operation(name, spec))


async def test_every_trouble_is_said_and_ended(kube: KubeApi, namespace: str) -> None:
    async def ended(name: str) -> dict[str, Any]:
        return await wait_for(kube, namespace, name, is_final)

    deleted = await wait_for(kube, namespace, "deleted", in_phase("Running"))
    first = deleted["status"]["pod"]["name"]
    await asyncio.to_thread(
        kubectl, "-n", namespace, "delete", "pod", first, "--wait=false", "--grace-period=2"
    )

    for name, phase, reason, words in (
        ("fails-for-good", "Failed", "ContainerFailed", "exit code 42"),
        ("full-volume", "Failed", "ContainerFailed", "No space left on device"),
        (
            "refused-by-us",
            "Failed",
            "InvalidSpec",
            "run.container.resources.requests.cpu: expected a quantity",
        ),
        ("refused-by-them", "Failed", "PodRefused", "no PriorityClass with name absent was found"),
        ("tells-secrets", "Failed", "ContainerFailed", "cannot log in with ***, token=***"),
    ):
        body = await ended(name)
        assert (body["status"]["phase"], body["status"]["reason"]) == (phase, reason), describe(
            namespace, body
        )
        assert words in body["status"]["message"], name
        assert not body["status"].get("attempt")
        assert len(json.dumps(body["status"])) < 16_000

    await _look_at_volumes(kube, namespace)
    await _look_at_variables(kube, namespace)
    again = await wait_for(
        kube,
        namespace,
        "deleted",
        lambda one: one["status"]["attempt"] == 1 and in_phase("Running")(one),
    )
    assert again["status"]["retries"] == {"failures": 0, "disruptions": 1}
    assert "PodDeleted" in [one["reason"] for one in again["status"]["history"]], describe(
        namespace, again
    )
    await _look_at_the_one_that_goes(kube, namespace)
    _look_at_events(namespace)


async def _look_at_volumes(kube: KubeApi, namespace: str) -> None:
    for name, words in (("no-volume", "absent"), ("late-volume", "late")):
        body = await wait_for(
            kube,
            namespace,
            name,
            lambda one: one.get("status", {}).get("reason") == "VolumeNotMounted",
        )
        assert f'secret "{words}" not found' in body["status"]["message"]
    kubectl("-n", namespace, "create", "secret", "generic", "late", "--from-literal=key=came")
    await succeed(kube, namespace, "late-volume", seconds=150)


async def _look_at_variables(kube: KubeApi, namespace: str) -> None:
    """The message names each Secret while it is the missing one."""
    for name, key in (("first", "A"), ("second", "B")):
        words = f"container 'main': secret \"{name}\" not found"
        await wait_for(
            kube,
            namespace,
            "late-variables",
            lambda one, w=words: one.get("status", {}).get("message") == w,
        )  # type: ignore[misc]
        kubectl(
            "-n", namespace, "create", "secret", "generic", name, f"--from-literal={key}={name}"
        )
    body = await succeed(kube, namespace, "late-variables", seconds=150)
    assert main_log(namespace, body) == "first second\n"


async def _look_at_the_one_that_goes(kube: KubeApi, namespace: str) -> None:
    body = await succeed(kube, namespace, "goes-soon")
    for _ in range(300):
        try:
            await kube.get(PODS, namespace, body["status"]["pod"]["name"])
        except NotFound:
            return
        await asyncio.sleep(0.2)
    raise AssertionError("the Pod stayed beyond its ttl")


def _look_at_events(namespace: str) -> None:
    events = json.loads(
        kubectl(
            "-n",
            namespace,
            "get",
            "events",
            "-o",
            "json",
            "--field-selector=involvedObject.kind=Operation",
        ).stdout
    )["items"]
    told = {(one["involvedObject"]["name"], one["reason"]) for one in events}
    assert ("fails-for-good", "ContainerFailed") in told
    assert ("refused-by-them", "PodRefused") in told
    assert ("no-volume", "VolumeNotMounted") in told
    assert not {name for name, _ in told} & {"goes-soon"}, "a run that goes well tells nothing"
