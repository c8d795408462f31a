"""One reconcile per key at a time, and one more remembered.

Owns concurrency, delays and the backoff after trouble. Must not know what a reconcile does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context

from opstrand.core.names import Key
from opstrand.errors import PlatformError
from opstrand.journal import about
from opstrand.reconcile import Outcome

logger = logging.getLogger(__name__)

FIRST_BACKOFF = 0.5
MAX_BACKOFF = 60.0


class Queue:
    """Keys in, `reconcile(key)` out. Nothing runs before `start`: what comes earlier is kept."""

    def __init__(self, reconcile: Callable[[Key], Awaitable[Outcome]], *, concurrency: int) -> None:
        self._reconcile = reconcile
        self._concurrency = concurrency
        self._waiting: OrderedDict[Key, None] = OrderedDict()
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._held: dict[Key, None] | None = {}

    @property
    def depth(self) -> int:
        """Keys that are being reconciled or wait for it."""
        return len(self._running) + len(self._waiting) + len(self._held or ())

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
        self._waiting[key] = None
        self._fill()

    def _fill(self) -> None:
        """Start as many as may run. A key that waits is a key and no more: not a task, and nothing of the event that it came by."""
        while self._waiting and len(self._running) < self._concurrency:
            key, _ = self._waiting.popitem(last=False)
            self._running[key] = asyncio.create_task(self._run(key), name=f"reconcile {key[0]}/{key[1]}", context=Context())

    def add_all(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.add(key)

    def _wake(self, keys: Iterable[Key]) -> None:
        """Who waited for what was just done goes before those that came meanwhile: a chain that is begun is gone on with."""
        woken = list(keys)
        self.add_all(woken)
        for key in reversed(woken):
            if key in self._waiting:
                self._waiting.move_to_end(key, last=False)

    def add_after(self, key: Key, seconds: float) -> None:
        """Reconcile this key after so many seconds, unless it is sooner for another reason. A later call replaces an earlier one."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._ring, key)

    def _ring(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _run(self, key: Key) -> None:
        again: float | None = None
        try:
            outcome = await self._reconcile(key)
            self._wake(outcome.wake)
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
        for timer in self._timers.values():
            timer.cancel()
        for task in list(self._running.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
