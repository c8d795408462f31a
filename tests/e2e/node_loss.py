"""A node goes silent under a run: the cluster takes two minutes to react, while other tests go on.

The node's kubelet is kwok; the cluster itself notices the silence, taints the node, evicts its Pods
and finally collects them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.programs import program
from tests.e2e.conftest import in_phase, is_final, operation, opstrand, wait_for
from tests.support.fake_node import FakeNode

NAME = "outlives-its-node"
IMAGE = "localhost/python-base:1"


@dataclass(frozen=True)
class Witnessed:
    """The run as it was seen at each step; `told` is the output of `opstrand get` while its node
    was lost.
    """

    silent: Manifest
    lost: Manifest
    told: str
    final: Manifest


def spec(node: FakeNode) -> dict[str, Any]:
    """Prefer the fake node; once that is gone, run a real container."""
    preference = {
        "matchExpressions": [
            {"key": key, "operator": "In", "values": [value]}
            for key, value in node.selector.items()
        ]
    }
    unreachable = {
        "key": "node.kubernetes.io/unreachable",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 5,
    }
    environment = {
        "affinity": {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 100, "preference": preference}
                ]
            }
        },
        "tolerations": [node.toleration, unreachable],
    }
    container = {"image": IMAGE, "command": ["echo", "done"]}
    return {
        "component": {"run": {"kind": "job", "environment": environment, "container": container}}
    }


def reasons_of(body: Manifest) -> list[str]:
    return [one.get("reason", "") for one in body["status"]["history"]]


async def witness(kube: KubeApi, kubeconfig: str, namespace: str, folder: Path) -> Witnessed:
    """Watch the run from its start on one node to its end on another."""
    # The first build on a machine takes half a minute: other tests run during this time.
    await asyncio.to_thread(program, "kwok")
    with FakeNode(kubeconfig, f"{namespace}-lost", folder) as node:
        await kube.create(OPERATIONS, namespace, operation(NAME, spec(node)))
        await wait_for(kube, namespace, NAME, in_phase("Running"))
        node.fall_silent()
        # Look in the history: the next reason may come before this process looks again.
        silent = await wait_for(
            kube, namespace, NAME, lambda one: "NodeNotReady" in reasons_of(one), seconds=120
        )
        lost = await wait_for(
            kube, namespace, NAME, lambda one: one["status"]["reason"] == "NodeLost", seconds=60
        )
        told = opstrand("get", NAME, "-p", namespace).stdout
        node.delete()
        final = await wait_for(kube, namespace, NAME, is_final, seconds=180)
    return Witnessed(silent, lost, told, final)
