"""Waiting for what never comes is bounded, by a clock that no restart resets, and ends with a
reason.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, in_phase, make_namespace, operation, wait_for
from tests.support.audit import read_audit
from tests.support.killing_operator import Nursery

_numbers = itertools.count(1)
PATIENCE = 3
ASKS = {"params": {"p": {"ref": "ops.never", "value": "outputs.x", "contextOnly": True}}}


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def nursery() -> AsyncIterator[Nursery]:
    async with Nursery() as started:
        yield started


@pytest.mark.alone
@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        (ASKS, "UpstreamNotFound", "never"),
        ({"hubRef": "never:v1", "component": None}, "ComponentNotFound", "never.v1"),
    ],
)
async def test_what_never_comes_ends_the_run_with_its_reason(
    quiet_plane: ControlPlane,
    quiet_kube: KubeApi,
    nursery: Nursery,
    tmp_path: Path,
    spec: dict[str, Any],
    reason: str,
    words: str,
) -> None:
    namespace = await make_namespace(quiet_kube, f"patience-{next(_numbers)}")
    environment = {
        "KUBECONFIG": str(quiet_plane.user(OPERATOR_USER)),
        "OPSTRAND_NAMESPACES": namespace,
        "OPSTRAND_HEALTH_PORT": "0",
        "OPSTRAND_UPSTREAM_PATIENCE": str(PATIENCE),
        "OPSTRAND_RELIST_INTERVAL": "1",
    }
    body = operation("waits", spec)
    body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
    child = await nursery.start("opstrand.handlers", tmp_path / "operator.log", environment)
    try:
        await quiet_kube.create(OPERATIONS, namespace, body)
        body = await wait_for(quiet_kube, namespace, "waits", in_phase("Waiting"))
        since = datetime.fromisoformat(body["status"]["conditions"][-1]["lastTransitionTime"])
        await asyncio.sleep(PATIENCE / 2)
        await child.end(9)
        child = await nursery.start("opstrand.handlers", tmp_path / "operator.log", environment)
        body = await wait_for(quiet_kube, namespace, "waits", in_phase("Failed"))
    finally:
        print(child.read_log()[-4000:])
        await child.end(9)
    status = body["status"]
    assert (
        status["reason"],
        words in status["message"],
        f"gave up after {PATIENCE} s" in status["message"],
    ) == (reason, True, True)
    waited = (datetime.fromisoformat(status["finishedAt"]) - since).total_seconds()
    assert PATIENCE <= waited < PATIENCE + 2
    asked = [
        (entry["verb"], entry.get("objectRef") or {})
        for entry in read_audit(quiet_plane.audit_log, OPERATOR_USER)
    ]
    own = [
        verb
        for verb, what in asked
        if what.get("namespace") == namespace and what.get("resource") in ("operations", "pods")
    ]
    assert [verb for verb in own if verb not in ("list", "watch")] == ["patch", "patch"]
