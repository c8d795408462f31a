"""Group commit: merge many reports of one run into few writes, and answer each report only once it
is stored.

Owns when a write starts. The first report of an idle run is written at once. Reports that arrive
during a write, or within the window after the last write began, share the next write. Must not know
what a report contains, except that two can be merged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from opstrand.runs.protocols import Refused
from opstrand.runs.status_edits import Edit, TooLarge
from opstrand.types import Key

#: Seconds between two writes of one run. The API server spends about 3 ms of CPU on each.
WINDOW = 0.05

Stored = Any


@dataclass
class _Queue:
    waiting: list[tuple[Edit, asyncio.Future[Stored]]] = field(default_factory=list)
    last_began: float = float("-inf")
    worker: asyncio.Task[None] | None = None


class Commits:
    """Writes per key (project and uuid), one at a time and in order, through `store(key, edit)`."""

    def __init__(
        self, store: Callable[[Key, Edit], Awaitable[Stored]], window: float = WINDOW
    ) -> None:
        self._store = store
        self._window = window
        self._queues: dict[Key, _Queue] = {}

    async def submit(self, key: Key, edit: Edit) -> Stored:
        """What `store` returned for the write that contained this edit; raises what it raised."""
        queue = self._queues.setdefault(key, _Queue())
        future: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        queue.waiting.append((edit, future))
        if queue.worker is None:
            queue.worker = asyncio.create_task(self._drain(key, queue))
        return await future

    async def _drain(self, key: Key, queue: _Queue) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, queue.last_began + self._window - loop.time()))
            # Idle for a whole window: the next report is written at once.
            if not queue.waiting:
                del self._queues[key]
                return
            batch, queue.waiting = queue.waiting, []
            queue.last_began = loop.time()
            await self._write(key, batch)

    async def _write(self, key: Key, batch: list[tuple[Edit, asyncio.Future[Stored]]]) -> None:
        try:
            stored = await self._store(key, reduce(Edit.then, (edit for edit, _ in batch)))
        except (TooLarge, Refused) as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            # Refuse only the reports that cannot be stored; bisecting finds them in few writes.
            middle = len(batch) // 2
            await self._write(key, batch[:middle])
            await self._write(key, batch[middle:])
        except Exception as error:
            _fail(batch, error)
        else:
            for _, future in batch:
                if not future.done():
                    future.set_result(stored)


def _fail(batch: list[tuple[Edit, asyncio.Future[Stored]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
