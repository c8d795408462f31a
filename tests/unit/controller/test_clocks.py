"""A machine's clock is set while runs wait: no wait gets longer, and nothing ends because of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opstrand.controller.cache import Cache
from opstrand.controller.decision_job import MODULE
from opstrand.controller.gather import World
from opstrand.controller.reconcile import Outcome, reconcile
from opstrand.controller.stopwatch import Stopwatch
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.local.kube import MemoryKube
from opstrand.settings import Settings
from opstrand.types import Manifest
from opstrand.workers.pool import Pool

KEY = ("ns", "a")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR, DAY = 3600.0, 86400.0


POOL = Pool(modules=(MODULE,))


@pytest.fixture(scope="module", autouse=True)
async def workers() -> AsyncIterator[None]:
    """Close the workers while the loop still runs: it watches their sockets."""
    yield
    POOL.close()
    await asyncio.sleep(0.1)


class Machine:
    """The clocks of a machine: `passed` seconds went by, and the wall clock is set `ahead` by some
    seconds.
    """

    def __init__(self) -> None:
        self.passed, self.ahead = 1000.0, 0.0

    def monotonic(self) -> float:
        return self.passed

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.passed + self.ahead)

    def true(self, seconds: float = 0) -> str:
        """Return the time on the other machines."""
        return (NOON + timedelta(seconds=self.passed + seconds)).isoformat()


class Operator:
    """One life of an operator on that machine."""

    def __init__(self, kube: MemoryKube, machine: Machine, **settings: Any) -> None:
        self.kube, self.machine = kube, machine
        self.world = World(
            kube, Cache(), Settings(**settings), POOL, stopwatch=Stopwatch(machine.monotonic)
        )

    async def look(self) -> Outcome:
        for resource in (OPERATIONS, PODS):
            for body in (await self.kube.list(resource))[0]:
                self.world.cache.put(resource, body)
        outcome = await reconcile(KEY, world=self.world, clock=self.machine.wall)
        if not outcome.parked:
            return outcome
        # large: decided in a worker
        return await reconcile(KEY, world=self.world, clock=self.machine.wall, is_parked=True)

    async def settle(self, seconds: float, until: tuple[str, ...] = ()) -> str:
        """Reconcile whenever the run asks for it; return the phase after this many seconds, or as
        soon as it is one of `until`.
        """
        deadline = self.machine.passed + seconds
        while True:
            outcome = await self.look()
            phase = await self.phase()
            if phase in until:
                return phase
            wait = outcome.again if outcome.again is not None else seconds
            if self.machine.passed + wait > deadline:
                self.machine.passed = deadline
                await self.look()
                return await self.phase()
            self.machine.passed += wait

    async def phase(self) -> str:
        return str(((await self.kube.get(OPERATIONS, *KEY)).get("status") or {}).get("phase"))


async def begin(machine: Machine, kind: str = "job", **spec: Any) -> MemoryKube:
    kube = MemoryKube(lambda *_: None)
    run = {"kind": kind, "container": {"image": "busybox", "command": ["true"]}}
    await kube.create(
        OPERATIONS, "ns", {"metadata": {"name": "a"}, "spec": {"component": {"run": run}, **spec}}
    )
    return kube


async def pod_of(kube: MemoryKube, number: int = 0) -> Manifest:
    (found,) = [
        pod for pod in (await kube.list(PODS))[0] if pod["metadata"]["name"].endswith(f"-{number}")
    ]
    return found


async def mark(
    kube: MemoryKube, machine: Machine, number: int = 0, *, started: float, code: int | None = None
) -> None:
    """Mark the attempt's Pod as running for this many seconds, or as just ended."""
    began = machine.true(-started)
    state = {"running": {"startedAt": began}}
    if code is not None:
        state = {"terminated": {"exitCode": code, "startedAt": began, "finishedAt": machine.true()}}  # type: ignore[dict-item]
    phase = {None: "Running", 0: "Succeeded"}.get(code, "Failed")
    conditions = [{"type": "Ready", "status": "True"}]
    status = {
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": [{"name": "main", "state": state}],
    }
    await kube.store(PODS, {**await pod_of(kube, number), "status": status})


async def fail_once(
    machine: Machine, *, ahead: float, about: str = "", **termination: Any
) -> tuple[MemoryKube, Operator]:
    """Return a run whose first attempt failed, seen by an operator whose clock was ahead by this
    much at that moment.
    """
    kube = await begin(machine, termination={"maxRetries": 1, **termination}, description=about)
    operator = Operator(kube, machine)
    await operator.look()
    machine.passed += 5
    await mark(kube, machine, started=4)
    await operator.look()
    machine.passed += 5
    machine.ahead = ahead
    await mark(kube, machine, started=9, code=1)
    await operator.look()
    assert await operator.phase() == "Retrying"
    machine.ahead = 0.0
    return kube, operator


@pytest.mark.parametrize("size", [0, 50_000])
@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("ahead", [HOUR, DAY, -HOUR])
async def test_a_retry_is_due_after_its_backoff_whatever_the_clock_said(
    ahead: float, is_restarted: bool, size: int
) -> None:
    machine = Machine()
    kube, operator = await fail_once(machine, ahead=ahead, about="x" * size)
    if is_restarted:
        operator = Operator(kube, machine)
    # The backoff of the first retry is 10 s.
    assert await operator.settle(11, ("Starting",)) == "Starting"
    assert await pod_of(kube, 1)


@pytest.mark.parametrize("ahead", [DAY, HOUR])
async def test_no_retry_times_out_while_the_clock_is_ahead(ahead: float) -> None:
    machine = Machine()
    kube, operator = await fail_once(machine, ahead=0.0, timeout=600)
    machine.ahead = ahead
    assert await operator.settle(8) == "Retrying"
    machine.ahead = 0.0
    assert await operator.settle(30, ("Starting",)) == "Starting"
    left = (await pod_of(kube, 1))["spec"]["activeDeadlineSeconds"]
    assert 560 < left < 600


async def test_no_retry_times_out_for_an_operator_that_starts_while_the_clock_is_ahead() -> None:
    machine = Machine()
    kube, _ = await fail_once(machine, ahead=0.0, timeout=600)
    machine.ahead = DAY
    operator = Operator(kube, machine)
    assert await operator.settle(8) == "Retrying"
    machine.ahead = 0.0
    assert await operator.settle(30, ("Starting",)) == "Starting"


async def test_a_timeout_that_passed_while_no_operator_ran_is_believed_at_a_second_look() -> None:
    machine = Machine()
    kube, _ = await fail_once(machine, ahead=0.0, timeout=600)
    machine.passed += 700
    operator = Operator(kube, machine)
    await operator.look()
    assert await operator.phase() == "Retrying"
    assert await operator.settle(15, ("Failed",)) == "Failed"


@pytest.mark.parametrize("ahead", [DAY, -DAY])
async def test_patience_is_counted_while_the_clock_jumps(ahead: float) -> None:
    machine = Machine()
    asks = {"params": {"p": {"ref": "ops.never", "value": "outputs.x", "contextOnly": True}}}
    operator = Operator(await begin(machine, **asks), machine, upstream_patience=100)
    await operator.look()
    machine.passed += 10
    await operator.look()
    for moved in (ahead, 0.0, ahead):
        machine.ahead = moved
        assert await operator.settle(20) == "Waiting"
    assert await operator.settle(50, ("Failed",)) == "Failed"
    assert machine.passed - 1000 <= 130


async def test_a_pod_is_not_taken_away_before_its_time() -> None:
    machine = Machine()
    kube = await begin(machine, termination={"ttl": 600})
    operator = Operator(kube, machine)
    await operator.look()
    machine.passed += 5
    await mark(kube, machine, started=4, code=0)
    await operator.look()
    assert await operator.phase() == "Succeeded"
    pod = await pod_of(kube)
    machine.ahead = DAY
    await operator.settle(500)
    assert "deletionTimestamp" not in (await pod_of(kube))["metadata"]
    await operator.settle(200)
    assert "deletionTimestamp" in (await pod_of(kube))["metadata"]
    assert pod["metadata"]["uid"] == (await pod_of(kube))["metadata"]["uid"]


@pytest.mark.parametrize("seen", [True, False])
async def test_a_service_is_stopped_by_its_timeout_and_by_no_jump(seen: bool) -> None:
    machine = Machine()
    kube = await begin(machine, "service", termination={"timeout": 600})
    operator = Operator(kube, machine)
    await operator.look()
    machine.passed += 5
    await mark(kube, machine, started=4)
    await operator.look()
    assert await operator.phase() == "Running"
    if not seen:
        operator = Operator(kube, machine)
    machine.ahead = DAY
    assert await operator.settle(8) == "Running"
    machine.ahead = 0.0
    assert await operator.settle(550) == "Running"
    assert await operator.settle(60, ("Stopping",)) == "Stopping"


def test_the_wall_clock_alone_is_believed_once_it_went_as_the_other() -> None:
    machine = Machine()
    watch = Stopwatch(machine.monotonic)
    past = machine.true(-300)
    first = watch.look(KEY, [past], machine.wall())(past, False)
    assert (first.seconds, first.doubted_for) == (300, 10)
    machine.passed += 10
    second = watch.look(KEY, [past], machine.wall())(past, False)
    assert (second.seconds, second.doubted_for) == (310, 0)
    machine.ahead = DAY
    assert watch.look(KEY, [past], machine.wall())(past, False).seconds == 310
