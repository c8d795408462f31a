"""The runs that all local processes share, as the API and the engine of one process see them.

Owns the copy of the shared folder in memory and its watch. A write is stored before it is answered,
and a read sees every write that any process had answered before. Must not execute anything, and
must not decide anything about a run.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime

from opstrand.core.names import maker_uid
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.kube.errors import AlreadyExists
from opstrand.kube.resources import OPERATIONS
from opstrand.kube.versions import is_newer
from opstrand.local.claims import Claims
from opstrand.local.kube import Listener, LocalRuns
from opstrand.local.log_files import LogReader
from opstrand.local.lost import end_lost_runs, is_lost
from opstrand.local.records import Records, RunExists, RunGone
from opstrand.runs.bodies import is_final
from opstrand.runs.log_tail import current_attempt
from opstrand.runs.memory import apply_control, apply_edit
from opstrand.runs.protocols import Control, Listed, LogLine, Refused, RunNotFound
from opstrand.runs.status_edits import Edit
from opstrand.types import Body, Key, Manifest, key_of

#: Seconds between two checks of the one file that every write changes.
_LOOK = 0.05
#: Seconds between two checks of every run: a process may die between a write and its announcement,
#: or while its run is not over.
_LOOK_AT_ALL = 1.0
#: Seconds: a file that was read so soon after a write may be written again with the same mark.
_FRESH = 0.05
#: Seconds between two reads of a log that grows.
_LOOK_AT_LOG = 0.05

#: Distinguishes one content of a file from another: inode, modification time in ns, size in bytes.
_Mark = tuple[int, int, int]
#: The runs that are new or changed, and the keys of all runs.
_Seen = tuple[list[Manifest], set[Key]]


class Watch:
    """Which runs have changed since the last look. Blocks for file operations only."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._announced: _Mark | None = None
        self._looked = float("-inf")
        self._marks: dict[Key, _Mark] = {}

    def is_due(self) -> bool:
        """Whether a look may find something. Costs one `stat`."""
        return (
            _mark(self._records.changes) != self._announced
            or time.monotonic() - self._looked > _LOOK_AT_ALL
        )

    def look(self) -> _Seen:
        announced, looked = _mark(self._records.changes), time.monotonic()
        marks, changed = {}, []
        is_fresh = False
        for key in self._records.list_keys():
            path = self._records.run_file(key)
            mark = _mark(path)
            if mark is None:
                continue
            if self._marks.get(key) != mark:
                try:
                    changed.append(self._records.read(key))
                except RunGone:
                    continue
            if abs(time.time() - mark[1] / 1e9) < _FRESH:
                is_fresh = True
                mark = (0, 0, 0)
            marks[key] = mark
        self._marks = marks
        self._announced, self._looked = (None if is_fresh else announced), looked
        return changed, set(marks)


def _mark(path: os.PathLike[str]) -> _Mark | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class SharedRuns(LocalRuns):
    """`Runs` over the shared folder.

    `keep_watching()` must run beside it. A run that is created here is claimed for this process.
    """

    def __init__(self, records: Records, claims: Claims, listener: Listener) -> None:
        super().__init__(listener)
        self._records, self._claims = records, claims
        self._watch = Watch(records)
        self._looking = asyncio.Lock()

    async def keep_watching(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(_LOOK)

    async def refresh(self) -> None:
        """Read every write that was stored before this call."""
        async with self._looking:
            if not self._watch.is_due():
                return
            known = {key: body["metadata"]["resourceVersion"] for key, body in self.bodies.items()}
            changed, present = await asyncio.to_thread(self._look)
            for body in changed:
                await self._adopt(body)
            for key in known.keys() - present:
                if (
                    key in self.bodies
                    and self.bodies[key]["metadata"]["resourceVersion"] == known[key]
                ):
                    await super().drop(key)

    def _look(self) -> _Seen:
        changed, present = self._watch.look()
        end_lost_runs(self._records, self._claims, [*list(self.bodies.values()), *changed])
        return changed, present

    async def _adopt(self, body: Manifest) -> Manifest:
        """Put a stored body into memory, unless a newer one is known."""
        known = self.bodies.get(key_of(body))
        if known is not None and not is_newer(body, known):
            return body
        self.bodies[key_of(body)] = body
        await self._changed()
        self._listener(OPERATIONS, "ADDED" if known is None else "MODIFIED", body)
        return body

    async def get(self, project: str, uuid: str, *, newest: bool = False) -> Body:
        await self.refresh()
        return await super().get(project, uuid, newest=newest)

    async def list(self, project: str) -> Sequence[Listed]:
        await self.refresh()
        return await super().list(project)

    async def projects(self) -> Sequence[str]:
        await self.refresh()
        return await super().projects()

    async def add(self, body: Manifest) -> Manifest:
        def is_void(known: Manifest) -> bool:
            has_ended = parse_phase(read_status(known)).is_final
            return is_lost(known) or not (has_ended or self._claims.is_claimed(key_of(known)))

        # To the microsecond, because the newer of two runs with one name is the one that counts.
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body = {**body, "metadata": {**body["metadata"], "creationTimestamp": created}}
        try:
            stored = await asyncio.to_thread(
                self._records.create, body, claim=self._claims.claim, is_void=is_void
            )
        except RunExists:
            raise AlreadyExists(
                f"the run {'/'.join(key_of(body))} exists already", status=409
            ) from None
        return await self._adopt(stored)

    async def create(self, project: str, body: Body) -> Body:
        spec = body.get("spec") or {}
        if spec.get("component") is None and spec.get("hubRef"):
            raise Refused(
                f"hubRef: {spec['hubRef']!r} is in a cluster's hub; --local knows only components "
                "that are in the file"
            )
        return await super().create(project, body)

    async def put(self, body: Body) -> Manifest:
        """Store a body, as a new run if there is none of its name."""
        if key_of(body) not in self.bodies:
            return await self.add({**body})
        return await self.change(key_of(body), lambda _: body)

    async def change(self, key: Key, change: Callable[[Body], Body]) -> Manifest:
        try:
            stored = await asyncio.to_thread(self._records.change, key, change)
        except RunGone:
            raise RunNotFound("/".join(key)) from None
        return await self._adopt(stored)

    async def edit(self, project: str, uuid: str, edit: Edit) -> Body:
        await self.refresh()
        return await self.change(self._key(project, uuid), lambda body: apply_edit(edit, body))

    async def control(self, project: str, uuid: str, control: Control) -> Body:
        await self.refresh()
        return await self.change(
            self._key(project, uuid), lambda body: apply_control(control, body)
        )

    async def delete(self, project: str, uuid: str) -> None:
        await self.refresh()
        await self.drop(self._key(project, uuid))

    async def drop(self, key: Key) -> None:
        body = self.bodies.get(key)
        if body is not None:
            await asyncio.to_thread(self._records.remove, key, body["metadata"]["uid"])
            await super().drop(key)
            # What this run made goes with it, as by a cluster's garbage collector.
            made = {
                key for key, one in self.bodies.items() if maker_uid(one) == body["metadata"]["uid"]
            }
            for child in made:
                await self.drop(child)

    async def log(
        self, body: Body, attempt: int, since: str | None
    ) -> AsyncGenerator[LogLine, None]:
        key, reader = key_of(body), LogReader(self._records.log_of(key_of(body), attempt))
        while True:
            # Check before reading, so that a line written between the two is not lost.
            current = self.bodies.get(key)
            is_over = current is None or is_final(current) or current_attempt(current) > attempt
            for line in reader.read():
                if since is None or line.at[:19] >= since[:19]:
                    yield LogLine(line.at, line.text)
            if is_over:
                return
            await asyncio.sleep(_LOOK_AT_LOG)
