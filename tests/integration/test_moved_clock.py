"""The wall clock of the operator's machine is really moved: no wait gets longer, and no run ends
because of it.

tests/unit/controller/test_clocks.py tries more cases without a process.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import (
    OPERATOR_USER,
    in_phase,
    make_namespace,
    operation,
    pod_of,
    wait_for,
)
from tests.support.kubelet_stand_in import ended, mark, running
from tests.support.moved_clock import FAKETIME, MovedClock
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.skipif(
    FAKETIME is None, reason="no faketime here: apt-get install faketime"
)

HOUR, DAY = 3600, 86400
#: Seconds between a failed attempt and the next.
BACKOFF = 3
#: How long the clock is ahead, and the longest time of anything that is not a jump: an hour is a
#: thousand times as much.
AHEAD_FOR, PATIENCE = 8, 60
TIMEOUT = 600
RUNS = 5
ASKS = {"params": {"p": {"ref": "ops.never", "value": "outputs.x", "contextOnly": True}}}
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
            retry_backoff=BACKOFF,
            # Every run is looked at each second, with or without events.
            relist_interval=1,
        )
        self.operator.environment = self.clock.environment

    def start(self) -> None:
        self.operator.start()
        self.operator.wait_until_started(60)

    async def create(self, name: str, **termination: int) -> Manifest:
        spec = {"termination": {"maxRetries": 1, "timeout": TIMEOUT, **termination}}
        await self.kube.create(OPERATIONS, self.namespace, operation(name, spec))
        return await self.wait(name, "Starting")

    async def run(self, name: str) -> None:
        await mark(self.kube, await self.pod(name), running(now()))
        await self.wait(name, "Running")

    async def fail(self, name: str) -> None:
        await mark(self.kube, await self.pod(name), ended(1, now()))

    async def pod(self, name: str) -> Manifest:
        return await pod_of(self.kube, self.namespace, await self.wait(name, "Starting", "Running"))

    async def wait(self, name: str, *phases: str) -> Manifest:
        return await wait_for(self.kube, self.namespace, name, in_phase(*phases), PATIENCE)

    async def phases(self) -> set[str]:
        bodies, _ = await self.kube.list(OPERATIONS, self.namespace)
        return {body["status"]["phase"] for body in bodies}


def now() -> str:
    """Return the time on all other machines."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def jump_seen(body: Manifest) -> float:
    """Return the seconds by which the operator's clock was ahead at its last write."""
    last = datetime.fromisoformat(body["status"]["history"][-1]["at"])
    return (last - datetime.now(UTC)).total_seconds()


@pytest_asyncio.fixture(loop_scope="session")
async def machine(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> AsyncIterator[Machine]:
    namespace = await make_namespace(quiet_kube, f"moved-clock-{next(_numbers)}")
    started = Machine(quiet_plane, quiet_kube, namespace, tmp_path)
    started.start()
    yield started
    log = started.operator.read_log()
    started.operator.kill()
    assert "Traceback" not in log, log


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
async def test_a_retry_that_is_decided_while_the_clock_is_wrong_is_due_after_its_backoff(
    machine: Machine, ahead: int
) -> None:
    await machine.create("a")
    await machine.run("a")
    machine.clock.move(ahead)
    await machine.fail("a")
    retrying = await machine.wait("a", "Retrying")
    assert abs(jump_seen(retrying) - ahead) < PATIENCE, "the clock was not moved"
    machine.clock.move(0)
    again = await machine.wait("a", "Starting")
    assert again["status"]["attempt"] == 1


async def test_a_day_ahead_for_some_seconds_ends_no_run_and_lengthens_no_wait(
    machine: Machine,
) -> None:
    names = [f"retries-{number}" for number in range(RUNS)]
    await asyncio.gather(*(machine.create(name) for name in [*names, "runs"]))
    await machine.kube.create(OPERATIONS, machine.namespace, operation("waits", ASKS))
    await machine.wait("waits", "Waiting")
    await asyncio.gather(*(machine.run(name) for name in [*names, "runs"]))
    await asyncio.gather(*(machine.fail(name) for name in names))
    await asyncio.gather(*(machine.wait(name, "Retrying") for name in names))
    machine.clock.move(DAY)
    await asyncio.sleep(AHEAD_FOR)
    assert await machine.phases() <= {"Retrying", "Starting", "Running", "Waiting"}
    machine.clock.move(0)
    for name in names:
        body = await machine.wait(name, "Starting")
        left = (await pod_of(machine.kube, machine.namespace, body))["spec"][
            "activeDeadlineSeconds"
        ]
        assert TIMEOUT - 2 * PATIENCE < left < TIMEOUT
    assert [
        await machine.wait(name, phase)
        for name, phase in (("runs", "Running"), ("waits", "Waiting"))
    ]


async def test_an_operator_that_starts_while_its_clock_is_a_day_ahead_ends_no_run(
    machine: Machine,
) -> None:
    names = [f"retries-{number}" for number in range(RUNS)]
    await asyncio.gather(*(machine.create(name) for name in [*names, "runs"]))
    await asyncio.gather(*(machine.run(name) for name in [*names, "runs"]))
    machine.operator.kill()
    await asyncio.gather(*(machine.fail(name) for name in names))
    machine.clock.move(DAY)
    machine.start()
    await asyncio.sleep(AHEAD_FOR)
    assert await machine.phases() <= {"Retrying", "Starting", "Running"}
    machine.clock.move(0)
    for name in names:
        assert (await machine.wait(name, "Starting"))["status"]["attempt"] == 1
    await machine.wait("runs", "Running")
