"""Results of earlier runs on a real API server: what they cost, and that a death changes nothing.

The index is measured alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from opstrand.controller.cache import Cache
from opstrand.core import names
from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, in_phase, operation, wait_for
from tests.support.audit import count_requests
from tests.support.scripted_kubelet import ScriptedKubelet

_MANY = 50_000


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


def job(**annotations: str) -> dict[str, Any]:
    """Return a component; the kubelet's stand-in reads the annotations."""
    run = {
        "kind": "job",
        "environment": {"annotations": {f"test/{key}": text for key, text in annotations.items()}},
        "container": {"image": "busybox", "command": ["true"]},
    }
    return {"inputs": [{"name": "x", "value": 1}], "run": run}


def dag(name: str) -> Manifest:
    """Return a pipeline whose second operation reads the output and the files of the first."""
    read = {"loss": "outputs.loss", "files": "artifacts.base"}
    params = {
        key: {"ref": "ops.a", "value": value, "contextOnly": True} for key, value in read.items()
    }
    made = {"name": "a", "component": job(outputs='{"loss": 0.5}')}
    ops = [made, {"name": "b", "component": job(), "params": params}]
    return operation(name, {"component": {"run": {"kind": "dag", "operations": ops}}})


def is_over(body: Manifest) -> bool:
    return parse_phase(body.get("status")).is_final


async def run(kube: KubeApi, namespace: str, body: Manifest) -> Mapping[str, Any]:
    await kube.create(OPERATIONS, namespace, body)
    ended = await wait_for(kube, namespace, body["metadata"]["name"], is_over, seconds=60)
    status: Mapping[str, Any] = ended["status"]
    return status


@pytest.mark.usefixtures("operator", "kubelet")
async def test_the_second_run_of_a_pipeline_makes_no_pod(
    kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    first = await run(kube, namespace, dag("first"))
    assert (first["phase"], first["children"]["states"]) == ("Succeeded", "ss")
    offset = control_plane.audit_log.stat().st_size
    second = await run(kube, namespace, dag("second"))
    assert (second["phase"], second["children"]["states"]) == ("Succeeded", "cc")
    assert second["children"]["succeeded"] == 2
    bodies, _ = await kube.list(OPERATIONS, namespace)
    runs = {
        (one["metadata"]["ownerReferences"][0]["name"], one["spec"]["name"]): one["status"]
        for one in bodies
        if names.find_controller(one)
    }
    for op in ("a", "b"):
        taken, original = runs["second", op], runs["first", op]
        assert (taken["phase"], taken["reason"]) == ("Succeeded", "CacheHit")
        assert taken["original"]["uuid"] == original["uuid"]
        assert taken["outputs"] == original["outputs"]
        assert taken["inputs"] == original["inputs"]
    requests = count_requests(
        control_plane.audit_log, OPERATOR_USER, after=offset, namespace=namespace
    )
    written = {key: number for key, number in requests.items() if key[0] != "get"}
    patches = written.pop(("patch", "operations/status", 200))
    assert written == {("create", "operations", 201): 2}
    # One for each result, and of the pipeline its start, its end, and at most one of its letters.
    assert 4 <= patches <= 5


@pytest.mark.usefixtures("operator", "kubelet")
async def test_a_run_alone_takes_a_result_if_it_asks_for_one(
    kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    spec = {"component": job(until="Running"), "cache": {"disable": False}}
    await kube.create(OPERATIONS, namespace, operation("a", spec))
    await wait_for(kube, namespace, "a", in_phase("Running", "Succeeded"))
    offset = control_plane.audit_log.stat().st_size
    status = await run(kube, namespace, operation("b", spec))
    assert (status["phase"], status["reason"]) == ("Succeeded", "CacheHit")
    requests = count_requests(
        control_plane.audit_log, OPERATOR_USER, after=offset, namespace=namespace
    )
    assert requests["create", "pods", 201] == 0
    other = await run(kube, namespace, operation("c", {**spec, "params": {"x": {"value": 2}}}))
    assert other["reason"] != "CacheHit"
    assert other["cache"]["message"] == "not taken: input x differs from a"
    plain = await run(kube, namespace, operation("d", {"component": job()}))
    assert not {"cacheKey", "cache", "original"} & plain.keys()


@pytest.mark.alone
@pytest.mark.parametrize("is_same", [False, True], ids=["other keys", "the same key"])
def test_a_result_among_fifty_thousand_runs_is_found_in_five_milliseconds(is_same: bool) -> None:
    cache = Cache()
    for number in range(_MANY):
        cache.put(OPERATIONS, make_run(number, "k" if is_same else f"k{number}"))
    digest, took = "k" if is_same else f"k{_MANY // 2}", []
    for _ in range(20):
        began = time.perf_counter()
        found = cache.results.find_done("ns", digest, "")
        cache.results.find_started("ns", digest, "")
        near = cache.results.list_alike("ns", "c", "")
        took.append(time.perf_counter() - began)
        assert found is not None
        assert near
    assert min(took) < 0.005


def make_run(number: int, digest: str) -> Manifest:
    """Return a run that has ended with this key."""
    metadata = {"name": f"r{number}", "namespace": "ns", "uid": f"{number:032x}"}
    at = f"2026-01-01T00:00:00.{number:06}Z"
    cache = {"component": "c", "parts": {}}
    status = {"phase": "Succeeded", "cacheKey": digest, "cache": cache, "finishedAt": at}
    return {"metadata": {**metadata, "resourceVersion": "1"}, "spec": {}, "status": status}
