"""What nodes do to runs: they are lost, preempted, or full.

Their kubelet is kwok; every component that decides is real.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from tests.cluster.cluster import Cluster
from tests.e2e.conftest import (
    describe,
    in_phase,
    is_final,
    kubectl,
    main_log,
    operation,
    opstrand,
    wait_for,
)
from tests.e2e.node_loss import Witnessed
from tests.support.fake_node import FakeNode

PLAIN = "localhost/python-base:1"


def job(
    *command: str, environment: dict[str, Any] | None = None, **container: Any
) -> dict[str, Any]:
    run = {"kind": "job", "container": {"image": PLAIN, "command": list(command), **container}}
    return {"component": {"run": {**run, **({"environment": environment} if environment else {})}}}


def reasons(body: dict[str, Any]) -> list[str]:
    return [one["reason"] for one in body["status"]["history"]]


async def test_a_run_whose_node_is_lost_says_so_and_runs_again_elsewhere(
    lost_node: asyncio.Task[Witnessed],
) -> None:
    seen = await lost_node
    node = seen.silent["status"]["pod"]["node"]
    (silent,) = [one for one in seen.silent["status"]["history"] if one["reason"] == "NodeNotReady"]
    assert (silent["status"], silent["message"]) == ("running", f"node {node!r} does not answer")
    assert seen.lost["status"]["phase"] == "Running", (
        "there is one Pod of a run, never two: this one is not gone yet"
    )
    assert seen.lost["status"]["message"].startswith(
        f"node {node!r} is lost: Taint manager: deleting due to NoExecute taint"
    )
    assert "its Pod ends when the node is back, or its Node object is deleted" in seen.told
    status = seen.final["status"]
    assert (status["phase"], status["attempt"]) == ("Succeeded", 1)
    assert status["retries"] == {"failures": 0, "disruptions": 1}
    assert status["pod"]["node"] != node
    assert main_log(seen.final["metadata"]["namespace"], seen.final) == "done\n"
    assert reasons(seen.final)[-7:] == [
        "PodRunning",
        "NodeNotReady",
        "NodeLost",
        "NodeLost",
        "PodCreated",
        "PodRunning",
        "Succeeded",
    ]


async def test_a_run_that_is_drained_away_runs_again_and_one_beyond_its_own_limit_does_not(
    kube: KubeApi, namespace: str
) -> None:
    polite = job("sh", "-c", "trap 'exit 1' TERM; sleep 300 & wait")
    greedy = job(
        "sh",
        "-c",
        "head -c 20000000 /dev/zero > /big; sleep 300",
        resources={"limits": {"ephemeral-storage": "2Mi"}},
    )
    await kube.create(OPERATIONS, namespace, operation("drained", polite))
    await kube.create(
        OPERATIONS, namespace, operation("greedy", {**greedy, "termination": {"maxRetries": 0}})
    )
    first = (await wait_for(kube, namespace, "drained", in_phase("Running")))["status"]["pod"][
        "name"
    ]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": first, "namespace": namespace},
    }
    kubectl(
        "create",
        "--raw",
        f"/api/v1/namespaces/{namespace}/pods/{first}/eviction",
        "-f",
        "-",
        stdin=json.dumps(eviction),
    )
    again = await wait_for(
        kube,
        namespace,
        "drained",
        lambda one: one["status"]["attempt"] == 1 and in_phase("Running")(one),
    )
    assert again["status"]["retries"] == {"failures": 0, "disruptions": 1}
    (retried,) = [one for one in again["status"]["history"] if one["status"] == "retrying"]
    assert (retried["reason"], retried["message"]) == ("Evicted", "Eviction API: evicting")

    body = await wait_for(kube, namespace, "greedy", is_final)
    assert (body["status"]["phase"], body["status"]["reason"], body["status"]["attempt"]) == (
        "Failed",
        "Evicted",
        0,
    )
    assert "exceeds the total limit of containers 2Mi" in body["status"]["message"], describe(
        namespace, body
    )


@pytest.fixture
def priorities(namespace: str) -> Iterator[tuple[str, str]]:
    """Yield the names of two priority classes; the second is the more important one."""
    names = f"{namespace}-low", f"{namespace}-high"
    for name, value in zip(names, ("-10", "10"), strict=True):
        kubectl("create", "priorityclass", name, f"--value={value}")
    yield names
    kubectl("delete", "priorityclass", *names)


async def test_a_run_that_is_preempted_says_so_waits_for_room_and_runs_again(
    kube: KubeApi, namespace: str, cluster: Cluster, tmp_path: Any, priorities: tuple[str, str]
) -> None:
    low, high = priorities
    with FakeNode(cluster.kubeconfig, f"{namespace}-small", tmp_path, cpu="1") as node:
        there = {"nodeSelector": node.selector, "tolerations": [node.toleration]}
        whole = {"resources": {"requests": {"cpu": "900m"}}}
        await kube.create(
            OPERATIONS,
            namespace,
            operation(
                "humble", job("true", environment={**there, "priorityClassName": low}, **whole)
            ),
        )
        await wait_for(kube, namespace, "humble", in_phase("Running"))
        important = {
            "containers": [{"name": "main", "image": PLAIN, **whole}],
            "priorityClassName": high,
            **there,
        }
        await kube.create(
            PODS,
            namespace,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "important"},
                "spec": important,
            },
        )
        body = await wait_for(
            kube, namespace, "humble", lambda one: one["status"]["reason"] == "Unschedulable"
        )
        (preempted,) = [one for one in body["status"]["history"] if one["status"] == "retrying"]
        assert (preempted["reason"], preempted["message"]) == (
            "Preempted",
            "default-scheduler: preempting to accommodate a higher priority pod",
        )
        assert body["status"]["retries"] == {"failures": 0, "disruptions": 1}
        assert body["status"]["message"].startswith("asks for cpu: 900m (main); 0/"), describe(
            namespace, body
        )
        assert "Insufficient cpu" in body["status"]["message"]
        kubectl("-n", namespace, "delete", "pod", "important", "--wait=false")
        again = await wait_for(kube, namespace, "humble", in_phase("Running"))
        assert again["status"]["attempt"] == 1
        told = opstrand("get", "humble", "-p", namespace).stdout
        assert "Preempted" in told
        kubectl("-n", namespace, "delete", "operation", "humble")
