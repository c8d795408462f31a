"""An edit of a Component while a pipeline that uses it runs, on a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core import names
from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import COMPONENTS, OPERATIONS
from tests.integration.conftest import in_phase, operation, wait_for
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.usefixtures("operator", "kubelet")


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


def version(text: str) -> dict[str, Any]:
    run = {
        "kind": "job",
        "environment": {"annotations": {"test/until": "Running"}},
        "container": {"image": "busybox", "command": ["echo"], "args": [text]},
    }
    return {"run": run}


async def test_a_run_that_starts_after_the_edit_uses_what_its_pipeline_froze(
    kube: KubeApi, namespace: str
) -> None:
    component = {"kind": "Component", "metadata": {"name": "c"}, "spec": version("one")}
    await kube.create(COMPONENTS, namespace, {**component, "apiVersion": names.API_VERSION})
    operations = [
        {"name": "a", "hubRef": "c", "isApproved": False},
        {"name": "b", "hubRef": "c", "dependencies": ["a"]},
    ]
    spec = {"component": {"run": {"kind": "dag", "operations": operations}}}
    await kube.create(OPERATIONS, namespace, operation("p", spec))
    body = await wait_for(kube, namespace, "p", in_phase("Running"), seconds=60)
    uuid = names.run_uuid(body["metadata"]["uid"])
    assert body["status"]["components"]["c"]["spec"] == version("one")
    first, last = (names.child_name("p", uuid, name) for name in "ab")
    edit = [{"op": "replace", "path": "/spec/run/container/args", "value": ["two"]}]
    await kube.json_patch(COMPONENTS, namespace, "c", edit)
    approval = [{"op": "replace", "path": "/spec/isApproved", "value": True}]
    for _ in range(600):
        if any(
            one["metadata"]["name"] == first for one in (await kube.list(OPERATIONS, namespace))[0]
        ):
            break
        await asyncio.sleep(0.05)
    await kube.json_patch(OPERATIONS, namespace, first, approval)
    body = await wait_for(
        kube, namespace, "p", lambda one: parse_phase(one["status"]).is_final, seconds=90
    )
    assert body["status"]["phase"] == "Succeeded", body["status"]
    for name in (first, last):
        child = await kube.get(OPERATIONS, namespace, name)
        assert child["status"]["component"] == version("one")
