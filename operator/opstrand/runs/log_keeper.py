"""Decides which logs are read and kept when, so that a log outlives its Pod and its Operation.

Owns how many logs of running Pods are followed at a time; each is read again once its Pod has
ended, and those that were not followed are read then. One process keeps the logs of a folder.
Writes nothing to Kubernetes.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path

from opstrand.artifacts.log_chunks import open_log
from opstrand.core.names import MAIN_CONTAINER
from opstrand.core.phase import Phase
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError
from opstrand.runs.bodies import is_final, phase
from opstrand.runs.kept_logs import KeptLogs
from opstrand.runs.log_reading import Cluster, LogReading, Pace
from opstrand.runs.log_tail import current_attempt
from opstrand.types import Body

logger = logging.getLogger(__name__)

#: Logs of ended Pods that are read at a time.
MOST_ENDED = 8
#: Seconds between two tries to read a log, at first and at most.
_PAUSE = 1.0
_LONGEST_PAUSE = 300.0
#: Seconds between two tries to become the process that keeps the logs.
_LOCK_PAUSE = 5.0
#: Deleted runs that are remembered, so that no late event reads their logs again.
_REMOVED = 8192
#: Phases in which a main container has started and its run is not over.
_STARTED = frozenset({Phase.RUNNING, Phase.PROCESSING, Phase.STOPPING, Phase.RETRYING})
#: The uid of a run, and the number of an attempt.
LogKey = tuple[str, int]


class LogKeeper:
    """An `index.Observer` that keeps logs. `run()` must run beside it.

    `streams`: how many logs of running Pods are followed at a time.
    """

    def __init__(self, logs: KeptLogs, cluster: Cluster, *, streams: int) -> None:
        self.logs, self._cluster, self._streams = logs, cluster, streams
        #: Logs that wait to be read. The bodies are the index's own.
        self._ended: dict[LogKey, Body] = {}
        self._running: dict[LogKey, Body] = {}
        self._reading: dict[LogKey, LogReading] = {}
        self._followed: set[LogKey] = set()
        self._tasks: dict[LogKey, asyncio.Task[None]] = {}
        #: Logs that are tried again later, and how often each failed.
        self._failed: dict[LogKey, LogReading] = {}
        self._failures: dict[LogKey, int] = {}
        #: Complete logs of runs that are in the index, and logs of runs that are not any more.
        self._done: set[LogKey] = set()
        self._dropped: set[LogKey] = set()
        #: The last runs that were deleted with their logs.
        self._removed: OrderedDict[str, None] = OrderedDict()
        self._work = asyncio.Event()
        self._pace = Pace()

    # -- index.Observer

    def changed(self, body: Body) -> None:
        for key, is_over in self._logs_of(body):
            if is_over:
                self._expect_end(key, body)
            elif key in self._reading:
                self._reading[key].body = body
            elif phase(body) in _STARTED and key not in self._failed:
                self._running[key] = body
        self._work.set()

    def dropped(self, body: Body) -> None:
        for key, _ in self._logs_of(body):
            self._expect_end(key, body)
            self._dropped.add(key)
        for attempt in range(current_attempt(body) + 1):
            self._done.discard((body["metadata"]["uid"], attempt))
        self._work.set()

    def _logs_of(self, body: Body) -> list[tuple[LogKey, bool]]:
        """The logs of a run that are not complete, and whether the Pod of each has ended."""
        uid, newest = body["metadata"]["uid"], current_attempt(body)
        if uid in self._removed or not (read_status(body).get("pod") or {}).get("name"):
            return []
        keys = ((uid, attempt) for attempt in range(newest + 1))
        return [(key, key[1] < newest or is_final(body)) for key in keys if key not in self._done]

    def _expect_end(self, key: LogKey, body: Body) -> None:
        self._running.pop(key, None)
        log = self._reading.get(key) or self._failed.get(key)
        if log is None:
            self._ended[key] = body
        else:
            log.body = body
            log.over.set()

    # -- reading

    async def remove(self, body: Body) -> None:
        """Delete the logs of a run for good, and read none of them again."""
        uid = body["metadata"]["uid"]
        self._removed[uid] = None
        while len(self._removed) > _REMOVED:
            self._removed.popitem(last=False)
        for attempt in range(current_attempt(body) + 1):
            key = (uid, attempt)
            self._running.pop(key, None)
            self._ended.pop(key, None)
            self._done.discard(key)
            self._dropped.discard(key)
            if task := self._tasks.get(key):
                task.cancel()
                await asyncio.wait({task})
        await self.logs.delete(body)

    async def run(self) -> None:
        """Keep the logs, for ever."""
        while True:
            try:
                async with _alone(self.logs.base):
                    await self._run()
            except OSError as error:
                logger.error("no log is kept: %s", error)
            except Exception:
                logger.exception("a bug: no log is kept for some minutes")
            await asyncio.sleep(_LONGEST_PAUSE)

    async def _run(self) -> None:
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                self._start_waiting()
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            if tasks:
                # Another process may keep the logs only after the last thread has written.
                await asyncio.wait(tasks)

    def _start_waiting(self) -> None:
        # Ended Pods first: they may be deleted soon.
        while self._ended and len(self._reading) - len(self._followed) < MOST_ENDED:
            key = next(iter(self._ended))
            self._start(key, self._ended.pop(key)).over.set()
        while self._running and len(self._followed) < self._streams:
            key = next(iter(self._running))
            self._followed.add(key)
            self._start(key, self._running.pop(key))

    def _start(self, key: LogKey, body: Body) -> LogReading:
        log = self._reading[key] = LogReading(self._cluster, body, key[1], self._pace)
        self._tasks[key] = asyncio.create_task(self._keep(key, log))
        return log

    async def _keep(self, key: LogKey, log: LogReading) -> None:
        """Read a log to its end, or try again later."""
        is_done = True
        try:
            folder = await self.logs.folder(log.body)
            if folder is not None:
                await log.keep(open_log(folder, log.attempt, MAIN_CONTAINER))
        except FileNotFoundError:
            # Its files were deleted, with the run.
            pass
        except (PlatformError, OSError) as error:
            logger.warning("a log is kept later: %s", error, extra=_name(log))
            is_done = False
        except Exception:
            logger.exception("a bug: a log is kept later", extra=_name(log))
            is_done = False
        finally:
            del self._reading[key], self._tasks[key]
            self._followed.discard(key)
            self._work.set()
        if is_done:
            self._note_done(key)
        else:
            self._try_later(key, log)

    def _note_done(self, key: LogKey) -> None:
        self._failures.pop(key, None)
        if key in self._dropped:
            self._dropped.discard(key)
        else:
            self._done.add(key)

    def _try_later(self, key: LogKey, log: LogReading) -> None:
        self._failed[key] = log
        failures = self._failures[key] = self._failures.get(key, 0) + 1

        def again() -> None:
            del self._failed[key]
            if key[0] in self._removed:
                self._failures.pop(key, None)
                return
            waiting = self._ended if log.over.is_set() else self._running
            waiting[key] = log.body
            self._work.set()

        pause = min(_PAUSE * 2 ** min(failures, 16), _LONGEST_PAUSE)
        asyncio.get_running_loop().call_later(pause, again)


def _name(log: LogReading) -> dict[str, str]:
    namespace, pod = log.pod
    return {"project": namespace, "pod": pod}


@contextlib.asynccontextmanager
async def _alone(base: Path) -> AsyncIterator[None]:
    """Wait until no other process keeps the logs of this folder."""
    place = base / "logs"
    place.mkdir(parents=True, exist_ok=True)
    file = os.open(place / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(file)
