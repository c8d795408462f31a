"""Failures between the operator and the API server: nothing is lost, nothing is done twice, and
/healthz reports the true state.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from opstrand.core.names import run_uuid
from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.kube.session import open_session
from opstrand.runs.live import ClusterRuns
from opstrand.runs.protocols import RunNotFound
from opstrand.types import Body, Manifest
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import (
    OPERATOR_USER,
    in_phase,
    make_namespace,
    operation,
    pod_of,
    wait_for,
)
from tests.support.killing_operator import Child, Nursery
from tests.support.kubelet_stand_in import KubeletStandIn, mark, running
from tests.support.proxy import Proxy

_numbers = itertools.count(1)
STARTED = "2026-01-01T00:00:00Z"
RUNS = 12


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def nursery() -> AsyncIterator[Nursery]:
    async with Nursery() as started:
        yield started


@dataclass
class Place:
    """A namespace with its own operator behind its own proxy."""

    kube: KubeApi
    namespace: str
    proxy: Proxy
    port: int
    start: Callable[[], Awaitable[Child]]
    child: Child | None = None

    async def health(self) -> tuple[int, dict[str, Any]]:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}/healthz") as answer,
        ):
            return answer.status, await answer.json()

    async def create(self, *bodies: Manifest) -> None:
        await asyncio.gather(
            *(self.kube.create(OPERATIONS, self.namespace, body) for body in bodies)
        )

    async def started(self) -> None:
        """Wait until its watches are open."""
        async with asyncio.timeout(20):
            await until(lambda: self.proxy.watches >= 3)

    async def all_succeed(self, *, seconds: float = 60, attempts: int = 1) -> list[Manifest]:
        """Wait until every run has ended. Each ended once, with one Pod for each attempt."""
        for _ in range(int(seconds / 0.1)):
            bodies, _version = await self.kube.list(OPERATIONS, self.namespace)
            if all(parse_phase(body.get("status")).is_final for body in bodies):
                break
            await asyncio.sleep(0.1)
        story = {
            body["metadata"]["name"]: (body.get("status") or {}).get("history") for body in bodies
        }
        assert {parse_phase(body.get("status")).value for body in bodies} == {"Succeeded"}, story
        assert all(
            [entry["status"] for entry in history].count("succeeded") == 1
            for history in story.values()
        ), story
        pods, _version = await self.kube.list(PODS, self.namespace)
        assert len(pods) == len(bodies) * attempts, [pod["metadata"]["name"] for pod in pods]
        return bodies


async def until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(0.05)


@asynccontextmanager
async def every(seconds: float, act: Callable[[], None]) -> AsyncIterator[None]:
    """Repeat `act` during the block."""

    async def loop() -> None:
        while True:
            await asyncio.sleep(seconds)
            act()

    task = asyncio.create_task(loop())
    yield
    task.cancel()


@pytest_asyncio.fixture(loop_scope="session")
async def idle_place(
    quiet_plane: ControlPlane,
    quiet_kube: KubeApi,
    nursery: Nursery,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Place]:
    """Yield a place where nothing runs yet: `await place.start()`. The parameter holds other
    settings.
    """
    namespace = await make_namespace(quiet_kube, f"trouble-{next(_numbers)}")
    port, log = free_port("127.0.0.1"), tmp_path / "operator.log"
    async with Proxy(quiet_plane.user(OPERATOR_USER), tmp_path) as proxy:
        settings = {
            "namespaces": namespace,
            "relist_interval": 1,
            "silence": 1,
            "health_port": port,
            "retry_backoff": 1,
        }
        settings |= getattr(request, "param", {})
        environment = {f"OPSTRAND_{name.upper()}": str(value) for name, value in settings.items()}

        async def start() -> Child:
            place.child = await nursery.start(
                "opstrand.handlers", log, {"KUBECONFIG": str(proxy.kubeconfig), **environment}
            )
            return place.child

        place = Place(quiet_kube, namespace, proxy, port, start)
        yield place
        proxy.speak()
        if place.child is not None:
            print(place.child.read_log()[-6000:])
            assert place.child.is_running, "the operator ended"
            await place.child.end(9)
            assert "Traceback" not in place.child.read_log()


@pytest_asyncio.fixture(loop_scope="session")
async def place(idle_place: Place) -> Place:
    await idle_place.start()
    await idle_place.started()
    return idle_place


def chain(number: int) -> tuple[Manifest, Manifest]:
    """Return two runs; the second waits for the end of the first, and is applied before it."""
    asks = {"p": {"ref": f"ops.a-{number}", "value": "globals.status", "contextOnly": True}}
    return operation(f"b-{number}", {"params": asks}), operation(f"a-{number}")


async def test_watches_that_are_cut_lose_nothing(place: Place) -> None:
    async with KubeletStandIn(place.kube, run_for=0.3), every(0.25, place.proxy.cut):
        for number in range(RUNS):
            await place.create(*chain(number))
            await asyncio.sleep(0.05)
        await place.all_succeed()
    assert place.proxy.asked["watch"] > 6


async def test_versions_that_are_too_old_lose_nothing(place: Place) -> None:
    async with KubeletStandIn(place.kube, run_for=0.3), every(0.3, place.proxy.expire):
        for number in range(RUNS):
            await place.create(*chain(number))
            await asyncio.sleep(0.05)
        await place.all_succeed()
    assert place.proxy.asked["watch"] > 6


async def test_watches_that_are_refused_as_too_old_lose_nothing(place: Place) -> None:
    """The same error comes as a status instead of an event, as from an API server without a watch
    cache.
    """
    async with KubeletStandIn(place.kube, run_for=0.3):
        place.proxy.refuses, place.proxy.refuses_only = (410, {}), frozenset({"watch"})
        place.proxy.cut()
        await place.create(*chain(0))
        await asyncio.sleep(1)
        place.proxy.refuses = None
        await place.create(*chain(1))
        await place.all_succeed()


async def test_watches_that_fail_lose_nothing_and_are_reported(place: Place) -> None:
    async with KubeletStandIn(place.kube, run_for=0.3):
        for number in range(RUNS):
            await place.create(*chain(number))
            if number % 3 == 0:
                place.proxy.fail(500, "the store is away")
            await asyncio.sleep(0.1)
        await place.all_succeed()
    assert place.child is not None
    assert (
        "the watch of operations failed: the store is away; listed again in 0.25 s"
        in place.child.read_log()
    )
    assert (await place.health())[0] == 200


async def test_a_watch_that_only_fails_is_trouble_until_it_lives_and_makes_no_storm(
    place: Place,
) -> None:
    place.proxy.fails_watches = (500, "the store is away")
    before = place.proxy.asked["watch"]
    place.proxy.fail(*place.proxy.fails_watches)
    assert (await place.health())[0] == 200
    await asyncio.sleep(2.2)
    status, body = await place.health()
    assert (status, body["ok"]) == (503, False)
    assert "has failed for" in body["trouble"]
    assert "the store is away" in body["trouble"]
    assert place.proxy.asked["watch"] - before <= 4 * 3
    place.proxy.fails_watches = None
    async with asyncio.timeout(20):
        while (await place.health())[0] != 200:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.2)
    async with KubeletStandIn(place.kube):
        await place.create(*chain(0))
        await place.all_succeed()


@pytest.mark.parametrize("idle_place", [{"relist_interval": 3600}], indirect=True)
async def test_what_is_deleted_while_a_watch_reopens_is_missed_at_once(place: Place) -> None:
    """The deletion happens between the end of a watch and the list from which the next one begins:
    no event reports it.
    """
    held = {
        "component": {"run": {"kind": "job", "container": {"image": "busybox"}}},
        "isApproved": False,
    }
    (b, _), a = chain(0), operation("a-0", held)
    await place.create(b, a)
    await wait_for(
        place.kube,
        place.namespace,
        "b-0",
        lambda one: (one.get("status") or {}).get("reason") == "UpstreamPending",
    )
    place.proxy.hides_deletions_of = frozenset({"a-0"})
    await place.kube.delete(OPERATIONS, place.namespace, "a-0")
    await asyncio.sleep(0.2)  # an event would have arrived by now
    assert (await place.kube.get(OPERATIONS, place.namespace, "b-0"))["status"][
        "reason"
    ] == "UpstreamPending"
    place.proxy.expire()
    async with asyncio.timeout(20):
        await wait_for(
            place.kube,
            place.namespace,
            "b-0",
            lambda one: one["status"]["reason"] == "UpstreamNotFound",
        )


async def test_a_pod_whose_deletion_no_event_reported_is_lost_and_replaced(place: Place) -> None:
    await place.create(operation("a"))
    body = await wait_for(place.kube, place.namespace, "a", in_phase("Starting"))
    pod = await pod_of(place.kube, place.namespace, body)
    place.proxy.hides_deletions_of = frozenset({pod["metadata"]["name"]})
    await mark(place.kube, pod, running(STARTED))
    await wait_for(place.kube, place.namespace, "a", in_phase("Running"))
    await place.kube._json(
        "DELETE",
        PODS.path(place.namespace, pod["metadata"]["name"]),
        what="force",
        body={"gracePeriodSeconds": 0},
    )
    async with KubeletStandIn(place.kube):
        (body,) = await place.all_succeed()
    assert body["status"]["retries"] == {"failures": 0, "disruptions": 1}


async def test_an_upstream_whose_deletion_no_event_reported_is_not_there(place: Place) -> None:
    held = {
        "component": {"run": {"kind": "job", "container": {"image": "busybox"}}},
        "isApproved": False,
    }
    (b, _), a = chain(0), operation("a-0", held)
    place.proxy.hides_deletions_of = frozenset({"a-0"})
    await place.create(b, a)
    await wait_for(
        place.kube,
        place.namespace,
        "b-0",
        lambda one: (one.get("status") or {}).get("reason") == "UpstreamPending",
    )
    await place.kube.delete(OPERATIONS, place.namespace, "a-0")
    await wait_for(
        place.kube,
        place.namespace,
        "b-0",
        lambda one: one["status"]["reason"] == "UpstreamNotFound",
    )
    async with KubeletStandIn(place.kube):
        await place.create(operation("a-0"))
        await place.all_succeed()


async def test_a_name_taken_again_while_no_watch_was_open_is_another_run(place: Place) -> None:
    """The old run's uuid finds nothing, instead of the new run's values."""
    await place.create(operation("a-0", {"isApproved": False}))
    old = await wait_for(place.kube, place.namespace, "a-0", in_phase("Waiting"))
    place.proxy.hides_deletions_of = frozenset({"a-0"})
    await place.kube.delete(OPERATIONS, place.namespace, "a-0")
    await place.create(operation("a-0"))
    await wait_for(place.kube, place.namespace, "a-0", in_phase("Starting"))
    asks = {
        "p": {
            "ref": f"runs.{old['metadata']['uid']}",
            "value": "globals.status",
            "contextOnly": True,
        }
    }
    await place.create(operation("b", {"params": asks}))
    body = await wait_for(place.kube, place.namespace, "b", in_phase("Waiting"))
    assert body["status"]["reason"] == "UpstreamNotFound"


@pytest.mark.parametrize(
    ("status", "headers"),
    [(429, {"Retry-After": "1"}), (500, {}), (503, {"Retry-After": "0"}), (401, {}), (403, {})],
)
async def test_refusals_for_a_while_lose_nothing_and_make_no_storm(
    place: Place, status: int, headers: dict[str, str]
) -> None:
    async with KubeletStandIn(place.kube, run_for=0.2):
        await place.create(*itertools.chain(*map(chain, range(4))))
        await asyncio.sleep(0.15)
        place.proxy.refuses = (status, headers)
        place.proxy.cut()
        await place.create(*itertools.chain(*map(chain, range(4, 8))))
        before = place.proxy.asked.total()
        await asyncio.sleep(2)
        refused = place.proxy.asked.total() - before
        place.proxy.refuses = None
        await place.all_succeed()
    # Sixteen runs, three watches and the lists, each with growing pauses.
    assert refused < 150
    assert (await place.health())[0] == 200


async def test_an_operator_that_starts_on_a_bad_day_starts_when_it_is_over(
    idle_place: Place,
) -> None:
    idle_place.proxy.refuses = (500, {})
    await idle_place.create(*chain(0))
    await idle_place.start()
    async with asyncio.timeout(20):
        await until(lambda: idle_place.proxy.asked["list"] >= 6)
    idle_place.proxy.refuses = None
    async with KubeletStandIn(idle_place.kube):
        await idle_place.all_succeed()


async def test_answers_that_are_lost_on_their_way_are_not_doubled(place: Place) -> None:
    async with KubeletStandIn(place.kube, run_for=0.3):
        place.proxy.loses_answers = 20
        for number in range(4):
            await place.create(*chain(number))
        await place.all_succeed()
    assert place.proxy.loses_answers < 10


async def test_a_slow_api_server_makes_a_backlog_and_no_alarm(place: Place) -> None:
    place.proxy.delay = 0.2
    seen: list[tuple[int, dict[str, Any]]] = []
    async with KubeletStandIn(place.kube, run_for=0.2):
        await place.create(*itertools.chain(*map(chain, range(40))))
        ending = asyncio.create_task(place.all_succeed())
        while not ending.done():
            seen.append(await place.health())
            await asyncio.wait({ending}, timeout=0.1)
        await ending
    assert {status for status, _ in seen} == {200}
    assert max(body["queue"] for _, body in seen) > 32


@pytest.mark.parametrize("idle_place", [{"relist_interval": 3600, "silence": 3}], indirect=True)
async def test_silence_is_trouble_only_where_a_small_list_is_not_answered(place: Place) -> None:
    await asyncio.sleep(3.2)  # longer than the setting, without an event
    lists = place.proxy.asked["list"]
    assert (await place.health())[0] == 200
    assert place.proxy.asked["list"] == lists + 1
    place.proxy.go_silent()
    await place.create(*chain(0))
    assert (await place.health())[0] == 200  # it received something a moment ago
    await asyncio.sleep(3.2)
    status, body = await place.health()
    assert (status, body["ok"]) == (503, False)
    assert "the cluster sent nothing" in body["trouble"]
    place.proxy.speak()
    async with KubeletStandIn(place.kube):
        await place.all_succeed()
    assert (await place.health())[0] == 200


async def test_two_operators_at_once_make_one_pod_and_one_end(
    place: Place, nursery: Nursery, quiet_plane: ControlPlane, tmp_path: Path
) -> None:
    """One operator replaces the other, and both run for a while; the old one receives every event
    late.
    """
    environment = {
        "OPSTRAND_NAMESPACES": place.namespace,
        "OPSTRAND_HEALTH_PORT": "0",
        "OPSTRAND_RETRY_BACKOFF": "1",
    }
    kubeconfig = str(quiet_plane.user(OPERATOR_USER))
    place.proxy.delay = 0.1
    log = tmp_path / "second.log"
    second = await nursery.start(
        "opstrand.handlers",
        log,
        {"KUBECONFIG": kubeconfig, "OPSTRAND_RELIST_INTERVAL": "2", **environment},
    )
    try:
        async with KubeletStandIn(place.kube, run_for=0.3):
            for number in range(20):
                await place.create(*chain(number))
            await asyncio.sleep(1.5)
            assert place.child is not None
            await place.child.end(9)
            await place.all_succeed()
    finally:
        await second.end(9)
        print(second.read_log()[-4000:])
    assert "Traceback" not in second.read_log()
    place.child = None


def says(message: str, body: Body) -> bool:
    return bool((body.get("status") or {}).get("message") == message)


async def test_the_apis_own_watch_misses_nothing_either(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> None:
    namespace = await make_namespace(quiet_kube, f"trouble-{next(_numbers)}")
    made = await quiet_kube.create(OPERATIONS, namespace, operation("a"))
    uuid = run_uuid(made["metadata"]["uid"])
    async with (
        Proxy(quiet_plane.user(OPERATOR_USER), tmp_path) as proxy,
        await open_session(kubeconfig=str(proxy.kubeconfig)) as session,
    ):
        runs = ClusterRuns(KubeApi(session))
        watching = asyncio.create_task(runs.keep_watching())
        troubles = (proxy.cut, proxy.expire, lambda: proxy.fail(500, "the store is away"))
        for number, trouble in enumerate((*troubles, proxy.cut)):
            async with asyncio.timeout(20):
                await until(lambda: proxy.watches >= 1)
            trouble()
            status = [
                {"op": "add", "path": "/status", "value": {"uuid": uuid, "message": str(number)}}
            ]
            await quiet_kube.json_patch(OPERATIONS, namespace, "a", status, subresource="status")
            body = await runs.wait(namespace, uuid, functools.partial(says, str(number)), 20)
            assert says(str(number), body)
        proxy.hides_deletions_of = frozenset({"a"})
        await quiet_kube.delete(OPERATIONS, namespace, "a")
        async with asyncio.timeout(20):
            # a watch that is just being reopened would miss it
            await until(lambda: proxy.watches >= 1)
        proxy.expire()
        with pytest.raises(RunNotFound):
            await runs.wait(namespace, uuid, lambda _: False, 20)
        watching.cancel()
