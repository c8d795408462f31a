"""Run one reconcile per key at a time, remember at most one more, and let namespaces take turns.

Owns concurrency, the two lanes, delays and the backoff after errors. A reconcile whose decision is
expensive leaves the first lane for the second, which has a few slots of its own, so it never holds
a slot that other runs need. Must not know what a reconcile does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context

from opstrand.controller.reconcile import Outcome
from opstrand.errors import PlatformError
from opstrand.logs import about
from opstrand.types import Key
from opstrand.workers.fairness import FairLine

logger = logging.getLogger(__name__)

FIRST_BACKOFF = 0.5
MAX_BACKOFF = 60.0
#: One of so many slots is kept free of keys whose timer has rung.
_SHARE = 4


Reconcile = Callable[[Key], Awaitable[Outcome]]


class Queue:
    """Keys in, `reconcile(key)` out. Nothing runs before `start`: keys added earlier are kept.

    A key whose outcome is `parked` is passed to `reconcile_parked`. At most `parked_slots` of those
    run at once, and at most all of them but one for the same namespace.
    """

    def __init__(
        self,
        reconcile: Reconcile,
        *,
        concurrency: int,
        reconcile_parked: Reconcile | None = None,
        parked_slots: int = 2,
    ) -> None:
        self._reconcile = reconcile
        self._reconcile_parked = reconcile_parked or reconcile
        self._concurrency = concurrency
        self._parked_slots = parked_slots
        self._waiting: FairLine[Key] = FairLine()
        self._parked: FairLine[Key] = FairLine()
        #: Keys whose timer has rung; they are not in `_waiting`.
        self._due: FairLine[Key] = FairLine()
        #: The running ones among them.
        self._punctual: set[Key] = set()
        self._running: dict[Key, asyncio.Task[None]] = {}
        #: Running keys of the second lane, counted by namespace.
        self._apart: Counter[str] = Counter()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        #: Keys that rest, and whether they are reconciled at the end of that.
        self._resting: dict[Key, bool] = {}
        self._failures: dict[Key, int] = {}
        self._held: dict[Key, None] | None = {}

    @property
    def depth(self) -> int:
        """Keys that are being reconciled or wait for it."""
        waiting = (
            len(self._waiting) + len(self._due) + len(self._parked) + sum(self._resting.values())
        )
        return len(self._running) + waiting + len(self._held or ())

    def start(self, *, is_urgent: Callable[[Key], bool] = lambda _: True) -> None:
        """Start with the keys added so far, in their order, the urgent ones first."""
        held, self._held = self._held or {}, None
        self.add_all(sorted(held, key=lambda key: not is_urgent(key)))

    def add(self, key: Key) -> None:
        """Reconcile this key soon: now, or once more after the reconcile in progress, or after the
        rest that one asked for.
        """
        self._put(key, self._waiting)

    def _put(self, key: Key, line: FairLine[Key]) -> None:
        if self._held is not None:
            self._held[key] = None
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._running:
            self._again.add(key)
            return
        if key in self._resting:
            self._resting[key] = True
            return
        if line is self._due:
            self._waiting.discard(key)
        if key not in self._due:
            line.add(key, key[0])
        self._fill()

    def _fill(self) -> None:
        """Start as many reconciles as may run.

        A waiting key is only a key: it holds no task, and nothing of the event that added it.
        """
        while len(self._running) - self._apart.total() < self._concurrency:
            key = self._pop()
            if key is None:
                break
            self._start(key, self._reconcile)
        while self._apart.total() < self._parked_slots:
            key = self._parked.pop(is_allowed=self._may_start_apart)
            if key is None:
                break
            if key in self._running:
                # The first lane is reconciling this key: its outcome decides whether the key is
                # parked again.
                continue
            self._apart[key[0]] += 1
            self._start(key, self._reconcile_parked, is_apart=True)

    def _pop(self) -> Key | None:
        """The next key: what is due now first, but a quarter of the slots are for all the others.

        So a hundred ticks of the same moment do not wait for the runs that the first of them made.
        """
        others = len(self._running) - self._apart.total() - len(self._punctual)
        is_others_turn = others < self._concurrency // _SHARE
        key = self._waiting.pop() if is_others_turn or not self._due else None
        if key is None and (key := self._due.pop()) is not None:
            self._punctual.add(key)
        return key

    def _may_start_apart(self, namespace: str) -> bool:
        return self._apart[namespace] < max(self._parked_slots - 1, 1)

    def _start(self, key: Key, reconcile: Reconcile, *, is_apart: bool = False) -> None:
        run = self._run(key, reconcile, is_apart=is_apart)
        self._running[key] = asyncio.create_task(
            run, name=f"reconcile {key[0]}/{key[1]}", context=Context()
        )

    def add_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.add(key)

    def _wake(self, keys: Iterable[Key]) -> None:
        """Put woken keys first in their namespace, so that a started chain finishes before new
        work.
        """
        woken = list(keys)
        self.add_all(woken)
        for key in reversed(woken):
            self._waiting.put_first(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Reconcile this key after this many seconds, unless something adds it sooner.

        A later call replaces an earlier one.
        """
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._ring, key)

    def ring_all(self) -> None:
        """Reconcile every key that has a timer: the clock was set."""
        for key in list(self._timers):
            self._ring(key)

    def _ring(self, key: Key) -> None:
        self._put(key, self._due)

    def _rest(self, key: Key, seconds: float) -> None:
        self._resting[key] = False
        asyncio.get_running_loop().call_later(seconds, self._end_rest, key)

    def _end_rest(self, key: Key) -> None:
        if self._resting.pop(key, False):
            self.add(key)

    async def _run(self, key: Key, reconcile: Reconcile, *, is_apart: bool) -> None:
        again: float | None = None
        try:
            outcome = await reconcile(key)
            self._wake(outcome.wake)
            if outcome.parked:
                self._parked.add(key, key[0])
            else:
                self._parked.discard(key)
            if outcome.rest > 0:
                self._rest(key, outcome.rest)
            if outcome.trouble is not None:
                raise outcome.trouble
            self._failures.pop(key, None)
            again = outcome.again
        except PlatformError as error:
            again = self._next_backoff(key, error.retry_after)
            logger.warning("%s; again in %.1f s", error, again, extra=about(*key))
        except Exception:
            again = self._next_backoff(key, MAX_BACKOFF)
            logger.exception("reconcile failed: this is a bug", extra=about(*key))
        finally:
            del self._running[key]
            self._punctual.discard(key)
            if is_apart:
                self._apart[key[0]] -= 1
                if not self._apart[key[0]]:
                    del self._apart[key[0]]
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif again is not None:
            self.add_after(key, again) if again > 0 else self.add(key)
        self._fill()

    def _next_backoff(self, key: Key, asked: float | None) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        # `retry_after: 0` gets the backoff too, else the server would be called without a pause.
        return asked or float(min(FIRST_BACKOFF * 2 ** min(count - 1, 10), MAX_BACKOFF))

    async def stop(self) -> None:
        """Drop waiting keys and cancel running reconciles: the next start makes up for them."""
        self._waiting.clear()
        self._due.clear()
        self._parked.clear()
        self._resting.clear()
        for timer in self._timers.values():
            timer.cancel()
        for task in list(self._running.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
