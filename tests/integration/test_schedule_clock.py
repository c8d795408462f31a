"""Schedules while the wall clock of the operator's machine is really moved, or the operator is off:
each tick that must run runs once.

tests/unit/core/schedules has the tables of ticks.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from opstrand.core import names
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import OPERATOR_USER, make_namespace, operation, wait_for
from tests.support.moved_clock import FAKETIME, MovedClock
from tests.support.operator_process import OperatorProcess
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.skipif(
    FAKETIME is None, reason="no faketime here: apt-get install faketime"
)

PATIENCE = 90
_numbers = itertools.count(1)


class Machine:
    """An operator for one namespace, and its machine's clock."""

    def __init__(self, plane: ControlPlane, kube: KubeApi, namespace: str, folder: Path) -> None:
        self.kube, self.namespace = kube, namespace
        self.clock = MovedClock(folder / "clock")
        self.operator = OperatorProcess(
            plane.user(OPERATOR_USER),
            folder / "operator.log",
            namespaces=namespace,
            schedule_history=5,
        )
        self.operator.environment = self.clock.environment

    def start(self) -> None:
        self.operator.start()
        self.operator.wait_until_started(60)

    def set_time(self, text: str) -> None:
        """Set the operator's clock."""
        ahead = datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime.now(UTC)
        self.clock.move(round(ahead.total_seconds()))

    async def create(self, name: str, section: dict[str, Any]) -> None:
        annotations = {"test/until": "Running"}
        run = {
            "kind": "job",
            "environment": {"annotations": annotations},
            "container": {"image": "busybox", "command": ["true"]},
        }
        spec = {"schedule": section, "component": {"run": run}}
        await self.kube.create(OPERATIONS, self.namespace, operation(name, spec))

    async def wait_for_runs(self, name: str, count: int) -> Manifest:
        """Wait until so many runs of the schedule have ended."""

        def have_ended(body: Manifest) -> bool:
            facts = (body.get("status") or {}).get("schedule") or {}
            return facts.get("runs", 0) >= count and not facts["active"]

        return await wait_for(self.kube, self.namespace, name, have_ended, PATIENCE)

    async def ticks(self, name: str) -> list[str]:
        """Return the ticks whose runs exist."""
        body = await self.kube.get(OPERATIONS, self.namespace, name)
        uuid = names.run_uuid(body["metadata"]["uid"])
        found, _ = await self.kube.list(
            OPERATIONS, self.namespace, labels=f"{names.PIPELINE}={uuid}"
        )
        return sorted(one["metadata"]["annotations"][names.SCHEDULE_AT] for one in found)


@pytest_asyncio.fixture(loop_scope="session")
async def machine(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> AsyncIterator[Machine]:
    namespace = await make_namespace(quiet_kube, f"schedule-clock-{next(_numbers)}")
    started = Machine(quiet_plane, quiet_kube, namespace, tmp_path)
    async with ScriptedKubelet(quiet_kube):
        yield started
    log = started.operator.read_log()
    started.operator.kill()
    assert "Traceback" not in log, log


def cron(text: str, since: str) -> dict[str, Any]:
    return {"kind": "cron", "cron": text, "startAt": since}


@pytest.mark.parametrize(
    ("text", "moments", "expected"),
    [
        # On 2027-03-28 at 01:00Z the clock of Berlin goes from 02:00 to 03:00.
        (
            "CRON_TZ=Europe/Berlin 30 2 * * *",
            ("2027-03-27T01:29:58", "2027-03-28T00:59:58", "2027-03-29T00:29:58"),
            ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"],
        ),
        # On 2027-10-31 at 01:00Z it goes from 03:00 to 02:00.
        (
            "CRON_TZ=Europe/Berlin 30 2 * * *",
            ("2027-10-31T00:29:58", "2027-10-31T01:29:58", "2027-11-01T01:29:58"),
            ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"],
        ),
        (
            "0 0 29 2 *",
            ("2028-02-28T23:59:58", "2029-02-28T23:59:58", "2032-02-28T23:59:58"),
            ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
        ),
    ],
    ids=["spring", "autumn", "leap-day"],
)
async def test_each_time_of_the_calendar_runs_once(
    machine: Machine, text: str, moments: tuple[str, ...], expected: list[str]
) -> None:
    machine.set_time(moments[0])
    machine.start()
    await machine.create("calendar", cron(text, moments[0] + "Z"))
    for at, moment in enumerate(moments):
        machine.set_time(moment)
        passed = [tick for tick in expected if tick[:-1] <= moment[:-1] + "9" or at == 2]
        await machine.wait_for_runs("calendar", max(1, len(passed)))
        # Long enough for a tick that must not run.
        await asyncio.sleep(4)
    assert await machine.ticks("calendar") == expected


async def test_an_hour_forth_and_back_runs_each_hour_once(machine: Machine) -> None:
    machine.set_time("2027-05-01T10:30:00")
    machine.start()
    await machine.create("hourly", cron("@hourly", "2027-05-01T10:29:00Z"))
    await wait_for(
        machine.kube, machine.namespace, "hourly", lambda one: "schedule" in one.get("status", {})
    )
    machine.set_time("2027-05-01T11:30:00")
    await machine.wait_for_runs("hourly", 1)
    machine.set_time("2027-05-01T10:30:00")
    await asyncio.sleep(4)
    machine.set_time("2027-05-01T10:59:58")
    await asyncio.sleep(5)
    assert await machine.ticks("hourly") == ["2027-05-01T11:00:00Z"]
    machine.set_time("2027-05-01T11:59:58")
    await machine.wait_for_runs("hourly", 2)
    assert await machine.ticks("hourly") == ["2027-05-01T11:00:00Z", "2027-05-01T12:00:00Z"]


async def test_a_day_ahead_for_a_moment_loses_no_later_tick(machine: Machine) -> None:
    machine.set_time("2027-05-01T10:30:00")
    machine.start()
    await machine.create("hourly", cron("@hourly", "2027-05-01T10:29:00Z"))
    await wait_for(
        machine.kube, machine.namespace, "hourly", lambda one: "schedule" in one.get("status", {})
    )
    machine.set_time("2027-05-02T10:30:00")
    await machine.wait_for_runs("hourly", 1)
    machine.set_time("2027-05-01T10:59:58")
    await machine.wait_for_runs("hourly", 2)
    machine.set_time("2027-05-01T11:59:58")
    body = await machine.wait_for_runs("hourly", 3)
    assert await machine.ticks("hourly") == [
        "2027-05-01T11:00:00Z",
        "2027-05-01T12:00:00Z",
        "2027-05-02T10:00:00Z",
    ]
    assert body["status"]["phase"] == "Running"


async def test_after_two_weeks_off_the_newest_tick_runs_and_the_others_are_counted(
    machine: Machine,
) -> None:
    machine.set_time("2027-06-01T05:59:58")
    machine.start()
    await machine.create("daily", cron("0 6 * * *", "2027-06-01T05:00:00Z"))
    await machine.wait_for_runs("daily", 1)
    machine.operator.kill()
    machine.set_time("2027-06-15T10:00:00")
    machine.start()
    body = await machine.wait_for_runs("daily", 2)
    assert await machine.ticks("daily") == ["2027-06-01T06:00:00Z", "2027-06-15T06:00:00Z"]
    assert body["status"]["schedule"]["missed"] == 13
    assert body["status"]["schedule"]["next"] == "2027-06-16T06:00:00Z"


async def test_a_restart_exactly_at_a_tick_runs_it_once(machine: Machine) -> None:
    machine.set_time("2027-06-01T05:59:50")
    machine.start()
    await machine.create("daily", cron("0 6 * * *", "2027-06-01T05:00:00Z"))
    await wait_for(
        machine.kube, machine.namespace, "daily", lambda one: "schedule" in one.get("status", {})
    )
    for day in (1, 2, 3):
        machine.operator.kill()
        # The process starts just before the tick, or just after it.
        machine.set_time(f"2027-06-0{day}T05:59:5{9 - day}")
        machine.start()
        machine.set_time(f"2027-06-0{day}T06:00:00")
        await machine.wait_for_runs("daily", day)
        machine.operator.kill()
        machine.start()
    body = await machine.wait_for_runs("daily", 3)
    assert await machine.ticks("daily") == [f"2027-06-0{day}T06:00:00Z" for day in (1, 2, 3)]
    assert (body["status"]["schedule"]["runs"], body["status"]["schedule"]["missed"]) == (3, 0)


async def test_only_the_newest_runs_are_kept(machine: Machine) -> None:
    machine.start()
    await machine.create("often", {"kind": "interval", "frequency": 1, "maxRuns": 8})
    body = await wait_for(
        machine.kube,
        machine.namespace,
        "often",
        lambda one: (one.get("status") or {}).get("phase") == "Succeeded",
        PATIENCE,
    )
    assert body["status"]["schedule"]["runs"] == 8
    kept = await machine.ticks("often")
    newest = sorted(one["at"] for one in body["status"]["schedule"]["results"])
    assert len(kept) < 8
    assert kept == newest[-len(kept) :]


async def test_a_schedule_that_waits_costs_no_write(machine: Machine) -> None:
    machine.set_time("2027-06-01T05:00:00")
    machine.start()
    await machine.create("yearly", cron("@yearly", "2027-06-01T05:00:00Z"))
    body = await wait_for(
        machine.kube, machine.namespace, "yearly", lambda one: "next" in str(one.get("status"))
    )
    await asyncio.sleep(5)
    again = await machine.kube.get(OPERATIONS, machine.namespace, "yearly")
    assert again["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"]
