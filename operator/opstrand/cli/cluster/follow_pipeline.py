"""Follow a pipeline in a cluster: its changes, and the logs of the runs that it makes.

Owns that a run that starts later joins in, and that every line is passed on before the pipeline's
end is. Must not print, and must not decide what a change means.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Set
from contextlib import aclosing
from typing import Any

from opstrand.cli.cluster.follow import (
    LogFollower,
    OnChange,
    OnLine,
    finish_together,
    follow_run,
    give_up,
)
from opstrand.cli.cluster.log_cursor import WHOLE, Part
from opstrand.core.names import CONTROLLER, controller_uid, read_op
from opstrand.core.phase import parse_phase
from opstrand.core.pipelines.children import MAX_DEPTH, find_outermost
from opstrand.core.recorded import read_status
from opstrand.kube.client import KubeApi
from opstrand.kube.informer import Informer, Scope, list_into
from opstrand.kube.resources import OPERATIONS, PODS, Resource
from opstrand.kube.versions import is_newer
from opstrand.runs.members import Path, is_pipeline
from opstrand.types import Body, Key, Manifest, key_of

LinesOf = Callable[[Path], OnLine]

#: Logs that are read at once; the others wait, and are read then from their beginning.
_OPEN_LOGS = 100


async def follow_whole_run(
    api: KubeApi,
    body: Manifest,
    *,
    on_change: OnChange,
    lines_of: LinesOf,
    part: Part = WHOLE,
) -> Manifest:
    """Follow a run to its end and return its final body; `lines_of`: what gets the lines of it, and
    of each run that it makes if it is a pipeline, by the operations that lead to it; `part`: what
    of each log is wanted.
    """
    followed = _MadeRuns(api, lines_of, part)

    def pass_on(changed: Manifest) -> None:
        on_change(changed)
        followed.observe(changed)

    following = follow_run(api, body, on_change=pass_on, on_line=lines_of(()), part=part)
    run = asyncio.create_task(following)
    await finish_together(run, asyncio.create_task(followed.follow()))
    return run.result()


class _MadeRuns:
    """Follows the logs of all that a run makes, once it turns out to be a pipeline."""

    def __init__(self, api: KubeApi, lines_of: LinesOf, part: Part) -> None:
        self._api = api
        self._lines_of = lines_of
        self._part = part
        self._body: Manifest = {}
        self._changed = asyncio.Event()

    def observe(self, body: Manifest) -> None:
        self._body = body
        self._changed.set()

    async def follow(self) -> None:
        await self._wait_until(lambda: bool(self._body) and (self._is_over or self._is_pipeline))
        if not self._is_pipeline:
            return
        # The watch and the logs share no connections: each log that is followed holds one.
        async with self._api.session.open_pool(_OPEN_LOGS + 8) as session:
            logs = _FewLogs(KubeApi(session))
            store = _Logs(self._body, logs, self._lines_of, self._part)
            try:
                await self._follow_into(store)
            finally:
                await store.stop()

    async def _follow_into(self, store: _Logs) -> None:
        scope = Scope(
            OPERATIONS,
            self._body["metadata"]["namespace"],
            labels=f"{CONTROLLER}={find_outermost(self._body)}",
        )
        informer = Informer(self._api, scope, store, on_failure=give_up)
        watching = asyncio.create_task(informer.run(), name="runs of a pipeline")
        ending = asyncio.create_task(self._wait_until(lambda: self._is_over))
        try:
            await asyncio.wait(
                {watching, ending, store.failure}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in (watching, store.failure):
                if task.done():
                    task.result()
        finally:
            for task in (watching, ending):
                task.cancel()
            await asyncio.gather(watching, ending, return_exceptions=True)
        # The pipeline's own watch may be ahead of that of its runs.
        await list_into(self._api, scope, store)
        await store.finish()

    @property
    def _is_over(self) -> bool:
        return is_over(self._body)

    @property
    def _is_pipeline(self) -> bool:
        return is_pipeline(self._body)

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()


class _FewLogs:
    """The API server, of which at most so many logs are followed at once."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._places = asyncio.Semaphore(_OPEN_LOGS)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        return await self._api.get(resource, namespace, name)

    async def follow_log(
        self, namespace: str, pod: str, **query: Any
    ) -> AsyncGenerator[bytes, None]:
        log = self._api.follow_log(namespace, pod, **query)
        async with self._places, aclosing(log) as lines:
            async for line in lines:
                yield line

    async def read_log_lines(
        self, namespace: str, name: str, *, resource: Resource = PODS, **query: Any
    ) -> AsyncGenerator[bytes, None]:
        log = self._api.read_log_lines(namespace, name, resource=resource, **query)
        async with self._places, aclosing(log) as lines:
            async for line in lines:
                yield line


class _Logs:
    """The store of an informer of a pipeline's runs: each has its own follower."""

    def __init__(self, pipeline: Manifest, api: _FewLogs, lines_of: LinesOf, part: Part) -> None:
        self._root = str(pipeline["metadata"]["uid"])
        self._api = api
        self._lines_of = lines_of
        self._part = part
        self._bodies: dict[Key, Manifest] = {}
        self._by_uid: dict[str, Manifest] = {}
        self._followers: dict[str, LogFollower] = {}
        #: Runs whose way from the pipeline is not known: a run above them comes later.
        self._waiting: dict[str, Manifest] = {}
        #: Raises the first error of a follower.
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def keys(self, _: str | None) -> frozenset[Key]:
        return frozenset(self._bodies)

    def missing(self, known: frozenset[Key], present: Set[Key]) -> list[Body]:
        # The list is complete: the runs that come from now on begin while they are followed.
        self._part = self._part.whole()
        return [self._bodies[key] for key in known - present if key in self._bodies]

    def put(self, body: Manifest) -> None:
        before, uid = self._bodies.get(key_of(body)), str(body["metadata"]["uid"])
        if before is not None and not is_newer(body, before):
            return
        self._bodies[key_of(body)] = self._by_uid[uid] = body
        if uid in self._followers:
            self._followers[uid].observe(body)
        elif is_pipeline(body):
            for waiting in list(self._waiting.values()):
                self._begin(waiting)
        else:
            self._begin(body)

    def _begin(self, body: Manifest) -> None:
        uid, path = str(body["metadata"]["uid"]), self._find_path(body)
        if path is None:
            self._waiting[uid] = body
            return
        self._waiting.pop(uid, None)
        follower = self._followers[uid] = LogFollower(self._api, self._lines_of(path), self._part)
        follower.task.add_done_callback(self._note_failure)
        follower.observe(body)

    def _find_path(self, body: Manifest) -> Path | None:
        path: Path = ()
        for _ in range(MAX_DEPTH + 1):
            path, above = (read_op(body), *path), controller_uid(body)
            if above == self._root:
                return path
            if above not in self._by_uid:
                return None
            body = self._by_uid[above]
        return None

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self.failure.done():
            self.failure.set_exception(error)

    def drop(self, body: Body) -> None:
        uid = str(body["metadata"]["uid"])
        known = self._bodies.get(key_of(body))
        if known is not None and known["metadata"]["uid"] == uid:
            del self._bodies[key_of(body)]
        self._by_uid.pop(uid, None)
        self._waiting.pop(uid, None)
        if uid in self._followers:
            self._followers.pop(uid).task.cancel()

    async def finish(self) -> None:
        """Wait for the last line of each run that has ended."""
        ended = (uid for uid, body in self._by_uid.items() if is_over(body))
        await asyncio.gather(
            *(self._followers[uid].task for uid in ended if uid in self._followers)
        )

    async def stop(self) -> None:
        tasks = [one.task for one in self._followers.values()]
        for task in (*tasks, self.failure):
            task.cancel()
        await asyncio.gather(*tasks, self.failure, return_exceptions=True)


def is_over(body: Body) -> bool:
    return parse_phase(read_status(body)).is_final
