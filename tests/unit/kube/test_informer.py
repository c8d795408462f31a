"""The contract of the informer, and that of the stores that it fills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.leaps import in_leaps

from opstrand.controller.cache import Cache
from opstrand.controller.queue import Queue
from opstrand.controller.reconcile import Outcome
from opstrand.controller.sync import QueueingStore
from opstrand.errors import PlatformError
from opstrand.kube.errors import ApiError, Expired, Forbidden, NotFound, Unreachable
from opstrand.kube.informer import Informer, Scope, Store, list_into
from opstrand.kube.protocol import Page
from opstrand.kube.resources import OPERATIONS, Resource
from opstrand.kube.watch_health import WatchHealth
from opstrand.runs.index import Index
from opstrand.types import Body, Key, Manifest

EXPIRED = Expired("too old", status=410)
RESET = Unreachable("reset", status=0)
BROKEN = ApiError("the store is away", status=500)
BUSY = ApiError("busy", status=429, retry_after=30)


def body(name: str, version: int, uid: str = "") -> Manifest:
    metadata = {
        "namespace": "ns",
        "name": name,
        "uid": uid or f"{name}-1",
        "resourceVersion": str(version),
    }
    return {"metadata": metadata, "spec": {}, "status": {}}


def added(name: str, version: int) -> tuple[str, Manifest]:
    return "ADDED", body(name, version)


def deleted(name: str, version: int) -> tuple[str, Manifest]:
    return "DELETED", body(name, version)


def bookmark(version: int) -> tuple[str, Manifest]:
    return "BOOKMARK", {"metadata": {"resourceVersion": str(version)}}


@dataclass
class Lists:
    """A list: the bodies of each page, and the version of the whole."""

    version: int
    pages: list[list[Manifest]] = field(default_factory=lambda: [[]])


@dataclass
class Watches:
    """A watch: its events, how long it lives after them, and how it ends."""

    events: list[tuple[str, Manifest]] = field(default_factory=list)
    lives: float = 0
    end: Exception | None = None


class ScriptedCluster:
    """Answers each list and watch with the next step of a script, then hangs.

    `asked` has each request; a step that is an error fails a request of any kind. A GET finds what
    `objects` holds.
    """

    def __init__(
        self, *script: Lists | Watches | Exception, objects: tuple[Manifest, ...] = ()
    ) -> None:
        self._script = list(script)
        self._objects = {one["metadata"]["name"]: one for one in objects}
        self.asked: list[str] = []
        self.times: list[float] = []

    async def _next(self, request: str) -> Any:
        self.asked.append(request)
        self.times.append(asyncio.get_running_loop().time())
        if not self._script:
            await asyncio.Event().wait()
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        self.asked.append(f"get {name}")
        if name not in self._objects:
            raise NotFound(f"{name} is not there", status=404)
        return self._objects[name]

    async def pages(
        self, resource: Resource, namespace: str | None = None, *, labels: str = ""
    ) -> AsyncIterator[Page]:
        step = await self._next("list" + (f" {labels}" if labels else ""))
        assert isinstance(step, Lists)
        for number, items in enumerate(step.pages, 1):
            more = "more" if number < len(step.pages) else ""
            yield Page(items, str(step.version), more)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        since: str = "",
        fields: str = "",
        labels: str = "",
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[tuple[str, Manifest], None]:
        step = await self._next(" ".join(filter(None, ("watch", since, fields, labels))))
        assert isinstance(step, Watches)
        assert on_open is not None
        on_open()
        for event in step.events:
            yield event
        await asyncio.sleep(step.lives)
        if step.end is not None:
            raise step.end


async def run(cluster: ScriptedCluster, seconds: float = 3600, **options: Any) -> Index:
    """Run an informer for this long, and return the index that it filled."""
    index = Index()
    informer = Informer(cluster, Scope(OPERATIONS), index, **options)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await informer.run()
    return index


def names(store: Store) -> list[str]:
    found = store.missing(store.keys(None), frozenset())
    return sorted(one["metadata"]["name"] for one in found)


#: What the API server does, the requests that follow, and what the store holds in the end.
LIVES: dict[str, tuple[list[Any], list[str], list[str]]] = {
    "a list of several pages, then a watch from its version": (
        [Lists(7, [[body("a", 3)], [body("b", 5)]])],
        ["list", "watch 7"],
        ["a", "b"],
    ),
    "what the watch sends": (
        [Lists(7, [[body("a", 3)]]), Watches([added("b", 8), deleted("a", 9)], lives=9)],
        ["list", "watch 7", "watch 9"],
        ["b"],
    ),
    "a watch that ended in order resumes at its last event": (
        [Lists(7), Watches([added("a", 8)], lives=9), Watches([added("b", 9)], lives=9)],
        ["list", "watch 7", "watch 8", "watch 9"],
        ["a", "b"],
    ),
    "a watch that ended in order resumes at its last bookmark": (
        [Lists(7), Watches([added("a", 8), bookmark(30)], lives=9)],
        ["list", "watch 7", "watch 30"],
        ["a"],
    ),
    "a watch that ended at once is not resumed": (
        [Lists(7), Watches(), Lists(7)],
        ["list", "watch 7", "list", "watch 7"],
        [],
    ),
    "a version that is too old: list again": (
        [Lists(7), Watches([bookmark(8)], 9, EXPIRED), Lists(20, [[body("a", 15)]])],
        ["list", "watch 7", "list", "watch 20"],
        ["a"],
    ),
    "a watch that is refused as too old: list again": (
        [Lists(7), EXPIRED, Lists(9)],
        ["list", "watch 7", "list", "watch 9"],
        [],
    ),
    "a connection that breaks: list again": (
        [Lists(7), Watches([added("a", 8)], 9, RESET), Lists(9, [[body("a", 8)]])],
        ["list", "watch 7", "list", "watch 9"],
        ["a"],
    ),
    "an error in the watch: list again": (
        [Lists(7), Watches([], 0, BROKEN), Lists(9)],
        ["list", "watch 7", "list", "watch 9"],
        [],
    ),
    "a list that fails: list again": (
        [BROKEN, RESET, Lists(9)],
        ["list", "list", "list", "watch 9"],
        [],
    ),
    "a watch that is silent for longer than bookmarks are apart: list again": (
        [Lists(7), Watches([], lives=9999), Lists(9)],
        ["list", "watch 7", "list", "watch 9"],
        [],
    ),
    "missing in the list, and gone": (
        [Lists(7, [[body("a", 3), body("b", 5)]]), EXPIRED, Lists(9, [[body("a", 3)]])],
        ["list", "watch 7", "list", "get b", "watch 9"],
        ["a"],
    ),
    "an older body in a later list": (
        [Lists(7), Watches([added("a", 8)], 0, RESET), Lists(9, [[body("a", 6)]])],
        ["list", "watch 7", "list", "watch 9"],
        ["a"],
    ),
}


@pytest.mark.parametrize("name", LIVES)
@in_leaps
async def test_what_is_asked_and_what_is_held(name: str) -> None:
    script, asked, held = LIVES[name]
    cluster = ScriptedCluster(*script)
    index = await run(cluster, seconds=200)
    assert (cluster.asked[: len(asked)], names(index)) == (asked, held)
    # Only the silence of the last watch may follow.
    assert set(cluster.asked[len(asked) :]) <= {"list"}


@in_leaps
async def test_what_a_list_lacks_stays_if_it_is_there() -> None:
    cluster = ScriptedCluster(
        Lists(7, [[body("a", 3)]]), EXPIRED, Lists(9), objects=(body("a", 8),)
    )
    index = await run(cluster, seconds=100)
    (held,) = index.missing(index.keys(), frozenset())
    assert held["metadata"]["resourceVersion"] == "8"


@pytest.mark.parametrize(
    ("step", "lists"),
    [(EXPIRED, True), (RESET, True), (Watches(), True), (BROKEN, False)],
    ids=["too old", "reset", "ends at once", "the list fails"],
)
@in_leaps
async def test_trouble_without_an_end_makes_no_storm(step: Any, lists: bool) -> None:
    script = [Lists(1), step] if lists else [step]
    cluster = ScriptedCluster(*script * 1000)
    await run(cluster, seconds=60)
    assert 10 < cluster.asked.count("list") < 40


@in_leaps
async def test_a_healthy_watch_makes_the_next_pause_short() -> None:
    healthy = [Lists(1), Watches(lives=59, end=RESET)]
    cluster = ScriptedCluster(*healthy * 1000)
    await run(cluster, seconds=3600)
    assert cluster.asked.count("list") >= 60


@in_leaps
async def test_the_api_server_says_how_long_to_wait() -> None:
    cluster = ScriptedCluster(BUSY, Lists(1))
    await run(cluster, seconds=100)
    first, second, *_ = cluster.times
    assert second - first >= 30


@pytest.mark.parametrize(
    ("script", "reported"),
    [
        ([Lists(1), EXPIRED, Lists(1)], []),
        ([Lists(1), Watches(), Lists(1)], []),
        ([BROKEN, Lists(1), RESET, Lists(1)], ["the store is away", "reset"]),
        ([Lists(1), Watches(lives=9999)], ["the watch of operations was silent for 150 s"]),
    ],
    ids=["too old", "ends at once", "errors", "silence"],
)
@in_leaps
async def test_which_failures_are_reported(script: list[Any], reported: list[str]) -> None:
    found: list[str] = []

    def note(error: PlatformError, health: WatchHealth) -> None:
        found.append(error.message)

    await run(ScriptedCluster(*script), seconds=160, on_failure=note)
    assert found[: len(reported)] == reported
    assert set(found[len(reported) :]) <= {"the watch of operations was silent for 150 s"}


@in_leaps
async def test_an_error_that_the_caller_raises_ends_it() -> None:
    def give_up(error: PlatformError, health: WatchHealth) -> None:
        raise error

    cluster = ScriptedCluster(Forbidden("no rights", status=403))
    with pytest.raises(Forbidden):
        await Informer(cluster, Scope(OPERATIONS), Index(), on_failure=give_up).run()  # type: ignore[arg-type]


@in_leaps
async def test_it_ends_as_soon_as_the_condition_holds() -> None:
    index = Index()
    cluster = ScriptedCluster(Lists(1), Watches([added("a", 2), added("b", 3), added("c", 4)]))
    informer = Informer(cluster, Scope(OPERATIONS), index)  # type: ignore[arg-type]
    assert not informer.is_synced
    await informer.run(until=lambda: len(names(index)) == 2)
    assert (names(index), informer.is_synced) == (["a", "b"], True)
    await informer.run(until=lambda: True)
    assert cluster.asked == ["list", "watch 1"]


@in_leaps
async def test_one_object_is_watched_from_a_known_version_and_read_by_a_get() -> None:
    index = Index()
    index.put(body("a", 5))
    cluster = ScriptedCluster(
        Watches([("MODIFIED", body("a", 6))], 9, RESET),
        Watches([deleted("a", 9)], 9),
        objects=(body("a", 8),),
    )
    scope = Scope(OPERATIONS, "ns", name="a")
    informer = Informer(cluster, scope, index, version="5")  # type: ignore[arg-type]
    await informer.run(until=lambda: not names(index))
    named = "metadata.name=a"
    assert cluster.asked == [f"watch 5 {named}", "get a", f"watch 8 {named}"]


@in_leaps
async def test_one_object_that_is_gone_when_it_is_read_is_dropped() -> None:
    index = Index()
    index.put(body("a", 5))
    cluster = ScriptedCluster(RESET)
    informer = Informer(cluster, Scope(OPERATIONS, "ns", name="a"), index, version="5")  # type: ignore[arg-type]
    await informer.run(until=lambda: not names(index))
    assert cluster.asked == ["watch 5 metadata.name=a", "get a"]


@in_leaps
async def test_labels_hold_for_the_list_and_the_watch() -> None:
    cluster = ScriptedCluster(Lists(1))
    scope = Scope(OPERATIONS, labels="a=b")
    informer = Informer(cluster, scope, Index())  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(9):
            await informer.run()
    assert cluster.asked == ["list a=b", "watch 1 a=b"]


class Interleaved(ScriptedCluster):
    """Calls `between` after the first page of a list is read, before it is given."""

    between: Callable[[], object] = staticmethod(lambda: None)

    async def pages(self, *place: Any, **query: Any) -> AsyncIterator[Page]:
        async for page in super().pages(*place, **query):
            self.between()
            yield page


async def never(key: Key) -> Outcome:
    raise AssertionError("the queue was not started")


STORES: Mapping[str, Callable[[], Store]] = {
    "of the API": Index,
    "of the operator": lambda: QueueingStore(OPERATIONS, Cache(), Queue(never, concurrency=1)),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    return STORES[request.param]()


def held(store: Store) -> list[tuple[str, str]]:
    """The uid and version of each object."""
    found: list[Body] = list(store.missing(store.keys(None), frozenset()))
    return sorted((one["metadata"]["uid"], one["metadata"]["resourceVersion"]) for one in found)


#: What is done with a store, and what it holds then.
ORDERS: dict[str, tuple[list[tuple[str, Manifest]], list[tuple[str, str]]]] = {
    "the newest version wins": ([added("a", 5), added("a", 3)], [("a-1", "5")]),
    "a deleted object does not return": (
        [added("a", 5), deleted("a", 6), added("a", 5), added("a", 6)],
        [],
    ),
    "an object that was never seen and is deleted does not come": (
        [deleted("a", 6), added("a", 5)],
        [],
    ),
    "a name that is taken again is another object": (
        [added("a", 5), ("ADDED", body("a", 9, "a-2"))],
        [("a-2", "9")],
    ),
    "a late body of the old object does not replace the new one": (
        [added("a", 5), ("ADDED", body("a", 9, "a-2")), added("a", 7)],
        [("a-2", "9")],
    ),
    "a late deletion of the old object leaves the new one": (
        [added("a", 5), ("ADDED", body("a", 9, "a-2")), deleted("a", 6)],
        [("a-2", "9")],
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_every_store_keeps_the_newest(name: str, store: Store) -> None:
    events, result = ORDERS[name]
    for kind, one in events:
        (store.drop if kind == "DELETED" else store.put)(one)
    assert held(store) == result


def test_every_store_knows_what_it_holds_by_namespace(store: Store) -> None:
    other = body("a", 5, "other")
    other["metadata"]["namespace"] = "other"
    store.put(other)
    store.put(body("b", 6))
    assert store.keys(None) == {("other", "a"), ("ns", "b")}
    assert store.keys("ns") == {("ns", "b")}
    assert [*store.missing(store.keys(None), {("other", "a")})] == [body("b", 6)]
    assert [*store.missing(frozenset({("ns", "gone")}), frozenset())] == []


async def test_what_comes_while_a_list_is_read_stays(store: Store) -> None:
    cluster = Interleaved(Lists(7))
    cluster.between = lambda: store.put(body("new", 8))
    assert await list_into(cluster, Scope(OPERATIONS), store) == "7"
    assert (held(store), cluster.asked) == ([("new-1", "8")], ["list"])


async def test_what_is_deleted_while_a_list_is_read_does_not_return(store: Store) -> None:
    store.put(body("a", 5))
    cluster = Interleaved(Lists(7, [[body("a", 5)]]))
    cluster.between = lambda: store.drop(body("a", 8))
    await list_into(cluster, Scope(OPERATIONS), store)
    assert held(store) == []
