"""The queue: one at a time per key, one more remembered, trouble backed off, nothing before its start."""

from __future__ import annotations

import asyncio

from tests.support.leaps import in_leaps

from opstrand.core.names import Key
from opstrand.errors import PlatformError
from opstrand.handlers.queue import Queue
from opstrand.reconcile import Outcome

A: Key = ("ns", "a")
B: Key = ("ns", "b")


class Recorder:
    """A reconcile that notes its calls and does as it is told."""

    def __init__(self, *outcomes: Outcome | Exception, pause: float = 0.0) -> None:
        self.calls: list[Key] = []
        self.running = self.most = 0
        self._outcomes = list(outcomes)
        self._pause = pause

    async def __call__(self, key: Key) -> Outcome:
        self.calls.append(key)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self._pause)
        self.running -= 1
        outcome = self._outcomes.pop(0) if self._outcomes else Outcome()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@in_leaps
async def test_nothing_runs_before_the_start_and_everything_after() -> None:
    reconcile = Recorder()
    queue = Queue(reconcile, concurrency=2)
    queue.add_all([A, B, A])
    await asyncio.sleep(0.01)
    assert reconcile.calls == []
    queue.start()
    await asyncio.sleep(0.02)
    assert reconcile.calls == [A, B]


@in_leaps
async def test_many_events_during_a_reconcile_are_one_more() -> None:
    reconcile = Recorder(pause=0.02)
    queue = Queue(reconcile, concurrency=5)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.005)
    for _ in range(10):
        queue.add(A)
    await asyncio.sleep(0.08)
    assert (reconcile.calls, reconcile.most) == ([A, A], 1)


@in_leaps
async def test_what_is_urgent_comes_first_at_the_start() -> None:
    reconcile = Recorder()
    queue = Queue(reconcile, concurrency=1)
    queue.add_all([A, B])
    queue.start(is_urgent=lambda key: key == B)
    await asyncio.sleep(0.01)
    assert reconcile.calls == [B, A]


@in_leaps
async def test_a_key_that_still_waits_is_reconciled_once_however_often_it_is_asked_for() -> None:
    reconcile = Recorder(pause=0.01)
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    for _ in range(5):
        queue.add_all([A, B])
    assert queue.depth == 2
    await asyncio.sleep(0.06)
    assert (reconcile.calls, reconcile.most) == ([A, B, A], 1)


@in_leaps
async def test_who_is_woken_goes_before_those_that_came_meanwhile() -> None:
    reconcile = Recorder(Outcome(wake=frozenset({B})), pause=0.01)
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add_all([A, ("ns", "x"), B])
    await asyncio.sleep(0.1)
    assert [name for _, name in reconcile.calls] == ["a", "b", "x"]


@in_leaps
async def test_concurrency_is_bounded() -> None:
    reconcile = Recorder(pause=0.01)
    queue = Queue(reconcile, concurrency=3)
    queue.start()
    queue.add_all([("ns", str(i)) for i in range(12)])
    await asyncio.sleep(0.15)
    assert (len(reconcile.calls), reconcile.most) == (12, 3)


@in_leaps
async def test_who_is_woken_is_reconciled() -> None:
    reconcile = Recorder(Outcome(wake=frozenset({B})))
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.02)
    assert reconcile.calls == [A, B]


@in_leaps
async def test_trouble_is_tried_again_after_what_the_server_asked_for() -> None:
    reconcile = Recorder(PlatformError("busy", retry_after=0.03))
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.015)
    assert reconcile.calls == [A]
    await asyncio.sleep(0.05)
    assert reconcile.calls == [A, A]


@in_leaps
async def test_a_run_that_asks_to_be_looked_at_later_is() -> None:
    reconcile = Recorder(Outcome(again=0.02))
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.06)
    assert reconcile.calls == [A, A]


@in_leaps
async def test_stopping_leaves_nothing_behind() -> None:
    reconcile = Recorder(pause=5)
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add(A)
    queue.add_after(B, 0.01)
    await asyncio.sleep(0.005)
    await queue.stop()
    await asyncio.sleep(0.03)
    assert reconcile.calls == [A]


@in_leaps
async def test_a_server_that_asks_for_no_pause_is_given_one() -> None:
    reconcile = Recorder(PlatformError("busy", retry_after=0.0), PlatformError("busy", retry_after=0.0))
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.05)
    await queue.stop()
    assert reconcile.calls == [A]


@in_leaps
async def test_trouble_may_last_for_days() -> None:
    """Doubling as often as it was tried would end in a number too large for a float, and with it the run's last try."""
    queue = Queue(Recorder(), concurrency=1)
    assert [queue._next_backoff(A, None) for _ in range(3000)][-1] == 60.0


@in_leaps
async def test_others_are_woken_by_a_reconcile_that_met_trouble_halfway() -> None:
    reconcile = Recorder(Outcome(wake=frozenset({B}), trouble=PlatformError("no answer", retry_after=0.02)))
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.1)
    assert reconcile.calls == [A, B, A]
