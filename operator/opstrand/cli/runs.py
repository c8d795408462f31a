"""The runs that a command is about, those of a cluster or those of this machine, behind one face.

Owns that a command need not know which they are. Must not print.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from opstrand.cli import local_runs
from opstrand.cli.options import Target
from opstrand.cli.output.spinner import LiveLine
from opstrand.cli.selection import check_labels, matches_labels
from opstrand.types import JsonPatch, Manifest

MakeOps = Callable[[Mapping[str, Any]], JsonPatch]

#: Seconds between two looks at the runs of this machine: no event reports a change to them.
_LOOK = 0.5


class Runs(Protocol):
    """The runs of one project, and of all where it is asked for."""

    @property
    def project(self) -> str: ...

    def waiting(self) -> AbstractAsyncContextManager[Any]:
        """Return the live line that is shown while an answer takes long."""

    async def find(self, run: str, *, with_gone: bool = False) -> Manifest:
        """Find a run as an argument names it; `with_gone`, also one whose Operation is gone.

        Raises CliError NOT_FOUND.
        """

    async def list_runs(
        self,
        *,
        every_project: bool = False,
        labels: str = "",
        fields: str = "",
        with_gone: bool = False,
    ) -> list[Manifest]:
        """List all runs of the project that have these labels."""

    def iter_lists(
        self, *, every_project: bool = False, labels: str = ""
    ) -> AsyncIterator[list[Manifest]]:
        """Yield the list, and the whole list again after each change; never ends."""

    async def order(self, run: Mapping[str, Any], make_ops: MakeOps) -> Any:
        """Patch a run with the operations that `make_ops` returns for its newest body."""

    async def delete(self, run: Mapping[str, Any]) -> str:
        """Delete a run with all that is kept of it; return what was done."""

    async def find_component(self, hub_ref: str) -> Any:
        """Return the component of the hub; None if there is none."""


@dataclass(frozen=True)
class LocalRuns:
    """The runs of `opstrand run --local`."""

    project: str

    def waiting(self) -> LiveLine:
        return LiveLine()

    async def find(self, run: str, *, with_gone: bool = False) -> Manifest:
        return local_runs.find_record(run, self.project)

    async def list_runs(
        self,
        *,
        every_project: bool = False,
        labels: str = "",
        fields: str = "",
        with_gone: bool = False,
    ) -> list[Manifest]:
        check_labels(labels)
        found = local_runs.list_records(None if every_project else self.project)
        return [body for body in found if matches_labels(body, labels)]

    async def iter_lists(
        self, *, every_project: bool = False, labels: str = ""
    ) -> AsyncIterator[list[Manifest]]:
        before = None
        while True:
            found = await self.list_runs(every_project=every_project, labels=labels)
            if found != before:
                yield found
            before = found
            await asyncio.sleep(_LOOK)

    async def order(self, run: Mapping[str, Any], make_ops: MakeOps) -> None:
        local_runs.order_record(run, make_ops)

    async def delete(self, run: Mapping[str, Any]) -> str:
        local_runs.remove_record(run)
        return "deleted"

    async def find_component(self, hub_ref: str) -> None:
        return None


@asynccontextmanager
async def open_runs(target: Target) -> AsyncIterator[Runs]:
    """Open what the options name: a cluster, or the runs of this machine."""
    if target.is_local:
        yield LocalRuns(target.project or local_runs.PROJECT)
        return
    from opstrand.cli.cluster.connection import open_cluster

    async with open_cluster(target) as cluster:
        yield cluster
