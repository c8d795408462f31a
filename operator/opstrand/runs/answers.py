"""A bounded cache of the cluster's answers by key; at most one request per key is in progress.

Must not know what is asked, nor of whom.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

#: Seconds that a refusal is kept, and the most answers that are.
_REFUSED = 10.0
_MOST = 10_000

Answer = TypeVar("Answer")


class Memory(Generic[Answer]):
    """Answers by key, each requested once at a time and trusted for `seconds`.

    `refusal`: the error that counts as an answer too; it is kept for a shorter time. Refusals are
    stored separately, so that a flood of invented keys does not evict accepted answers.
    """

    def __init__(
        self, seconds: float, *, refusal: type[Exception] | tuple[()] = (), most: int = _MOST
    ) -> None:
        self._seconds, self._refusal, self._most = seconds, refusal, most
        self._known: OrderedDict[Any, tuple[float, asyncio.Task[Answer]]] = OrderedDict()
        self._refused: OrderedDict[Any, tuple[float, Exception]] = OrderedDict()

    async def get(self, key: Any, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        now = time.monotonic()
        refused_until, refusal = self._refused.get(key, (0.0, None))
        if refusal is not None and now < refused_until:
            raise type(refusal)(*refusal.args)
        until, task = self._known.get(key, (0.0, None))
        if task is None or until < now:
            task = asyncio.ensure_future(_as_coroutine(ask))
            self._keep(self._known, key, (now + self._seconds, task))
        try:
            # Shielded: the first caller may disconnect while others still wait for the answer.
            return await asyncio.shield(task)
        except self._refusal as error:
            self._known.pop(key, None)
            self._keep(self._refused, key, (now + _REFUSED, error))
            raise
        except BaseException:
            # Any other error is not an answer.
            if task.done():
                self._known.pop(key, None)
            raise

    def _keep(self, memory: OrderedDict[Any, Any], key: Any, value: Any) -> None:
        memory[key] = value
        memory.move_to_end(key)
        if len(memory) > self._most:
            memory.popitem(last=False)


async def _as_coroutine(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    return await ask()
