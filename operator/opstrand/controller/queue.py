"""One reconcile per key at a time, and one more remembered; namespaces take turns.

Owns concurrency, the two lanes, delays and the backoff after trouble. A reconcile whose decision is
expensive leaves the first lane and is done in the second, which has its own few slots: it never
holds a slot that other runs need. Must not know what a reconcile does.
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


Reconcile = Callable[[Key], Awaitable[Outcome]]


class Queue:
    """Keys in, `reconcile(key)` out. Nothing runs before `start`: what comes earlier is kept.

    A key whose outcome is `parked` is handed to `reconcile_parked`, at most `parked_slots` at once,
    and at most all of them but one for the same namespace.
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
        self._running: dict[Key, asyncio.Task[None]] = {}
        #: Of those that run, how many are in the second lane, by namespace.
        self._apart: Counter[str] = Counter()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._held: dict[Key, None] | None = {}

    @property
    def depth(self) -> int:
        """Keys that are being reconciled or wait for it."""
        return len(self._running) + len(self._waiting) + len(self._parked) + len(self._held or ())

    def start(self, *, is_urgent: Callable[[Key], bool] = lambda _: True) -> None:
        """Begin with what has been added so far, in its order, the urgent first."""
        held, self._held = self._held or {}, None
        self.add_all(sorted(held, key=lambda key: not is_urgent(key)))

    def add(self, key: Key) -> None:
        """Reconcile this key soon: now, or once more after the reconcile that is going on."""
        if self._held is not None:
            self._held[key] = None
            return
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._running:
            self._again.add(key)
            return
        self._waiting.add(key, key[0])
        self._fill()

    def _fill(self) -> None:
        """Start as many as may run.

        A key that waits is a key and no more: not a task, and nothing of the event that it came by.
        """
        while len(self._running) - self._apart.total() < self._concurrency:
            key = self._waiting.pop()
            if key is None:
                break
            self._start(key, self._reconcile)
        while self._apart.total() < self._parked_slots:
            key = self._parked.pop(is_allowed=self._may_start_apart)
            if key is None:
                break
            if key in self._running:
                # Looked at in the first lane right now: what that finds decides whether it is still
                # to be done.
                self._again.add(key)
                continue
            self._apart[key[0]] += 1
            self._start(key, self._reconcile_parked, is_apart=True)

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
        """Reconcile this key after so many seconds, unless it is sooner for another reason.

        A later call replaces an earlier one.
        """
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._ring, key)

    def _ring(self, key: Key) -> None:
        self._timers.pop(key, None)
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
        # A server that asks to be asked at once is not: it would be asked without a pause.
        return asked or float(min(FIRST_BACKOFF * 2 ** min(count - 1, 10), MAX_BACKOFF))

    async def stop(self) -> None:
        """Let go of what waits and cancel what runs: everything is made up after the next start."""
        self._waiting.clear()
        self._parked.clear()
        for timer in self._timers.values():
            timer.cancel()
        for task in list(self._running.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
