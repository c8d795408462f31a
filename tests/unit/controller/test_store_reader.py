"""Questions to the store: asked once however many runs wait, tried again with growing pauses, and
every answer wakes whom it concerns.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import pytest
from tests.support.leaps import in_leaps
from tests.support.unpacking import record_unpacked

from opstrand.controller import store_reader as module
from opstrand.controller.store_reader import NoStore, Question, QuestionRefused, StoreReader
from opstrand.core.packed import is_large, unpack
from opstrand.core.resolving.stored import StoredRun, StoredRuns, Unanswered
from opstrand.errors import PlatformError
from opstrand.types import Body, Key

A: Key = ("ns", "a")
B: Key = ("ns", "b")
UUID = "1" * 32
AWAY = PlatformError("the API does not answer")


def run(phase: str = "Succeeded") -> Body:
    return {
        "metadata": {"name": "old", "namespace": "ns", "uid": UUID},
        "status": {"phase": phase},
    }


class Api:
    """Answers as the test says, and records when it was asked what."""

    def __init__(self, answer: Callable[[Question], Sequence[Body]]) -> None:
        self.answer = answer
        self.asked: list[tuple[float, Question]] = []
        self.woken: list[Key] = []

    async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
        assert namespace == "ns"
        self.asked.append((asyncio.get_running_loop().time(), question))
        await asyncio.sleep(0.01)
        return [zlib.compress(json.dumps(one).encode()) for one in self.answer(question)]

    def wake(self, keys: Iterable[Key]) -> None:
        self.woken += keys

    @property
    def pauses(self) -> list[float]:
        times = [at for at, _ in self.asked]
        return [round(after - before) for before, after in pairwise(times)]


def fail(error: Exception) -> Callable[[Question], Sequence[Body]]:
    def answer(_: Question) -> Sequence[Body]:
        raise error

    return answer


async def look_when_woken(api: Api, look: Callable[[Key], object], seconds: float) -> None:
    """Let every woken run look again, as a reconcile does."""
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(0.1)
        for key in [api.woken.pop() for _ in api.woken]:
            look(key)


@in_leaps
async def test_runs_that_ask_the_same_share_one_answer() -> None:
    api = Api(lambda _: [run()])
    store = StoreReader(api, api.wake)
    assert [store.find(key, UUID) for key in (A, B, A)] == [Unanswered()] * 3
    await asyncio.sleep(1)
    assert sorted(api.woken) == [A, B]
    assert [store.find(key, UUID) for key in (A, B)] == [run()] * 2
    assert len(api.asked) == 1


@in_leaps
async def test_what_is_nowhere_is_none_and_asked_again_later() -> None:
    api = Api(lambda _: [])
    store = StoreReader(api, api.wake)
    store.find(A, UUID)
    await asyncio.sleep(1)
    assert store.find(A, UUID) is None
    await asyncio.sleep(60)
    api.answer = lambda _: [run()]
    assert store.find(A, UUID) == Unanswered()
    await asyncio.sleep(1)
    assert store.find(A, UUID) == run()


@in_leaps
async def test_an_api_that_is_away_is_tried_with_growing_pauses_by_one_question() -> None:
    api = Api(fail(AWAY))
    store = StoreReader(api, api.wake)
    uuids = [f"{number:032x}" for number in range(50)]
    numbers = {("ns", f"r{number}"): uuid for number, uuid in enumerate(uuids)}

    seen: dict[Key, object] = {}

    def look(key: Key) -> None:
        seen[key] = store.find(key, numbers[key])

    for key in numbers:
        look(key)
    await look_when_woken(api, look, 1)
    assert list(seen.values()) == [Unanswered("the API does not answer")] * len(numbers)
    begun = len(api.asked)
    assert begun <= 4, "the others wait for one that is answered"
    await look_when_woken(api, look, 300)
    assert api.pauses[begun:] == [2, 4, 8, 16, 32, 60, 60, 60][: len(api.pauses) - begun]
    tried = [question for _, question in api.asked[begun:]]
    assert len(set(tried)) == len(tried), "each in its turn"
    api.answer = lambda _: [run()]
    await look_when_woken(api, look, 70)
    assert list(seen.values()) == [run()] * len(numbers)


@in_leaps
async def test_nothing_is_asked_for_runs_that_wait_no_more() -> None:
    api = Api(fail(AWAY))
    store = StoreReader(api, api.wake)
    store.find(A, UUID)
    await asyncio.sleep(600)
    assert len(api.asked) == 1


@in_leaps
async def test_a_question_that_is_refused_holds_up_no_other() -> None:
    search = StoredRuns("tags: a", "", 10)

    def answer(question: Question) -> Sequence[Body]:
        if question == search:
            raise QuestionRefused("the API refuses the question")
        return [run()]

    api = Api(answer)
    store = StoreReader(api, api.wake)
    store.search(A, search)
    await asyncio.sleep(0.1)
    assert api.woken == [A]
    assert store.search(A, search) == Unanswered("the API refuses the question")
    assert store.find(B, UUID) == Unanswered()
    await asyncio.sleep(0.1)
    assert store.find(B, UUID) == run()
    await look_when_woken(api, lambda key: store.search(key, search), 20)
    tries = [at for at, question in api.asked if question == search]
    assert [round(b - a) for a, b in pairwise(tries)] == [1, 2, 4, 8]


@in_leaps
async def test_a_run_that_the_api_takes_for_living_is_asked_for_again() -> None:
    api = Api(lambda _: [run("Running")])
    store = StoreReader(api, api.wake)
    store.find(A, UUID)
    await asyncio.sleep(0.5)
    assert store.find(A, UUID) == run("Running")
    api.answer = lambda _: [run()]
    await asyncio.sleep(1)
    assert api.woken == [A, A]
    assert store.find(A, UUID) == run()


@in_leaps
async def test_a_run_that_lives_for_the_api_is_asked_for_after_a_failure_too() -> None:
    api = Api(lambda _: [run("Running")])
    store = StoreReader(api, api.wake)
    seen: list[object] = []

    def look(key: Key) -> None:
        seen.append(store.find(key, UUID))

    look(A)
    await look_when_woken(api, look, 0.5)
    assert seen[-1] == run("Running")
    api.answer = fail(AWAY)
    await look_when_woken(api, look, 1)
    assert seen[-1] == Unanswered("the API does not answer")
    api.answer = lambda _: [run()]
    await look_when_woken(api, look, 10)
    assert seen[-1] == run()


@in_leaps
async def test_an_api_without_a_store_is_asked_once_a_minute() -> None:
    api = Api(fail(NoStore()))
    store = StoreReader(api, api.wake)
    store.find(A, UUID)
    store.find(B, "2" * 32)
    await asyncio.sleep(1)
    assert set(api.woken) == {A, B}
    assert not store.is_there
    assert store.find(A, UUID) is None
    asked = len(api.asked)
    await asyncio.sleep(30)
    assert store.find(B, UUID) is None
    assert len(api.asked) == asked
    await asyncio.sleep(31)
    api.answer = lambda _: [run()]
    store.find(A, UUID)
    await asyncio.sleep(1)
    assert store.find(A, UUID) == run()


@pytest.mark.parametrize("question", [StoredRun(UUID), StoredRuns("", "", 5)])
@in_leaps
async def test_a_stop_ends_what_is_in_flight(question: Question) -> None:
    class Silent(Api):
        async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
            await asyncio.Event().wait()
            return []

    api = Silent(lambda _: [])
    store = StoreReader(api, api.wake)
    ask: Callable[[], object] = (
        (lambda: store.find(A, UUID))
        if isinstance(question, StoredRun)
        else (lambda: store.search(A, question))
    )
    assert ask() == Unanswered()
    await asyncio.sleep(0)
    await store.stop()
    assert api.woken == []


@in_leaps
async def test_answers_take_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(lambda _: [run()] * 10)
    store = StoreReader(api, api.wake)
    searches = [StoredRuns(f"tags: {number}", "", 10) for number in range(3)]
    store.search(A, searches[0])
    await asyncio.sleep(1)
    found = store.search(A, searches[0])
    assert not isinstance(found, Unanswered)
    monkeypatch.setattr(module, "_MOST_BYTES", 2 * sum(map(len, found)))
    for search in searches[1:]:
        store.search(A, search)
        await asyncio.sleep(1)
    assert store.search(A, searches[2]) == store.search(A, searches[1]) == found
    assert store.search(A, searches[0]) == Unanswered(), "the oldest is asked again"


@in_leaps
async def test_an_answer_that_cannot_be_read_is_asked_for_again_and_wakes_the_run() -> None:
    class Garbled(Api):
        parcels: Sequence[bytes] = (b"no parcel",)

        async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
            found = await super().ask(namespace, question)
            return self.parcels or found

    api = Garbled(lambda _: [run()])
    store = StoreReader(api, api.wake)
    seen: list[object] = []

    def look(key: Key) -> None:
        seen.append(store.find(key, UUID))

    look(A)
    await look_when_woken(api, look, 4)
    assert seen == [
        Unanswered(),
        *[Unanswered("asking for it fails by a bug of opstrand")] * (len(seen) - 1),
    ]
    assert api.pauses[:2] == [1, 2]
    api.parcels = ()
    await look_when_woken(api, look, 10)
    assert seen[-1] == run()


@pytest.mark.parametrize("phase", ["Succeeded", "Running"])
@in_leaps
async def test_an_answer_is_read_once_however_often_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    large = {**run(phase), "spec": {"params": {"x": {"value": "x" * 50_000}}}}
    api = Api(lambda _: [large])
    store = StoreReader(api, api.wake)
    unpacked = record_unpacked(monkeypatch)
    store.find(A, UUID)
    await asyncio.sleep(0.5)
    found = [store.find(key, UUID) for key in (A, B, A)]
    assert len(unpacked) == 1
    for one in found:
        assert not isinstance(one, Unanswered)
        assert is_large(one)
        assert unpack(one or {}) == large


class SlowSearches(Api):
    """A search takes its time, and is answered by what the API says then."""

    def __init__(self, answer: Callable[[Question], Sequence[Body]]) -> None:
        super().__init__(answer)
        self.begun: list[Question] = []

    async def ask(self, namespace: str, question: Question) -> Sequence[bytes]:
        self.begun.append(question)
        await asyncio.sleep(250 if isinstance(question, StoredRuns) else 0)
        return await super().ask(namespace, question)


@in_leaps
async def test_slow_searches_hold_up_no_look_up() -> None:
    api = SlowSearches(lambda _: [run()])
    store = StoreReader(api, api.wake)
    searches = [StoredRuns(f"tags: {number}", "", 10) for number in range(5)]
    for search in searches:
        assert store.search(A, search) == Unanswered()
    await asyncio.sleep(1)
    store.find(B, UUID)
    await asyncio.sleep(10)
    assert api.woken == [B]
    assert store.find(B, UUID) == run()
    assert api.begun == [*searches[:2], StoredRun(UUID)], "the other searches wait"


@pytest.mark.parametrize("searches", [1, 2, 5], ids="{} searches".format)
@in_leaps
async def test_an_api_that_is_away_is_tried_while_searches_are_in_flight(searches: int) -> None:
    api = SlowSearches(fail(AWAY))
    store = StoreReader(api, api.wake)
    seen: list[object] = []
    for number in range(searches):
        store.search(A, StoredRuns(f"tags: {number}", "", 10))

    def look(key: Key) -> None:
        seen.append(store.find(key, UUID))

    look(B)
    await look_when_woken(api, look, 0.5)
    api.answer = lambda _: [run()]
    await look_when_woken(api, look, 60)
    assert seen[-1] == run()


@in_leaps
async def test_a_try_is_planned_again_where_there_was_nothing_but_what_is_in_flight() -> None:
    api = SlowSearches(fail(AWAY))
    store = StoreReader(api, api.wake)
    store.search(A, StoredRuns("tags: a", "", 10))
    store.find(B, UUID)
    # No run waits for the look-up that failed: the search alone is left.
    await asyncio.sleep(60)
    api.answer = lambda _: [run()]
    assert store.find(B, UUID) == Unanswered("the API does not answer")
    await asyncio.sleep(10)
    assert store.find(B, UUID) == run()


@in_leaps
async def test_a_try_that_fails_by_a_bug_is_not_the_last_one() -> None:
    api = Api(fail(AWAY))
    store = StoreReader(api, api.wake)
    seen: dict[Key, object] = {}
    uuids = {A: UUID, B: "2" * 32}

    def look(key: Key) -> None:
        seen[key] = store.find(key, uuids[key])

    look(A)
    look(B)
    await look_when_woken(api, look, 0.5)
    api.answer = fail(RuntimeError("a bug"))
    await look_when_woken(api, look, 60)
    api.answer = lambda _: [run()]
    await look_when_woken(api, look, 120)
    assert seen == {A: run(), B: run()}
