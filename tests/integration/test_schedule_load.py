"""Many schedules in one operator: its start, and many ticks at the same moment."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, make_namespace, operation
from tests.support.audit import read_audit
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.alone
SCHEDULES, DUE = 1_000, 100
#: Seconds, with a wide margin: the API server has the same two cores.
START, DELAY = 20.0, 6.0
#: Seconds in which those that are due are created and seen, and the operator starts again.
PREPARATION = 60
PATIENCE = 120


def schedule(name: str, start: str) -> Manifest:
    return operation(name, {"schedule": {"kind": "datetime", "startAt": start}})


async def create_all(kube: KubeApi, namespace: str, bodies: list[Manifest]) -> None:
    slots = asyncio.Semaphore(32)

    async def create(body: Manifest) -> None:
        async with slots:
            await kube.create(OPERATIONS, namespace, body)

    await asyncio.gather(*map(create, bodies))


async def wait_for_all(kube: KubeApi, namespace: str, count: int) -> list[Manifest]:
    """Wait until so many schedules run."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        found, _ = await kube.list(OPERATIONS, namespace)
        running = [one for one in found if "schedule" in (one.get("status") or {})]
        if len(running) >= count:
            return running
        assert asyncio.get_running_loop().time() < deadline, len(running)
        await asyncio.sleep(0.5)


async def test_a_thousand_schedules_start_soon_and_a_hundred_ticks_come_in_time(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> None:
    namespace = await make_namespace(quiet_kube, "schedule-load")
    later = [schedule(f"later-{n}", "2099-01-01T00:00:00Z") for n in range(SCHEDULES - DUE)]
    operator = OperatorProcess(
        quiet_plane.user(OPERATOR_USER), tmp_path / "operator.log", namespaces=namespace
    )
    operator.start()
    try:
        await create_all(quiet_kube, namespace, later)
        await wait_for_all(quiet_kube, namespace, SCHEDULES - DUE)
        due = (datetime.now(UTC) + timedelta(seconds=PREPARATION)).replace(microsecond=0)
        soon = [schedule(f"due-{n}", due.isoformat()) for n in range(DUE)]
        await create_all(quiet_kube, namespace, soon)
        await wait_for_all(quiet_kube, namespace, SCHEDULES)
        operator.kill()
        began = time.monotonic()
        operator.start()
        operator.wait_until_started(PATIENCE)
        started = time.monotonic() - began
        assert datetime.now(UTC) < due, "the machine is too slow for this test"
        offset = quiet_plane.audit_log.stat().st_size
        await asyncio.sleep((due - datetime.now(UTC)).total_seconds() + DELAY + 2)
        requests = list(read_audit(quiet_plane.audit_log, OPERATOR_USER, after=offset))
    finally:
        operator.kill()
    created = sorted(
        (datetime.fromisoformat(one["requestReceivedTimestamp"]) - due).total_seconds()
        for one in requests
        if one["verb"] == "create" and one["objectRef"]["resource"] == "operations"
    )
    early = [
        one
        for one in requests
        if read_time(one) < due - timedelta(seconds=1)
        and (one.get("objectRef") or {}).get("resource") in ("operations", "pods")
    ]
    print(f"start {started:.2f} s; ticks {created[0]:.3f} to {created[-1]:.3f} s")
    assert len(created) == DUE
    assert created[0] >= 0
    assert created[int(DUE * 0.99) - 1] < DELAY
    assert started < START
    # Between the start and the ticks, a thousand schedules cost nothing.
    assert {one["verb"] for one in early} <= {"watch", "list"}


def read_time(request: dict[str, str]) -> datetime:
    return datetime.fromisoformat(request["requestReceivedTimestamp"])
