"""One open cluster as commands use it: a project, its runs, and patches to them.

Owns what a command asks of the API server. Must not print the answers, only with -v the requests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from opstrand.cli.cluster.kept_runs import find_kept, list_kept, remove_kept
from opstrand.cli.cluster.lookup import (
    choose,
    explain_no_op,
    explain_path,
    is_name,
    name_child,
    strip_type,
)
from opstrand.cli.errors import CliError, ExitCode, is_kind_unknown
from opstrand.cli.options import Target, check_project
from opstrand.cli.output.console import say
from opstrand.cli.output.spinner import LiveLine
from opstrand.core.names import PIPELINE, run_uuid
from opstrand.core.pipelines.children import is_child
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError, Conflict, NotFound
from opstrand.kube.resources import COMPONENTS, NAMESPACES, OPERATIONS
from opstrand.kube.session import open_session
from opstrand.types import JsonPatch, Manifest

_TRIES = 5


@dataclass(frozen=True)
class Cluster:
    """An open connection and the project that the command is about."""

    api: KubeApi
    project: str

    def waiting(self) -> LiveLine:
        """Return the live line that is shown while an answer takes long."""
        return LiveLine(f"waiting for {self.api.session.server}")

    async def list_runs(
        self,
        *,
        every_project: bool = False,
        labels: str = "",
        fields: str = "",
        with_gone: bool = False,
    ) -> list[Manifest]:
        """List all runs of the project that have these labels and fields; `with_gone`, also those
        whose Operation is gone.

        Raises CliError NOT_FOUND if there is no such namespace, for which a list alone would be
        empty.
        """
        if with_gone:
            where = None if every_project else self.project
            return await list_kept(self.api, where, labels=labels, fields=fields)
        runs, _ = await self.api.list(
            OPERATIONS, None if every_project else self.project, labels=labels, fields=fields
        )
        if not runs and not every_project:
            await self.require_project()
        return runs

    async def iter_lists(
        self, *, every_project: bool = False, labels: str = ""
    ) -> AsyncIterator[list[Manifest]]:
        """Yield the runs that have these labels, and again after each change; never ends."""
        from opstrand.cli.cluster.listing import iter_lists

        if not every_project:
            await self.require_project()
        async for runs in iter_lists(self.api, None if every_project else self.project, labels):
            yield runs

    async def delete(self, run: Mapping[str, Any]) -> str:
        """Delete a run with all that is kept of it; return what was done."""
        kept = await remove_kept(self.api, self.project, run)
        if kept is None:
            return "deleted, with its record and files"
        metadata = run["metadata"]
        await self.api.delete(OPERATIONS, self.project, metadata["name"], uid=metadata["uid"])
        return f"deleted{kept}"

    async def find_component(self, hub_ref: str) -> Any:
        """Return the component of the hub; None if there is none."""
        from opstrand.core.pipelines.hub import component_name

        try:
            found = await self.api.get(COMPONENTS, self.project, component_name(hub_ref))
        except NotFound:
            return None
        return found["spec"]

    async def require_project(self) -> None:
        try:
            await self.api.get(NAMESPACES, None, self.project)
        except NotFound:
            raise missing_project(self.project) from None
        except ApiError:
            # A user who may list runs may not be allowed to read namespaces.
            return

    async def find(self, run: str, *, with_gone: bool = False) -> Manifest:
        """Find the run by its name, TYPE/NAME, its uuid, or an unambiguous prefix of either; or the
        run of PIPELINE/OPERATION. `with_gone`, also one whose Operation is gone, by name or uuid.

        Raises CliError NOT_FOUND with the nearest name.
        """
        first, *ops = strip_type(run).split("/")
        try:
            body = await self._find(first)
        except CliError as error:
            if ops:
                raise explain_path(run, error) from None
            if with_gone and error.code == ExitCode.NOT_FOUND and is_name(first):
                return await find_kept(self.api, self.project, first, error)
            raise
        for op in ops:
            body = await self._find_op(body, op)
        return body

    async def _find_op(self, pipeline: Manifest, op: str) -> Manifest:
        uid = str(pipeline["metadata"]["uid"])
        with suppress(NotFound):
            found = await self.api.get(OPERATIONS, self.project, name_child(pipeline, op))
            if is_child(found, uid):
                return found
        made = await self.list_runs(labels=f"{PIPELINE}={run_uuid(uid)}")
        raise explain_no_op(pipeline, made, op)

    async def _find(self, run: str) -> Manifest:
        if is_name(run):
            try:
                return await self.api.get(OPERATIONS, self.project, run)
            except NotFound as error:
                if is_kind_unknown(error):
                    raise
        return choose(run, await self.list_runs(), self.project)

    async def order(
        self, run: Mapping[str, Any], make_ops: Callable[[Mapping[str, Any]], JsonPatch]
    ) -> Manifest:
        """Patch a run with the operations that `make_ops` returns for its newest body.

        Tries again after a conflict with another writer.
        """
        name, body = run["metadata"]["name"], dict(run)
        for _ in range(_TRIES):
            version = {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": body["metadata"]["resourceVersion"],
            }
            try:
                return await self.api.json_patch(
                    OPERATIONS, self.project, name, [version, *make_ops(body)]
                )
            except Conflict:
                body = await self.api.get(OPERATIONS, self.project, name)
        raise CliError(
            f"{name} is being written too often by others",
            hint="Try again.",
            code=ExitCode.UNREACHABLE,
        )


@asynccontextmanager
async def open_cluster(target: Target) -> AsyncIterator[Cluster]:
    """Open the cluster that the options name. Raises PlatformError without credentials."""
    # A login command may take long, and its output is not shown.
    async with LiveLine("waiting for the credentials"):
        session = await open_session(
            kubeconfig=target.kubeconfig,
            context=target.context,
            connections=8,
            on_answer=show_request if target.is_verbose else None,
        )
    async with session:
        yield Cluster(KubeApi(session), check_project(target.project or session.namespace))


@asynccontextmanager
async def ask_cluster(target: Target) -> AsyncIterator[Cluster]:
    """Open the cluster for a silent request, and show a live line if the answer takes long."""
    async with open_cluster(target) as cluster, cluster.waiting():
        yield cluster


def show_request(method: str, url: str, status: int, seconds: float) -> None:
    """Print what was asked of the API server and how it answered."""
    say(f"{method} {url} {status} {seconds * 1000:.0f} ms", "dim")


def missing_project(project: str) -> CliError:
    return CliError(
        f"there is no project {project!r} in this cluster",
        hint=(
            f"A project is a namespace: kubectl create namespace {project}, or choose another by "
            "--project."
        ),
        code=ExitCode.NOT_FOUND,
    )
