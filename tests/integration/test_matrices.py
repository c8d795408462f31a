"""Matrices on a real API server: runs for each suggestion, their results, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core import names
from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.types import Manifest
from tests.integration.conftest import in_phase, operation, wait_for
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.usefixtures("operator", "kubelet")

RATES = {"lr": {"kind": "choice", "value": [n / 10 for n in range(1, 13)]}}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


def matrix(name: str, section: Mapping[str, Any], **test: str) -> Manifest:
    """Return an Operation with a matrix over `lr`, whose runs report `loss` as their `lr` is.

    `test`: what the kubelet's stand-in does with each Pod.
    """
    script = {"until": "Running", "outputs": '{"loss": {{ lr }}}', **test}
    run = {
        "kind": "job",
        "environment": {"annotations": {f"test/{key}": value for key, value in script.items()}},
        "container": {"image": "busybox", "command": ["true"]},
    }
    inputs = [
        {"name": "lr", "type": "float"},
        {"name": "epochs", "type": "int", "value": 1},
        {"name": "iteration", "type": "int", "value": "{{ globals.iteration }}"},
    ]
    return operation(name, {"matrix": section, "component": {"inputs": inputs, "run": run}})


def is_over(body: Manifest) -> bool:
    return parse_phase(body.get("status")).is_final


async def run_to_the_end(kube: KubeApi, namespace: str, body: Manifest) -> Manifest:
    await kube.create(OPERATIONS, namespace, body)
    return await wait_for(kube, namespace, body["metadata"]["name"], is_over, seconds=90)


async def runs_of(kube: KubeApi, namespace: str, body: Manifest) -> list[Manifest]:
    """Return the runs of a matrix, by their index."""
    uuid = names.run_uuid(body["metadata"]["uid"])
    found, _ = await kube.list(OPERATIONS, namespace, labels=f"{names.PIPELINE}={uuid}")
    return sorted(found, key=lambda one: int(one["metadata"]["labels"][names.OP]))


async def test_a_grid_runs_every_combination_four_at_a_time(kube: KubeApi, namespace: str) -> None:
    await kube.create(
        OPERATIONS,
        namespace,
        matrix("grid", {"kind": "grid", "concurrency": 4, "params": RATES}, **{"run-for": "0.2"}),
    )
    most = 0
    while True:
        pods, _ = await kube.list(PODS, namespace)
        alive = [one for one in pods if one["status"].get("phase") in ("Pending", "Running")]
        most = max(most, len(alive))
        body = await kube.get(OPERATIONS, namespace, "grid")
        if is_over(body):
            break
    assert most <= 4
    status = body["status"]
    assert (status["phase"], status["kind"]) == ("Succeeded", "matrix"), status
    assert status["children"]["states"] == "s" * 12
    runs = await runs_of(kube, namespace, body)
    assert [one["status"]["inputs"]["lr"] for one in runs] == RATES["lr"]["value"]
    assert [one["status"]["inputs"]["iteration"] for one in runs] == list(range(12))
    assert all("matrix" not in one["spec"] for one in runs)


async def test_a_seed_draws_the_same_runs_for_every_matrix(kube: KubeApi, namespace: str) -> None:
    section = {
        "kind": "random",
        "numRuns": 5,
        "seed": 7,
        "params": {"lr": {"kind": "uniform", "value": [0, 1]}},
    }
    drawn = []
    for name in ("first", "second"):
        body = await run_to_the_end(kube, namespace, matrix(name, section))
        assert body["status"]["phase"] == "Succeeded"
        runs = await runs_of(kube, namespace, body)
        drawn.append([one["status"]["inputs"]["lr"] for one in runs])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 5


async def test_a_space_with_fewer_values_than_runs_ends_with_a_condition(
    kube: KubeApi, namespace: str
) -> None:
    params = {"lr": {"kind": "choice", "value": [0.1, 0.2]}}
    body = await run_to_the_end(
        kube, namespace, matrix("few", {"kind": "random", "numRuns": 9, "params": params})
    )
    assert (body["status"]["phase"], body["status"]["children"]["total"]) == ("Succeeded", 2)
    (said,) = [one for one in body["status"]["conditions"] if one["type"] == "SpaceExhausted"]
    assert said["message"].startswith("7 runs less than asked for")


async def test_hyperband_promotes_the_best_runs_to_its_end(kube: KubeApi, namespace: str) -> None:
    section = {
        "kind": "hyperband",
        "maxIterations": 9,
        "eta": 3,
        "resource": {"name": "epochs", "type": "int"},
        "metric": {"name": "loss", "optimization": "minimize"},
        "params": {"lr": {"kind": "uniform", "value": [0, 1]}},
    }
    body = await run_to_the_end(kube, namespace, matrix("hyperband", section))
    status = body["status"]
    assert (status["phase"], status["children"]["states"]) == ("Succeeded", "s" * 22), status
    runs = await runs_of(kube, namespace, body)
    inputs = [one["status"]["inputs"] for one in runs]
    assert sorted(one["epochs"] for one in inputs) == [1] * 9 + [3] * 8 + [9] * 5
    # The best of the first nine went on twice.
    best = min(inputs[:9], key=lambda one: one["lr"])
    assert inputs[12]["lr"] == best["lr"]
    assert status["best"]["value"] == min(one["lr"] for one in inputs)
    assert status["best"]["uuid"] in {one["status"]["uuid"] for one in runs}


async def test_a_metric_that_is_good_enough_stops_the_rest(kube: KubeApi, namespace: str) -> None:
    section = {
        "kind": "grid",
        "concurrency": 3,
        "params": RATES,
        "earlyStopping": [
            {
                "kind": "metric_early_stopping",
                "metric": "loss",
                "value": 0.15,
                "optimization": "minimize",
            }
        ],
    }
    body = matrix("good", section, until="{{ 'Running' if lr < 0.15 else 'stopped' }}")
    body = await run_to_the_end(kube, namespace, body)
    status = body["status"]
    assert (status["phase"], status["reason"]) == ("Succeeded", "MetricReached"), status
    assert status["children"]["states"] == "s" + "x" * 11
    assert len(await runs_of(kube, namespace, body)) == 3
    assert status["best"]["value"] == 0.1


async def test_too_many_failures_stop_the_rest(kube: KubeApi, namespace: str) -> None:
    section = {
        "kind": "grid",
        "concurrency": 2,
        "params": RATES,
        "earlyStopping": [{"kind": "failure_early_stopping", "percent": 20}],
    }
    body = await run_to_the_end(kube, namespace, matrix("bad", section, **{"exit-codes": "1"}))
    status = body["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "TooManyFailed"), status
    assert status["children"]["states"].count("f") >= 3
    assert len(await runs_of(kube, namespace, body)) < 12


async def test_a_stop_ends_every_run_and_then_the_matrix(kube: KubeApi, namespace: str) -> None:
    section = {"kind": "grid", "concurrency": 3, "params": RATES}
    await kube.create(OPERATIONS, namespace, matrix("stop", section, until="stopped"))
    body = await wait_for(kube, namespace, "stop", in_phase("Running"))
    running: list[Manifest] = []
    while len(running) < 3:
        await asyncio.sleep(0.05)
        running = [one for one in await runs_of(kube, namespace, body) if in_phase("Running")(one)]
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "stop",
        [{"op": "add", "path": "/spec/control", "value": {"stop": True}}],
    )
    body = await wait_for(kube, namespace, "stop", is_over)
    assert (body["status"]["phase"], body["status"]["children"]["states"]) == ("Stopped", "x" * 12)
    runs = await runs_of(kube, namespace, body)
    assert [one["status"]["phase"] for one in runs] == ["Stopped"] * 3


async def test_a_foreign_run_of_a_runs_name_is_a_conflict_and_is_not_touched(
    kube: KubeApi, namespace: str
) -> None:
    held = matrix("taken", {"kind": "grid", "params": RATES})
    held["spec"]["isApproved"] = False
    body = await kube.create(OPERATIONS, namespace, held)
    name = names.child_name("taken", names.run_uuid(body["metadata"]["uid"]), 3)
    foreign = await kube.create(OPERATIONS, namespace, operation(name))
    await wait_for(kube, namespace, name, is_over)
    await kube.json_patch(
        OPERATIONS,
        namespace,
        "taken",
        [{"op": "replace", "path": "/spec/isApproved", "value": True}],
    )
    body = await wait_for(kube, namespace, "taken", is_over)
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Failed", "NameConflict")
    after = await kube.get(OPERATIONS, namespace, name)
    assert after["metadata"]["uid"] == foreign["metadata"]["uid"]
    assert after["status"]["phase"] == "Succeeded"


async def test_the_parent_of_a_grid_is_written_seldom(kube: KubeApi, namespace: str) -> None:
    section = {"kind": "grid", "concurrency": 4, "params": RATES}
    body = await run_to_the_end(kube, namespace, matrix("seldom", section))
    history = [one["reason"] for one in body["status"]["history"]]
    assert history == ["Created", "MatrixRunning", "Succeeded"]
