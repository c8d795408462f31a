"""Keeping the cache true: lists that recover what a watch missed, patience at the start, and when
the operator reports trouble.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from opstrand.controller.cache import Cache
from opstrand.controller.gather import World
from opstrand.controller.queue import Queue
from opstrand.controller.reconcile import Outcome
from opstrand.controller.sync import Sync
from opstrand.core import names
from opstrand.errors import PlatformError
from opstrand.kube.errors import ApiError, Forbidden, NotFound
from opstrand.kube.resources import OPERATIONS, PODS, Resource
from opstrand.local.kube import MemoryKube
from opstrand.settings import Settings
from opstrand.types import Key, Manifest
from opstrand.workers.pool import Pool

POD: Manifest = {
    "metadata": {
        "name": "p",
        "labels": {names.MANAGED_BY: names.MANAGED_BY_VALUE},
        "ownerReferences": [
            {"kind": "Operation", "apiVersion": names.API_VERSION, "name": "a", "uid": "1"}
        ],
    },
    "spec": {"containers": [{"name": "main", "image": "x", "command": ["true"]}]},
}


def operation(name: str) -> Manifest:
    return {"metadata": {"name": name}, "spec": {}}


class Troubled(MemoryKube):
    """A cluster in memory whose lists fail on request.

    `asked` records each list's namespace, and each GET.
    """

    def __init__(self) -> None:
        super().__init__(lambda *_: None)
        self.troubles: list[Exception | Callable[[], Awaitable[None]]] = []
        self.asked: list[str | None] = []

    async def list(
        self, resource: Resource, namespace: str | None = None, **query: Any
    ) -> tuple[list[Manifest], str]:
        if resource is OPERATIONS:
            self.asked.append(namespace)
        trouble = self.troubles.pop(0) if self.troubles and resource is OPERATIONS else None
        if isinstance(trouble, Exception):
            raise trouble
        found = await super().list(resource, namespace, **query)
        if trouble is not None:
            await trouble()
        return found

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        self.asked.append(f"GET {name}")
        return await super().get(resource, namespace, name)


class Bench:
    """A Sync over such a cluster, and the keys that it puts into the queue."""

    def __init__(self, **settings: Any) -> None:
        self.kube = Troubled()
        self.keys: list[Key] = []
        self.world = World(self.kube, Cache(), Settings(**settings), Pool(modules=()))
        self.queue = Queue(self._reconcile, concurrency=1)
        self.sync = Sync(self.world, self.queue)

    async def _reconcile(self, key: Key) -> Outcome:
        self.keys.append(key)
        return Outcome()

    async def take_keys(self) -> list[Key]:
        await asyncio.sleep(0.01)
        taken, self.keys = self.keys, []
        return sorted(set(taken))


async def test_a_list_makes_up_the_deletions_of_operations_and_pods() -> None:
    bench = Bench()
    for name in ("a", "b"):
        await bench.kube.create(OPERATIONS, "ns", operation(name))
    pod = await bench.kube.create(PODS, "ns", POD)
    bench.queue.start()
    await bench.sync.list_all()
    assert await bench.take_keys() == [("ns", "a"), ("ns", "b")]
    await bench.kube.remove(PODS, pod)
    await bench.kube.remove(OPERATIONS, await bench.kube.get(OPERATIONS, "ns", "b"))
    bench.kube.asked.clear()
    await bench.sync.list_all()
    assert await bench.take_keys() == [("ns", "a")]
    assert [
        bench.world.cache.count(OPERATIONS),
        bench.world.cache.count(PODS),
        bench.world.cache.was_seen(PODS, ("ns", "p")),
    ] == [1, 0, True]
    assert bench.kube.asked == [None, "GET b", "GET p"]
    bench.kube.asked.clear()
    await bench.sync.list_all()
    assert (await bench.take_keys(), bench.kube.asked) == ([], [None])


async def test_what_was_made_while_a_list_was_under_way_stays_and_is_not_asked_about() -> None:
    bench = Bench()
    bench.queue.start()

    async def make() -> None:
        bench.sync.observe(
            OPERATIONS, "ADDED", await bench.kube.create(OPERATIONS, "ns", operation("new"))
        )

    bench.kube.troubles = [make]
    await bench.sync.list_all()
    assert bench.world.cache.operation(("ns", "new")) is not None
    assert "GET new" not in bench.kube.asked


async def test_what_was_deleted_while_a_list_was_under_way_does_not_come_back() -> None:
    bench = Bench()
    body = await bench.kube.create(OPERATIONS, "ns", operation("a"))
    await bench.sync.list_all()

    async def delete() -> None:
        bench.sync.observe(OPERATIONS, "DELETED", body)

    bench.kube.troubles = [delete]
    await bench.sync.list_all()
    assert bench.world.cache.operation(("ns", "a")) is None


async def test_only_the_namespaces_that_were_asked_for_are_listed() -> None:
    bench = Bench(namespaces="one, two", silence=0)
    for namespace in ("one", "two", "three"):
        await bench.kube.create(OPERATIONS, namespace, operation("a"))
    bench.queue.start()
    await bench.sync.list_all()
    assert await bench.take_keys() == [("one", "a"), ("two", "a")]
    assert bench.kube.asked == ["one", "two"]
    assert await bench.sync.find_trouble() is None
    assert bench.kube.asked[2:] == ["one"]


async def test_a_busy_cluster_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opstrand.kube.watch_health.FIRST_PAUSE", 0.001)
    bench = Bench()
    bench.kube.troubles = [
        ApiError("busy", status=429, retry_after=0.001),
        ApiError("broken", status=500),
        ApiError("gone", status=410),
    ]
    await bench.sync.list_at_start(5)
    assert len(bench.kube.asked) == 4


@pytest.mark.parametrize(
    "trouble", [NotFound("no CRDs", status=404), Forbidden("no rights", status=403)]
)
async def test_what_only_a_person_can_fix_is_reported_at_once(trouble: ApiError) -> None:
    bench = Bench()
    bench.kube.troubles = [trouble]
    with pytest.raises(PlatformError):
        await bench.sync.list_at_start(60)
    assert len(bench.kube.asked) == 1


async def test_patience_at_the_start_has_an_end() -> None:
    bench = Bench()
    bench.kube.troubles = [ApiError("broken", status=500)] * 9
    with pytest.raises(ApiError):
        await bench.sync.list_at_start(0.1)


async def test_the_periodic_list_outlives_every_trouble() -> None:
    bench = Bench()
    bench.kube.troubles = [ApiError("broken", status=500), ValueError("a bug")]
    task = asyncio.create_task(bench.sync.relist_forever(0.005))
    await asyncio.sleep(0.1)
    task.cancel()
    assert len(bench.kube.asked) > 3


async def test_silence_alone_is_no_trouble_and_trouble_ends_with_the_next_word() -> None:
    bench = Bench(silence=0)
    assert await bench.sync.find_trouble() is None
    bench.kube.troubles = [ApiError("down", status=500)]
    assert "down" in str(await bench.sync.find_trouble())
    assert await bench.sync.find_trouble() is None


async def test_nothing_is_asked_while_something_is_heard() -> None:
    bench = Bench(silence=60)
    bench.kube.troubles = [ApiError("down", status=500)]
    assert (await bench.sync.find_trouble(), bench.kube.asked) == (None, [])


async def test_a_list_without_an_answer_is_trouble_before_the_probe_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("opstrand.controller.sync._SMALL_LIST", 0.01)
    bench = Bench(silence=0)

    async def hang() -> None:
        await asyncio.sleep(60)

    bench.kube.troubles = [hang]
    assert "no answer" in str(await bench.sync.find_trouble())


async def test_a_watch_begins_at_the_first_list_and_lists_again_when_it_reopens() -> None:
    bench = Bench()
    await bench.sync.list_all()
    watch = bench.sync.watches[0]
    bench.kube.asked.clear()
    assert (await bench.sync.list_for(watch), bench.kube.asked) == ("0", [])
    await bench.sync.list_for(watch)
    assert bench.kube.asked == [None]


def write_line(
    kind: str, version: str, labels: dict[str, str] | None = None, **metadata: str
) -> bytes:
    """Return an event in the API server's own spelling."""
    fixed = {
        "labels": labels or {},
        "name": "a",
        "namespace": "ns",
        "resourceVersion": version,
        "uid": "1",
        **metadata,
    }
    return (
        json.dumps({"type": kind, "object": {"metadata": fixed}}, separators=(",", ":")).encode()
        + b"\n"
    )


@pytest.mark.parametrize("is_usual", [True, False], ids=["as it is written", "in another order"])
def test_old_news_is_what_is_known_and_nothing_else(is_usual: bool) -> None:
    bench = Bench()

    def line(kind: str, version: str, **rest: Any) -> bytes:
        written = json.loads(write_line(kind, version, **rest))
        head = {"apiVersion": "opstrand.dev/v1", "kind": "Operation"} if is_usual else {}
        body = {
            **head,
            **written["object"],
            "spec": {"metadata": {"name": "z", "resourceVersion": "7"}},
        }
        return json.dumps({**written, "object": body}, separators=(",", ":")).encode() + b"\n"

    for name, version in (("a", "7"), ("b", "8")):
        body = {
            "metadata": {"name": name, "namespace": "ns", "resourceVersion": version, "uid": name}
        }
        bench.sync.observe(OPERATIONS, "ADDED", body)
    assert bench.sync.repeats_cache(OPERATIONS, line("MODIFIED", "7"))
    assert bench.sync.repeats_cache(OPERATIONS, line("ADDED", "7"))
    news = [
        line("MODIFIED", "8"),
        line("MODIFIED", "6"),
        line("DELETED", "7"),
        line("ADDED", "7", namespace="other"),
        b'{"type":"BOOKMARK","object":{"kind":"Operation","metadata":{"resourceVersion":"7"}}}\n',
        # The beginning of the text names another object.
        line("MODIFIED", "9", labels={"name": "b", "resourceVersion": "8"}),
        line("MODIFIED", "9", labels={"namespace": "ns", "name": "a", "resourceVersion": "7"}),
    ]
    assert not any(bench.sync.repeats_cache(OPERATIONS, one) for one in news)
    assert not bench.sync.repeats_cache(PODS, line("MODIFIED", "7"))
