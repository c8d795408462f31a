"""What nodes do to runs: lost, taken for something more important, full. Their kubelet is kwok; who decides is real."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opstrand.kube.api import OPERATIONS, PODS, KubeApi
from tests.cluster.cluster import Cluster
from tests.e2e.conftest import describe, in_phase, kubectl, main_log, operation, opstrand, wait_for
from tests.e2e.node_loss import Witnessed
from tests.support.fake_node import FakeNode

PLAIN = "localhost/python-base:1"


def job(*command: str, environment: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    run = {"kind": "job", "container": {"image": PLAIN, "command": list(command), **container}}
    return {"component": {"run": {**run, **({"environment": environment} if environment else {})}}}


def reasons(body: dict[str, Any]) -> list[str]:
    return [one["reason"] for one in body["status"]["history"]]


async def test_a_run_whose_node_is_lost_says_so_and_runs_again_elsewhere(lost_node: asyncio.Task[Witnessed]) -> None:
    seen = await lost_node
    node = seen.silent["status"]["pod"]["node"]
    assert (seen.silent["status"]["phase"], seen.silent["status"]["message"]) == ("Running", f"node {node!r} does not answer")
    assert seen.lost["status"]["phase"] == "Running", "there is one Pod of a run, never two: this one is not gone yet"
    assert seen.lost["status"]["message"].startswith(f"node {node!r} is lost: Taint manager: deleting due to NoExecute taint")
    assert "it ends when the node is back, or its Node object is deleted" in seen.told
    status = seen.final["status"]
    assert (status["phase"], status["attempt"]) == ("Succeeded", 1)
    assert status["retries"] == {"failures": 0, "disruptions": 1}
    assert status["pod"]["node"] != node
    assert main_log(seen.final["metadata"]["namespace"], seen.final) == "done\n"
    assert reasons(seen.final)[-7:] == ["PodRunning", "NodeNotReady", "NodeLost", "NodeLost", "PodCreated", "PodRunning", "Succeeded"]


@pytest.fixture
def priorities(namespace: str) -> tuple[str, str]:
    """Names of two priority classes, of which the second goes first."""
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
        await kube.create(OPERATIONS, namespace, operation("humble", job("true", environment={**there, "priorityClassName": low}, **whole)))
        await wait_for(kube, namespace, "humble", in_phase("Running"))
        important = {"containers": [{"name": "main", "image": PLAIN, **whole}], "priorityClassName": high, **there}
        await kube.create(PODS, namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "important"}, "spec": important})
        body = await wait_for(kube, namespace, "humble", lambda one: one["status"]["reason"] == "Unschedulable")
        (preempted,) = [one for one in body["status"]["history"] if one["status"] == "retrying"]
        assert (preempted["reason"], preempted["message"]) == (
            "Preempted",
            "default-scheduler: preempting to accommodate a higher priority pod",
        )
        assert body["status"]["retries"] == {"failures": 0, "disruptions": 1}
        assert body["status"]["message"].startswith("asks for cpu: 900m (main), "), describe(namespace, body)
        assert "Insufficient cpu" in body["status"]["message"]
        kubectl("-n", namespace, "delete", "pod", "important", "--wait=false")
        again = await wait_for(kube, namespace, "humble", in_phase("Running"))
        assert again["status"]["attempt"] == 1
        told = opstrand("get", "humble", "-p", namespace).stdout
        assert "Preempted" in told
        kubectl("-n", namespace, "delete", "operation", "humble")
