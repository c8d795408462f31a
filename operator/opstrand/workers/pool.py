"""A few worker processes for jobs that a user's file can make expensive, shared fairly by group.

Owns the workers, the turns of the groups, and the bound on how many workers one group has at once.
A job is charged for everything that it causes, even the loss of its worker. Must not know what a
job is about.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import pickle
import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from opstrand.errors import PlatformError, SpecError
from opstrand.settings import Settings
from opstrand.workers.fairness import FairLine
from opstrand.workers.frames import (
    LAST,
    SECONDS,
    TOO_LONG,
    TOO_MUCH_MEMORY,
    read_answer,
    write_value,
)
from opstrand.workers.processes import NurseryProcess, WorkerProcess

logger = logging.getLogger(__name__)

#: Seconds without an answer after which a worker is stuck. The kernel limits its CPU time; on a
#: busy machine the same work takes many times as long by the clock, since workers have a low
#: priority, and the job is not to blame for that.
_PATIENCE = 120.0
_ENDED_BY_TIME = (-signal.SIGPROF, -signal.SIGXCPU)


class Exceeded(Exception):
    """The job exceeded a limit. `seconds`: the CPU time it is charged."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.message = message
        self.seconds = seconds


class Stuck(PlatformError):
    """The worker did not answer: the machine is too busy, or the worker hangs.

    `seconds`: the CPU time charged to the job, so that its retries come to an end.
    """

    seconds: float = 0.0


class Refused(SpecError):
    """The job found the user's data wrong. `seconds`: the CPU time that finding it took."""

    seconds: float = 0.0


class Busy(Exception):
    """The group has as many waiting jobs as it may have; this one is refused."""


@dataclass(frozen=True)
class Done:
    """The value of a job, and the CPU seconds that it took."""

    value: Any
    seconds: float


def open_pool(settings: Settings, *, modules: Sequence[str], most_waiting: int = 0) -> Pool:
    """A pool with the limits of the settings."""
    return Pool(
        modules=modules,
        workers=settings.decision_workers,
        seconds=settings.decision_seconds,
        megabytes=settings.decision_memory,
        most_waiting=most_waiting,
    )


class _Ticket:
    """A place in the queue."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Pool:
    """`await run(...)` does one job in a worker. The first job starts the first process.

    `modules` are imported once, before any worker is forked. `most_waiting`: the number of jobs of
    one group that may wait (0: any number).
    """

    def __init__(
        self,
        *,
        modules: Sequence[str],
        workers: int = 2,
        seconds: float = 2.0,
        megabytes: int = 128,
        most_waiting: int = 0,
    ) -> None:
        self.seconds = seconds
        self.workers = max(workers, 1)
        self._megabytes = megabytes
        self._most_waiting = most_waiting
        self._nursery = NurseryProcess(modules, megabytes)
        self._idle: list[WorkerProcess] = []
        self._line: FairLine[_Ticket] = FairLine()
        self._busy: Counter[str] = Counter()
        self._is_closed = False

    async def run(
        self,
        job: str,
        *arguments: Any,
        group: str,
        seconds: float | None = None,
        chunks: Iterable[Sequence[Any]] | None = None,
    ) -> Done:
        """Do the job when it is this group's turn. Raises Refused, Exceeded, Busy, and
        PlatformError where no worker can be started.

        `seconds` of CPU time are allowed, by default the pool's. `chunks` become one more argument,
        a list of all their items: they are sent one chunk at a time, so that the event loop is not
        blocked.
        """
        await self._wait_for_turn(group)
        try:
            return await self._do(
                job, arguments, float(self.seconds if seconds is None else seconds), chunks
            )
        finally:
            self._busy[group] -= 1
            self._admit()

    async def _wait_for_turn(self, group: str) -> None:
        if self._most_waiting and self._line.count(group) >= self._most_waiting:
            raise Busy
        ticket = _Ticket(group)
        self._line.add(ticket, group)
        self._admit()
        try:
            await ticket.turn
        except asyncio.CancelledError:
            if ticket in self._line:
                self._line.discard(ticket)
            else:
                self._busy[group] -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        self._busy += Counter()  # drops the groups whose count is zero
        while self._busy.total() < self.workers:
            ticket = self._line.pop(is_allowed=self._may_have_one)
            if ticket is None:
                return
            self._busy[ticket.group] += 1
            if not ticket.turn.done():
                ticket.turn.set_result(None)

    def _may_have_one(self, group: str) -> bool:
        """One worker is always left for the other groups."""
        return self._busy[group] < max(self.workers - 1, 1)

    async def _do(
        self,
        job: str,
        arguments: Sequence[Any],
        seconds: float,
        chunks: Iterable[Sequence[Any]] | None,
    ) -> Done:
        listed = None if chunks is None else list(chunks)
        head = seconds.hex().ljust(SECONDS).encode() + write_value(
            (job, arguments, None if listed is None else len(listed))
        )
        for tries_left in (1, 0):
            if self._is_closed:
                raise PlatformError("the processes for expensive decisions have been ended")
            worker = self._idle.pop() if self._idle else await self._nursery.fork()
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer = await worker.ask(
                        itertools.chain([head], map(write_value, listed or ()))
                    )
            except TimeoutError:
                worker.close()
                stuck = Stuck(
                    f"a process for expensive decisions did not answer within {_PATIENCE:g} s",
                    retry_after=5.0,
                )
                stuck.seconds = seconds
                raise stuck from None
            except (OSError, EOFError):
                code = await worker.find_code()
                worker.close()
                if code in _ENDED_BY_TIME:
                    raise Exceeded(TOO_LONG.format(seconds=seconds), seconds) from None
                if not tries_left or code != -signal.SIGKILL:
                    raise Exceeded(
                        TOO_MUCH_MEMORY.format(memory=self._megabytes), seconds
                    ) from None
                # Its SIGKILL may have had another cause than this job: try once more.
                continue
            except BaseException:
                worker.close()
                raise
            if answer[:1] == LAST:
                worker.close()
            else:
                self._idle.append(worker)
            return _read(answer[1:])
        raise AssertionError("the second try neither answered nor raised")

    def close(self) -> None:
        """Kill every worker now, busy or not. No further one is started."""
        self._is_closed = True
        for worker in self._idle:
            worker.close()
        self._idle.clear()
        self._nursery.close()


def _read(answer: bytes) -> Done:
    try:
        kind, value, seconds = read_answer(answer)
    except (
        pickle.UnpicklingError,
        ValueError,
        TypeError,
        EOFError,
        AttributeError,
        IndexError,
        ImportError,
    ) as error:
        raise RuntimeError(f"a worker's answer cannot be read: {error}") from error
    match kind:
        case "value":
            return Done(value, seconds)
        case "refused":
            refused = Refused.of(value)
            assert isinstance(refused, Refused)
            refused.seconds = seconds
            raise refused
        case "expensive":
            raise Exceeded(value, seconds)
        case _:
            raise RuntimeError(f"a job failed in a worker:\n{value}")
