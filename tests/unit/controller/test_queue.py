"""The queue: one reconcile per key at a time, one more remembered, backoff after trouble, nothing
before its start.
"""

from __future__ import annotations

import asyncio

from tests.support.leaps import in_leaps

from opstrand.controller.queue import Queue
from opstrand.controller.reconcile import Outcome
from opstrand.errors import PlatformError
from opstrand.types import Key

A: Key = ("ns", "a")
B: Key = ("ns", "b")


class Recorder:
    """A reconcile function that records its calls and does what the test asks."""

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
async def test_a_key_that_rests_is_reconciled_once_afterwards_however_often_it_is_added() -> None:
    reconcile = Recorder(Outcome(rest=0.05), Outcome(), Outcome(rest=0.05, again=0.0))
    queue = Queue(reconcile, concurrency=2)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.01)
    queue.add_all([A, B, A])
    await asyncio.sleep(0.01)
    assert (reconcile.calls, queue.depth) == ([A, B], 1)
    await asyncio.sleep(0.05)
    assert reconcile.calls == [A, B, A]
    await asyncio.sleep(0.05)
    assert reconcile.calls == [A, B, A, A]
    await asyncio.sleep(0.2)
    assert (reconcile.calls, queue.depth) == ([A, B, A, A], 0)


@in_leaps
async def test_what_was_added_during_a_reconcile_waits_for_the_rest_and_not_beyond_a_stop() -> None:
    reconcile = Recorder(Outcome(rest=0.05), pause=0.02)
    queue = Queue(reconcile, concurrency=2)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.01)
    queue.add(A)
    await asyncio.sleep(0.04)
    assert reconcile.calls == [A]
    await queue.stop()
    await asyncio.sleep(0.1)
    assert reconcile.calls == [A]


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
async def test_a_woken_key_goes_before_keys_that_came_later() -> None:
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
async def test_what_is_due_comes_before_what_waits_but_leaves_a_quarter_of_the_slots() -> None:
    due, waiting = [("a", f"due-{n}") for n in range(12)], [("a", f"new-{n}") for n in range(12)]
    reconcile = Recorder(pause=1)
    queue = Queue(reconcile, concurrency=4)
    queue.start()
    queue.add_all([("a", f"busy-{n}") for n in range(4)])
    queue.add_all(waiting)
    for key in due:
        queue.add_after(key, 0.5)
    await asyncio.sleep(30)
    assert sorted(reconcile.calls[4:]) == sorted([*due, *waiting])
    kinds = [name.partition("-")[0] for _, name in reconcile.calls[4:]]
    assert kinds[:16].count("due") == 12
    assert kinds[:4].count("new") == 1


@in_leaps
async def test_a_key_that_waits_and_is_due_is_reconciled_once() -> None:
    reconcile = Recorder(pause=1)
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add_all([A, B])
    queue._timers[B] = asyncio.get_running_loop().call_later(0.1, queue._ring, B)
    await asyncio.sleep(10)
    assert reconcile.calls == [A, B]


@in_leaps
async def test_every_timer_rings_when_the_clock_was_set() -> None:
    reconcile = Recorder()
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add_after(A, 1000)
    queue.add_after(B, 2000)
    queue.ring_all()
    await asyncio.sleep(0.01)
    assert reconcile.calls == [A, B]
    await asyncio.sleep(3000)
    assert reconcile.calls == [A, B]
    await queue.stop()


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
    reconcile = Recorder(
        PlatformError("busy", retry_after=0.0), PlatformError("busy", retry_after=0.0)
    )
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.05)
    await queue.stop()
    assert reconcile.calls == [A]


@in_leaps
async def test_trouble_may_last_for_days() -> None:
    """A delay that doubles with each try would become too large for a float, and the run would not
    be tried again.
    """
    queue = Queue(Recorder(), concurrency=1)
    assert [queue._next_backoff(A, None) for _ in range(3000)][-1] == 60.0


@in_leaps
async def test_others_are_woken_by_a_reconcile_that_met_trouble_halfway() -> None:
    reconcile = Recorder(
        Outcome(wake=frozenset({B}), trouble=PlatformError("no answer", retry_after=0.02))
    )
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.1)
    assert reconcile.calls == [A, B, A]


@in_leaps
async def test_a_namespace_with_thousands_of_keys_delays_another_by_one_turn() -> None:
    reconcile = Recorder(pause=0.01)
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add_all([("crowd", str(number)) for number in range(5000)])
    queue.add(A)
    await asyncio.sleep(0.035)
    await queue.stop()
    assert reconcile.calls.index(A) <= 2


@in_leaps
async def test_who_is_woken_overtakes_its_own_namespace_only() -> None:
    """Otherwise a namespace that wakes itself for ever would starve the others."""
    reconcile = Recorder(*(Outcome(wake=frozenset({B, A})) for _ in range(50)), pause=0.01)
    queue = Queue(reconcile, concurrency=1)
    queue.start()
    queue.add_all([A, B, ("other", "x")])
    await asyncio.sleep(0.05)
    await queue.stop()
    assert ("other", "x") in reconcile.calls[:3]


@in_leaps
async def test_what_is_parked_holds_no_slot_and_one_of_its_lane_is_left_for_others() -> None:
    reconcile, parked = Recorder(*[Outcome(parked=True)] * 6), Recorder(pause=1.0)
    queue = Queue(reconcile, concurrency=1, reconcile_parked=parked, parked_slots=2)
    queue.start()
    queue.add_all([("crowd", str(number)) for number in range(6)])
    await asyncio.sleep(0.1)
    queue.add(A)
    await asyncio.sleep(0.1)
    assert (parked.calls, reconcile.calls[-1], parked.running) == ([("crowd", "0")], A, 1)
    reconcile._outcomes = [Outcome(parked=True)]
    queue.add(B)
    await asyncio.sleep(0.1)
    assert parked.calls == [("crowd", "0"), B]
    await asyncio.sleep(6)
    assert (len(parked.calls), parked.most, queue.depth) == (7, 2, 0)


@in_leaps
async def test_one_that_is_parked_and_is_settled_otherwise_is_not_done_again() -> None:
    """A requested stop needs no expensive decision."""
    parked = Recorder(pause=1.0)
    queue = Queue(
        Recorder(Outcome(parked=True), Outcome(parked=True)),
        concurrency=1,
        reconcile_parked=parked,
        parked_slots=2,
    )
    queue.start()
    queue.add_all([A, B])
    await asyncio.sleep(0.1)
    queue.add(B)
    await asyncio.sleep(2)
    assert (parked.calls, queue.depth) == ([A], 0)


@in_leaps
async def test_a_parked_run_in_trouble_is_tried_again_from_the_start() -> None:
    reconcile = Recorder(Outcome(parked=True), Outcome(parked=True))
    parked = Recorder(PlatformError("busy", retry_after=0.03))
    queue = Queue(reconcile, concurrency=1, reconcile_parked=parked)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.1)
    assert (reconcile.calls, parked.calls) == ([A, A], [A, A])


@in_leaps
async def test_one_that_changes_while_it_is_parked_comes_to_its_lane() -> None:
    """The event must not send it back to the first lane again and again."""
    reconcile, parked = Recorder(*[Outcome(parked=True)] * 100, pause=0.01), Recorder()
    queue = Queue(reconcile, concurrency=1, reconcile_parked=parked)
    queue.start()
    queue.add(A)
    await asyncio.sleep(0.005)
    queue.add(A)
    await asyncio.sleep(0.1)
    assert (reconcile.calls, parked.calls, queue.depth) == ([A, A], [A], 0)
