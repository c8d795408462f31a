"""The operator dies while runs are at every stage: each ends once, with one Pod."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, in_phase, make_namespace, operation, wait_for
from tests.support.kubelet_stand_in import KubeletStandIn
from tests.support.operator_process import OperatorProcess
from tests.support.process_tree import children, descendants, is_alive, read_cpu_seconds

RUNS = 50
#: Seconds from SIGTERM to the end.
TO_END = 2.0


async def test_fifty_runs_survive_three_deaths_of_the_operator(
    kube: KubeApi, namespace: str, operator: OperatorProcess, tmp_path: Path
) -> None:
    async with KubeletStandIn(kube, run_for=0.4):
        for i in range(RUNS):
            spec = (
                {
                    "params": {
                        "p": {
                            "ref": f"ops.run-{i - 1}",
                            "value": "globals.status",
                            "contextOnly": True,
                        }
                    }
                }
                if i % 5 == 4
                else None
            )
            await kube.create(OPERATIONS, namespace, operation(f"run-{i}", spec))
            if i % 17 == 16:
                operator.wait_until_started()
                await asyncio.sleep(0.2)
                operator.kill()
                operator.start()
        operator.wait_until_started()
        for _ in range(1200):
            items, _version = await kube.list(OPERATIONS, namespace)
            if all((one.get("status") or {}).get("phase") == "Succeeded" for one in items):
                break
            await asyncio.sleep(0.1)
    assert {one["status"]["phase"] for one in items} == {"Succeeded"}
    pods, _ = await kube.list(PODS, namespace)
    owners = [pod["metadata"]["ownerReferences"][0]["name"] for pod in pods]
    assert sorted(owners) == sorted(f"run-{i}" for i in range(RUNS))
    finals = [
        [entry["status"] for entry in one["status"]["history"]].count("succeeded") for one in items
    ]
    assert set(finals) == {1}


async def test_the_operator_stops_at_once_when_asked(operator: OperatorProcess) -> None:
    assert operator.stop(seconds=5) == 0
    operator.start()
    operator.wait_until_started()


LOOP = "{{ 9 ** (9 ** 9) }}"


def hostile(name: str) -> Manifest:
    run = {"kind": "job", "container": {"image": "busybox", "command": ["true"], "args": [LOOP]}}
    return operation(name, {"component": {"run": run}})


def start_alone(
    plane: ControlPlane, namespace: str, folder: Path, **settings: Any
) -> OperatorProcess:
    """Start an operator for this namespace only."""
    process = OperatorProcess(
        plane.user(OPERATOR_USER), folder / "operator.log", namespaces=namespace, **settings
    )
    process.start()
    process.wait_until_started(60)
    return process


@pytest.mark.alone
async def test_an_operator_ends_within_two_seconds_while_its_workers_compute_without_an_end(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> None:
    namespace = await make_namespace(quiet_kube, "leaves-at-once")
    for number in range(4):
        await quiet_kube.create(OPERATIONS, namespace, hostile(f"run-{number}"))
    seconds: list[float] = []
    # On a busy machine one end may be late; an operator that waits for its workers is late each
    # time.
    while len(seconds) < 3 and min(seconds, default=TO_END) >= TO_END:
        process = start_alone(quiet_plane, namespace, tmp_path, decision_seconds=60)
        assert process.process is not None
        family = await wait_for_computing(process.process.pid)
        began = time.monotonic()
        assert process.stop(30) == 0
        seconds.append(time.monotonic() - began)
        assert [pid for pid in family if is_alive(pid)] == []
        assert "Traceback" not in process.read_log()
    print(f"ended {seconds} s after SIGTERM")
    assert min(seconds) < TO_END, seconds


async def wait_for_computing(pid: int) -> list[int]:
    """Return the operator's own processes, once one of them has computed for a second."""
    async with asyncio.timeout(60):
        while True:
            family = list(descendants(pid))
            if any(read_cpu_seconds(one) > 1 for one in family if one not in children(pid)):
                return [pid, *family]
            await asyncio.sleep(0.1)


async def test_a_run_in_whose_decision_the_operator_was_killed_twice_is_set_aside(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> None:
    namespace = await make_namespace(quiet_kube, "set-aside")
    settings = {
        "decision_seconds": 60,
        "decision_seconds_per_run": 60,
        "crash_record": tmp_path / "crashes",
    }
    await quiet_kube.create(OPERATIONS, namespace, hostile("bad"))
    for number in range(2):
        process = start_alone(quiet_plane, namespace, tmp_path, **settings)
        await asyncio.sleep(4)
        body = await quiet_kube.get(OPERATIONS, namespace, "bad")
        assert "status" not in body, number
        process.kill()
    process = start_alone(quiet_plane, namespace, tmp_path, **settings)
    body = await wait_for(quiet_kube, namespace, "bad", in_phase("Failed"))
    assert (body["status"]["reason"], "killed 2 times" in body["status"]["message"]) == (
        "SetAside",
        True,
    )
    await quiet_kube.create(OPERATIONS, namespace, operation("good"))
    await wait_for(quiet_kube, namespace, "good", in_phase("Starting"))
    assert process.stop() == 0
