"""Runs kept in this process: the store behind `opstrand run --local` and the route tests.

Owns the bodies and the requests that wait for their changes. Must not decide anything about a run.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid as uuids
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jsonpatch

from opstrand.core import names
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.ordering import order_resume
from opstrand.runs.protocols import (
    Control,
    Identity,
    Listed,
    LogLine,
    ProjectNotFound,
    RunNotFound,
)
from opstrand.runs.searching import ListedRuns
from opstrand.runs.status_edits import Edit, patch_ops
from opstrand.types import Body, Key


class MemoryRuns(ListedRuns):
    """`Runs` over a dict of Operation bodies by (namespace, name), and lists of log lines by (uuid,
    attempt).

    A log is followed until `end_log()` was called for it, or its run is final.
    """

    def __init__(self, projects: Sequence[str] = ()) -> None:
        self.bodies: dict[Key, Body] = {}
        self.known_projects = set(projects)
        self._logs: dict[tuple[str, int], list[LogLine]] = {}
        self._ended: set[tuple[str, int]] = set()
        self._condition = asyncio.Condition()
        self._writes = 0
        self._versions = itertools.count(1)

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        return self.bodies[self._key(project, uuid)]

    def _key(self, project: str, uuid: str) -> Key:
        for key, body in self.bodies.items():
            if key[0] == project and run_uuid(body) == uuid:
                return key
        raise RunNotFound(uuid)

    async def list(self, project: str) -> Sequence[Listed]:
        if project not in await self.projects():
            raise ProjectNotFound(project)
        return [
            Listed(body) for (namespace, _), body in self.bodies.items() if namespace == project
        ]

    def made_by(self, project: str, uid: str) -> Sequence[Listed]:
        return [
            Listed(body)
            for (namespace, _), body in self.bodies.items()
            if namespace == project and names.controller_uid(body) == uid
        ]

    async def gone_below(self, body: Body) -> Mapping[str, Sequence[Listed]]:
        return {}

    def version_below(self, project: str, uid: str) -> int:
        """The number of writes so far: it changes with those of all runs."""
        return self._writes

    async def projects(self) -> Sequence[str]:
        return sorted(self.known_projects | {namespace for namespace, _ in self.bodies})

    async def create(self, project: str, body: Body) -> Body:
        if project not in await self.projects():
            raise ProjectNotFound(project)
        uid = str(uuids.uuid4())
        meta = {"name": f"{body['metadata'].get('generateName', '')}{uid[:5]}", **body["metadata"]}
        meta |= {
            "namespace": project,
            "uid": uid,
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return await self.put({**body, "metadata": meta})

    async def put(self, body: Body) -> Body:
        """Store a body under a new resourceVersion, and wake the waiting requests."""
        meta = {**body["metadata"], "resourceVersion": str(next(self._versions))}
        stored = {**body, "metadata": meta}
        self.bodies[meta["namespace"], meta["name"]] = stored
        await self._changed()
        return stored

    async def _changed(self) -> None:
        self._writes += 1
        async with self._condition:
            self._condition.notify_all()

    def on_behalf_of(self, by: Identity) -> MemoryRuns:
        """The store itself: there is only one user."""
        return self

    async def change(self, key: Key, change: Callable[[Body], Body]) -> Body:
        """Store what `change` makes of the current run. Raises KeyError if there is none."""
        return await self.put(change(self.bodies[key]))

    async def edit(self, project: str, uuid: str, edit: Edit) -> Body:
        return await self.change(self._key(project, uuid), lambda body: apply_edit(edit, body))

    async def control(self, project: str, uuid: str, control: Control) -> Body:
        return await self.change(
            self._key(project, uuid), lambda body: apply_control(control, body)
        )

    async def delete(self, project: str, uuid: str) -> None:
        await self.drop(self._key(project, uuid))

    async def drop(self, key: Key) -> None:
        """Forget the run of this key, if there is one, and wake the waiting requests."""
        self.bodies.pop(key, None)
        await self._changed()

    async def wait(
        self, project: str, uuid: str, until: Callable[[Body], bool], seconds: float
    ) -> Body:
        def reached() -> bool:
            return until(self.bodies[self._key(project, uuid)])

        try:
            async with asyncio.timeout(seconds), self._condition:
                await self._condition.wait_for(reached)
        except TimeoutError:
            pass
        return await self.get(project, uuid)

    async def write_log(
        self, uuid: str, text: str, *, attempt: int = 0, at: str | None = None
    ) -> None:
        """Append one line to the main container's log of an attempt."""
        stamp = at or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        self._logs.setdefault((uuid, attempt), []).append(LogLine(stamp, text))
        await self._changed()

    async def end_log(self, uuid: str, attempt: int = 0) -> None:
        self._ended.add((uuid, attempt))
        await self._changed()

    async def log(
        self, body: Body, attempt: int, since: str | None
    ) -> AsyncGenerator[LogLine, None]:
        project, uuid, sent = body["metadata"]["namespace"], run_uuid(body), 0
        lines = self._logs.setdefault((uuid, attempt), [])

        def more() -> bool:
            ended = (uuid, attempt) in self._ended or is_final(
                self.bodies[self._key(project, uuid)]
            )
            return ended or len(lines) > sent

        while True:
            async with self._condition:
                await self._condition.wait_for(more)
            if len(lines) == sent:
                return
            for line in lines[sent:]:
                sent += 1
                if since is None or line.at[:19] >= since[:19]:
                    yield line

    async def find_tail(self, body: Body, attempt: int, lines: int) -> str | None:
        kept = self._logs.get((run_uuid(body), attempt), ())
        return kept[-lines].at if 0 < lines <= len(kept) else None

    async def ready(self) -> bool:
        return True


def apply_edit(edit: Edit, body: Body) -> Body:
    """The run with this report merged into its status. Raises `TooLarge`."""
    edited: Body = jsonpatch.apply_patch(body, patch_ops(edit, body))
    return edited


def apply_control(control: Control, body: Body) -> Body:
    """The run with this request merged into its spec."""
    spec: dict[str, Any] = dict(body.get("spec") or {})
    if control.resumes:
        spec["control"] = order_resume(body)
    if control.switches:
        spec["control"] = {**(spec.get("control") or {}), **control.switches}
    if control.is_approved is not None:
        spec["isApproved"] = control.is_approved
    return {**body, "spec": spec}
