"""Runs as the Operations of a cluster: the store behind the API in a cluster.

Owns reading (an informer; before a run is reported as missing, the API server itself) and writing
(JSON Patch, retried after a conflicting write). Must not know HTTP, and must not decide what
becomes of a run.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol

from opstrand.errors import PlatformError
from opstrand.kube.errors import Conflict, Forbidden, Invalid, NotFound
from opstrand.kube.informer import Informer, Scope, list_into
from opstrand.kube.protocol import WatchedKube
from opstrand.kube.resources import NAMESPACES, OPERATIONS
from opstrand.runs.authorship import Impersonation, extra_of, groups_of, record, sign, signature_ops
from opstrand.runs.bodies import run_uuid
from opstrand.runs.group_commit import Commits
from opstrand.runs.index import Index, Observer
from opstrand.runs.log_keeper import LogKeeper
from opstrand.runs.ordering import order_resume
from opstrand.runs.pod_logs import follow_pod
from opstrand.runs.protocols import (
    Control,
    Identity,
    Listed,
    LogLine,
    Orders,
    ProjectNotFound,
    Refused,
    RunNotFound,
)
from opstrand.runs.searching import ListedRuns
from opstrand.runs.status_edits import Edit, patch_ops
from opstrand.types import Body, JsonPatch

#: How often a write is tried while other clients write the same run.
_TRIES = 14
_NOT_SYNCED = "the API has just started and has not read all runs of the cluster yet"
#: Seconds: the minimum between two lists of one project, and how long the project names are cached.
_LIST_INTERVAL = 1.0


class Cluster(WatchedKube, Protocol):
    """The part of `kube.client.KubeApi` that is needed here."""

    def follow_log(self, namespace: str, pod: str, **query: Any) -> AsyncGenerator[bytes, None]: ...

    def impersonate(
        self,
        user: str,
        groups: Sequence[str] = (),
        extra: Mapping[str, Sequence[str]] | None = None,
    ) -> Cluster: ...


class ClusterRuns(ListedRuns):
    """`Runs` over a cluster. `keep_watching()` must run beside it.

    `logs` is the same cluster over separate connections for followed logs. With `impersonation`,
    what a user asks of runs is sent as that user if the API's account may do so.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        logs: Cluster | None = None,
        impersonation: Impersonation | None = None,
    ) -> None:
        self._cluster, self._logs = cluster, logs or cluster
        self._log_keeper: LogKeeper | None = None
        self._impersonation = impersonation
        self._index = Index()
        self._commits = Commits(self._store)
        self._listed: defaultdict[str, float] = defaultdict(lambda: float("-inf"))
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._projects: list[str] = []
        self._informer = Informer(cluster, Scope(OPERATIONS), self._index)

    async def keep_watching(self) -> None:
        """Keep the index equal to the cluster, for ever."""
        await self._informer.run()

    async def ready(self) -> bool:
        return self._informer.is_synced

    def check_ready(self) -> None:
        """Raise PlatformError unless all runs of the cluster are known."""
        if not self._informer.is_synced:
            raise PlatformError(_NOT_SYNCED, retry_after=1)

    async def wait_until_ready(self) -> None:
        await self._informer.synced.wait()

    def observe(self, observer: Observer) -> None:
        """Call this observer too with every change from now on.

        Before `keep_watching`, it sees all.
        """
        self._index.observers.append(observer)

    def keep_logs(self, keeper: LogKeeper) -> None:
        """Keep the logs of all runs. The keeper must run beside this."""
        self._log_keeper = keeper
        self.observe(keeper)

    def heads(self) -> Sequence[Body]:
        """Every run of the cluster, the large ones packed."""
        return self._index.heads()

    def peek(self, project: str, uuid: str) -> Body | None:
        """The run as it is cached. None does not mean that there is none."""
        return self._index.find(project, uuid)

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        body = self._index.find(project, uuid)
        if body is None:
            await self._list_again(project)
            body = self._index.find(project, uuid)
        if body is None:
            raise RunNotFound(uuid)
        return await self._get_newest(body) if newest else body

    async def _list_again(self, project: str) -> None:
        """List the project after this call began; one list serves all requests that wait for it."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self._locks[project]:
            if self._listed[project] > asked:
                return
            await asyncio.sleep(max(0.0, self._listed[project] + _LIST_INTERVAL - loop.time()))
            self._listed[project] = loop.time()
            await list_into(self._cluster, Scope(OPERATIONS, project), self._index)

    async def list(self, project: str) -> Sequence[Listed]:
        self.check_ready()
        if project not in await self.projects() and project not in await self._list_projects():
            raise ProjectNotFound(project)
        return self._index.list(project)

    def made_by(self, project: str, uid: str) -> Sequence[Listed]:
        return self._index.made_by(project, uid)

    async def gone_below(self, body: Body) -> Mapping[str, Sequence[Listed]]:
        return {}

    def version_below(self, project: str, uid: str) -> int:
        return self._index.version_below(project, uid)

    async def projects(self) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        if loop.time() - self._listed[""] > _LIST_INTERVAL:
            self._listed[""] = loop.time()
            return await self._list_projects()
        return self._projects

    async def _list_projects(self) -> Sequence[str]:
        items, _ = await self._cluster.list(NAMESPACES)
        self._projects = sorted(item["metadata"]["name"] for item in items)
        return self._projects

    def on_behalf_of(self, by: Identity) -> Orders:
        return _OrdersOf(self, by)

    async def _as(self, by: Identity | None) -> Cluster:
        if by is None or self._impersonation is None or not await self._impersonation.may(by):
            return self._cluster
        return self._cluster.impersonate(by.name, groups_of(by), extra_of(by))

    async def create(self, project: str, body: Body, *, by: Identity | None = None) -> Body:
        try:
            made = self._index.put_newest(
                await (await self._as(by)).create(OPERATIONS, project, sign(body, by))
            )
        except NotFound:
            raise ProjectNotFound(project) from None
        except (Invalid, Forbidden) as error:
            raise Refused(error.server_message) from None
        record("created", made, by)
        return made

    async def edit(self, project: str, uuid: str, edit: Edit) -> Body:
        stored: Body = await self._commits.submit((project, uuid), edit)
        return stored

    async def _store(self, key: tuple[str, str], edit: Edit) -> Body:
        project, uuid = key
        return await self._patch(
            project, uuid, lambda body: patch_ops(edit, body), subresource="status"
        )

    async def control(
        self, project: str, uuid: str, control: Control, *, by: Identity | None = None
    ) -> Body:
        cluster = await self._as(by)
        asked = await self._patch(
            project,
            uuid,
            lambda body: _control_ops(control, body) + signature_ops(body, control, by),
            cluster=cluster,
        )
        for key in control.asked:
            record(f"asked to {key}", asked, by)
        return asked

    async def _patch(
        self,
        project: str,
        uuid: str,
        make: Callable[[Body], JsonPatch],
        *,
        subresource: str | None = None,
        cluster: Cluster | None = None,
    ) -> Body:
        """Patch the run; after a conflict, build the patch again from the newest body."""
        body = await self.get(project, uuid)
        for tried in range(_TRIES):
            meta = body["metadata"]
            same_object = {"op": "test", "path": "/metadata/uid", "value": meta["uid"]}
            try:
                ops = [same_object, *make(body)]
                patched = await (cluster or self._cluster).json_patch(
                    OPERATIONS, project, meta["name"], ops, subresource=subresource
                )
                return self._index.put_newest(patched)
            except NotFound:
                self._index.drop(body)
                raise RunNotFound(uuid) from None
            except Forbidden as error:
                if cluster in (None, self._cluster):
                    raise
                raise Refused(error.server_message) from None
            except (Conflict, Invalid) as error:
                # Invalid too: the map that a key was to be added to may be gone, or the name may
                # belong to another object by now.
                await asyncio.sleep(random.uniform(0, min(0.01 * 2**tried, 1.0)) if tried else 0)
                newest = await self._get_newest(body)
                if isinstance(error, Invalid) and _is_same_version(newest, body):
                    raise Refused(error.server_message) from None
                body = newest
        raise PlatformError(
            f"the run {uuid} is being written too often by others; try again", retry_after=1
        )

    async def _get_newest(self, body: Body) -> Body:
        meta = body["metadata"]
        try:
            newest = await self._cluster.get(OPERATIONS, meta["namespace"], meta["name"])
        except NotFound:
            newest = None
        if newest is None or newest["metadata"]["uid"] != meta["uid"]:
            self._index.drop(body)
            raise RunNotFound(run_uuid(body))
        return self._index.put_newest(newest)

    async def delete(self, project: str, uuid: str, *, by: Identity | None = None) -> None:
        body = await self.get(project, uuid)
        cluster = await self._as(by)
        try:
            await cluster.delete(
                OPERATIONS, project, body["metadata"]["name"], uid=body["metadata"]["uid"]
            )
        except Forbidden as error:
            raise Refused(error.server_message) from None
        self._index.forget(body)
        record("deleted", body, by)
        await self.delete_logs(body)

    async def wait(
        self, project: str, uuid: str, until: Callable[[Body], bool], seconds: float
    ) -> Body:
        await self.get(project, uuid)
        body = await self._index.wait(project, uuid, until, seconds)
        if body is None:
            raise RunNotFound(uuid)
        return body

    def log(self, body: Body, attempt: int, since: str | None) -> AsyncGenerator[LogLine, None]:
        def read_live(begin: str | None) -> AsyncGenerator[LogLine, None]:
            return follow_pod(self._logs.follow_log, self.wait, body, attempt, begin)

        if self._log_keeper is None:
            return read_live(since)
        return self._log_keeper.logs.read(body, attempt, since, read_live)

    def log_of_gone(
        self, body: Body, attempt: int, since: str | None
    ) -> AsyncGenerator[LogLine, None]:
        """What is kept of the log of a run without an object."""
        if self._log_keeper is None:
            return _no_lines()
        return self._log_keeper.logs.read(body, attempt, since, None)

    async def find_tail(self, body: Body, attempt: int, lines: int) -> str | None:
        if self._log_keeper is None:
            return None
        return await self._log_keeper.logs.find_tail(body, attempt, lines)

    async def delete_logs(self, body: Body) -> None:
        """Delete what is kept of the logs of a deleted run."""
        if self._log_keeper is not None:
            await self._log_keeper.remove(body)


async def _no_lines() -> AsyncGenerator[LogLine, None]:
    return
    yield


class _OrdersOf:
    """`Orders` of one user."""

    def __init__(self, runs: ClusterRuns, by: Identity) -> None:
        self._runs, self._by = runs, by

    async def create(self, project: str, body: Body) -> Body:
        return await self._runs.create(project, body, by=self._by)

    async def control(self, project: str, uuid: str, control: Control) -> Body:
        return await self._runs.control(project, uuid, control, by=self._by)

    async def delete(self, project: str, uuid: str) -> None:
        await self._runs.delete(project, uuid, by=self._by)


def _is_same_version(one: Body, other: Body) -> bool:
    return bool(one["metadata"]["resourceVersion"] == other["metadata"]["resourceVersion"])


def _control_ops(control: Control, body: Body) -> JsonPatch:
    spec = body.get("spec") or {}
    ops: JsonPatch = []
    if control.resumes:
        # The number is made of what was read, and two orders must not be mixed.
        version = body["metadata"]["resourceVersion"]
        ops.append({"op": "replace", "path": "/metadata/resourceVersion", "value": version})
        ops.append({"op": "add", "path": "/spec/control", "value": order_resume(body)})
    if control.switches and not isinstance(spec.get("control"), dict):
        ops += [
            {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": body["metadata"]["resourceVersion"],
            }
        ]
        ops += [{"op": "add", "path": "/spec/control", "value": {}}]
    ops += [
        {"op": "add", "path": f"/spec/control/{key}", "value": value}
        for key, value in control.switches.items()
    ]
    if control.is_approved is not None:
        ops.append({"op": "add", "path": "/spec/isApproved", "value": control.is_approved})
    return ops
