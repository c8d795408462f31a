"""Two operators over one cluster, one of them behind; and a cluster that fails between a write and
the action that follows it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from opstrand.controller.cache import Cache
from opstrand.controller.gather import World
from opstrand.controller.reconcile import Outcome, reconcile
from opstrand.errors import PlatformError
from opstrand.kube.errors import ApiError
from opstrand.kube.resources import OPERATIONS, PODS, Resource
from opstrand.local.kube import MemoryKube
from opstrand.settings import Settings
from opstrand.types import Key, Manifest
from opstrand.workers.pool import Pool

A, B = ("ns", "a"), ("ns", "b")
STARTED = "2026-01-01T00:00:00Z"
ASKS_A = {"p": {"ref": "ops.a", "value": "outputs.x", "contextOnly": True}}


def operation(name: str, **spec: Any) -> Manifest:
    component = {"run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}}
    return {"metadata": {"name": name}, "spec": {"component": component, **spec}}


class Operator:
    """One operator's own view of the cluster: what `see` shows it, and the answers to its own
    requests.
    """

    def __init__(self, kube: MemoryKube, **settings: Any) -> None:
        self.kube, self.now = kube, datetime(2026, 1, 1, tzinfo=UTC)
        self.world = World(kube, Cache(), Settings(**settings), Pool(modules=()))

    async def see(self) -> None:
        for resource in (OPERATIONS, PODS):
            for body in (await self.kube.list(resource))[0]:
                self.world.cache.put(resource, body)

    async def run(self, key: Key) -> Outcome:
        return await reconcile(key, world=self.world, clock=lambda: self.now)


class Cluster(MemoryKube):
    """A cluster in memory; deletions fail while `breaks` is set.

    `before_patch` runs once, just before the next patch arrives.
    """

    def __init__(self) -> None:
        super().__init__(lambda *_: None)
        self.breaks = False
        self.before_patch: Callable[[], Awaitable[Any]] | None = None

    async def json_patch(self, resource: Resource, *arguments: Any, **options: Any) -> Manifest:
        act, self.before_patch = self.before_patch, None
        if act is not None:
            await act()
        return await super().json_patch(resource, *arguments, **options)

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        if self.breaks:
            raise ApiError("could not delete: broken", status=500)
        await super().delete(resource, namespace, name, uid=uid)

    async def status(self, key: Key) -> dict[str, Any]:
        return dict((await self.get(OPERATIONS, *key)).get("status") or {})

    async def pod(self) -> Manifest:
        (found,) = (await self.list(PODS))[0]
        return found

    async def mark(self, status: dict[str, Any]) -> None:
        await self.store(PODS, {**await self.pod(), "status": status})


async def begin(kube: Cluster) -> Operator:
    """Return an operator whose run "a" has a running Pod, and that has seen it."""
    operator = Operator(kube)
    await kube.create(OPERATIONS, "ns", operation("a"))
    await operator.see()
    await operator.run(A)
    await kube.mark(RUNNING)
    await operator.see()
    return operator


def main_state(phase: str, **state: Any) -> dict[str, Any]:
    return {"phase": phase, "containerStatuses": [{"name": "main", "image": "!", "state": state}]}


RUNNING = main_state("Running", running={"startedAt": STARTED})
ENDED = main_state(
    "Succeeded", terminated={"exitCode": 0, "startedAt": STARTED, "finishedAt": STARTED}
)
FAILED = main_state(
    "Failed", terminated={"exitCode": 1, "startedAt": STARTED, "finishedAt": STARTED}
)
HOPELESS = main_state("Pending", waiting={"reason": "InvalidImageName", "message": "!"})


async def test_who_is_behind_does_not_take_a_frozen_run_back_to_waiting() -> None:
    """Before, its first write had no guard: inputs, Pod name and the run's reports were lost."""
    kube = Cluster()
    await kube.create(OPERATIONS, "ns", operation("b", params=ASKS_A))
    ahead, behind = Operator(kube), Operator(kube)
    await behind.see()
    body = await kube.create(OPERATIONS, "ns", operation("a"))
    await kube.store(
        OPERATIONS,
        {**body, "status": {"phase": "Succeeded", "outputs": {"x": 1}, "pod": {"name": "a"}}},
    )
    await ahead.see()
    await ahead.run(B)
    frozen = await kube.status(B)
    assert (frozen["phase"], frozen["inputs"]) == ("Starting", {"p": 1})
    assert (await behind.run(B)).again == 0.0
    assert await kube.status(B) == frozen
    await behind.run(B)
    assert (await kube.status(B), len((await kube.list(PODS))[0])) == (frozen, 1)


async def test_who_is_behind_does_not_take_an_ended_run_back_to_running() -> None:
    kube = Cluster()
    await kube.create(OPERATIONS, "ns", operation("a"))
    ahead, behind = Operator(kube), Operator(kube)
    await ahead.see()
    await ahead.run(A)
    await kube.mark(RUNNING)
    await behind.see()
    await kube.mark(ENDED)
    await ahead.see()
    await ahead.run(A)
    ended = await kube.status(A)
    assert ended["phase"] == "Succeeded"
    assert (await behind.run(A)).again == 0.0
    assert await kube.status(A) == ended
    await behind.run(A)
    assert await kube.status(A) == ended


async def test_who_is_behind_does_not_count_a_failure_twice() -> None:
    kube = Cluster()
    await kube.create(OPERATIONS, "ns", operation("a", termination={"maxRetries": 5}))
    ahead, behind = Operator(kube), Operator(kube)
    await ahead.see()
    await ahead.run(A)
    await kube.mark(FAILED)
    for operator in (behind, ahead):
        await operator.see()
    await ahead.run(A)
    ahead.now += timedelta(seconds=60)
    await ahead.run(A)
    started = await kube.status(A)
    assert (started["phase"], started["attempt"], started["retries"]["failures"]) == (
        "Starting",
        1,
        1,
    )
    await behind.run(A)
    assert await kube.status(A) == started


async def test_an_operator_that_learns_of_an_end_by_a_conflict_wakes_waiting_runs() -> None:
    """The watch has no newer event after the conflict: the others would wait for ever."""
    kube = Cluster()
    await kube.create(OPERATIONS, "ns", operation("a"))
    await kube.create(OPERATIONS, "ns", operation("b", params=ASKS_A))
    ahead, behind = Operator(kube), Operator(kube)
    for operator in (ahead, behind):
        await operator.see()
    await behind.run(B)
    await ahead.run(A)
    await kube.mark(ENDED)
    await ahead.see()
    await ahead.run(A)
    assert (await behind.run(A)).wake == {B}


async def test_trouble_after_the_last_write_keeps_no_run_waiting_and_leaves_no_pod() -> None:
    kube = Cluster()
    operator = Operator(kube)
    await kube.create(OPERATIONS, "ns", operation("a"))
    await kube.create(OPERATIONS, "ns", operation("b", params=ASKS_A))
    await operator.see()
    await operator.run(B)
    await operator.run(A)
    await kube.mark(HOPELESS)
    await operator.see()
    kube.breaks = True
    outcome = await operator.run(A)
    assert (await kube.status(A))["phase"] == "Failed"
    assert (outcome.wake, isinstance(outcome.trouble, PlatformError)) == ({B}, True)
    kube.breaks = False
    await operator.run(A)
    assert "deletionTimestamp" in (await kube.pod())["metadata"]


async def test_a_run_that_is_over_lets_no_pod_of_its_own_run_on_and_leaves_others_alone() -> None:
    kube = Cluster()
    operator = Operator(kube)
    await kube.create(OPERATIONS, "ns", operation("a"))
    await operator.see()
    await operator.run(A)
    body = await kube.get(OPERATIONS, "ns", "a")
    await kube.store(OPERATIONS, {**body, "status": {**body["status"], "phase": "Stopped"}})
    await kube.mark(RUNNING)
    foreign = await kube.pod()
    owned = foreign["metadata"].pop("ownerReferences")
    foreign = await kube.store(PODS, foreign)
    await operator.see()
    await operator.run(A)
    assert await kube.pod() == foreign
    await kube.store(
        PODS, {**foreign, "metadata": {**foreign["metadata"], "ownerReferences": owned}}
    )
    await operator.see()
    await operator.run(A)
    assert (await kube.pod())["spec"]["activeDeadlineSeconds"] == 1


async def test_a_pod_that_ends_while_it_is_being_stopped_is_looked_at() -> None:
    """The answer to the patch has the Pod's end; the event of the watch is older, and is ignored as
    old.
    """
    kube = Cluster()
    operator = await begin(kube)
    await operator.run(A)
    body = await kube.get(OPERATIONS, "ns", "a")
    await kube.store(OPERATIONS, {**body, "spec": {**body["spec"], "control": {"stop": True}}})
    await operator.see()

    async def end_during_the_stop() -> None:
        kube.before_patch = lambda: kube.mark(ENDED)

    # The first patch is of the status, the second of the Pod.
    kube.before_patch = end_during_the_stop
    assert (await operator.run(A)).wake == {A}
    await operator.run(A)
    assert (await kube.status(A))["phase"] == "Succeeded"


async def test_what_is_asked_for_during_a_write_is_heard_in_its_answer() -> None:
    kube = Cluster()
    operator = await begin(kube)

    async def ask_to_stop() -> None:
        body = await kube.get(OPERATIONS, "ns", "a")
        metadata = {**body["metadata"], "generation": 2}
        await kube.store(
            OPERATIONS,
            {**body, "metadata": metadata, "spec": {**body["spec"], "control": {"stop": True}}},
        )

    kube.before_patch = ask_to_stop
    assert (await operator.run(A)).wake == {A}
    assert (await operator.run(A)).wake == {A}  # the patch of the Pod
    assert (await kube.status(A))["phase"] == "Stopping"
    assert (await operator.run(A)).wake == set()


async def test_a_condition_that_the_api_adds_during_a_write_is_kept() -> None:
    kube = Cluster()
    operator = await begin(kube)
    kept = {
        "type": "ReportKept",
        "status": "False",
        "reason": "OutputsTooLarge",
        "message": "",
        "lastTransitionTime": STARTED,
    }

    async def report() -> None:
        body = await kube.get(OPERATIONS, "ns", "a")
        conditions = [*body["status"]["conditions"], kept]
        await kube.store(
            OPERATIONS, {**body, "status": {**body["status"], "conditions": conditions}}
        )

    kube.before_patch = report
    assert (await operator.run(A)).again == 0
    await operator.run(A)
    status = await kube.status(A)
    assert (status["phase"], kept in status["conditions"]) == ("Running", True)
