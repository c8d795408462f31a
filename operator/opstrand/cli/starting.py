"""Start a run and follow it as far as the user asked, in a cluster or as a process here.

Owns what is printed about the start and the end. Must not read files: the operation is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, check_project
from opstrand.cli.output.console import say, show
from opstrand.cli.output.format import as_json, as_yaml, name_of, one_line, show_value, slim
from opstrand.errors import SpecError

if TYPE_CHECKING:
    from opstrand.cli.files.submission import Submission
    from opstrand.core.planning.connections import Catalog

#: Outputs and files that the end of a run lists; `opstrand get` has all.
_FEW = 20
_LONG = 200


@dataclass(frozen=True)
class Wish:
    """How to show the run."""

    logs: bool
    watch: bool
    timeout: float | None
    output: str | None
    target: Target
    #: `client` or `server`: create nothing.
    dry_run: str | None = None

    def about(self, target: Target, dry_run: str | None = None) -> Wish:
        """Return the same wish about a run of this target."""
        return replace(self, target=target, dry_run=dry_run)

    @property
    def is_followed(self) -> bool:
        return self.logs or self.watch or self.timeout is not None or self.target.is_local

    def created(self, body: Any, project: str) -> None:
        say(f"created run {body['metadata']['name']} in project {project}")
        if self.output == "name":
            show(name_of(body))
        elif not self.is_followed:
            self._show_whole(body)

    def ended(self, body: Any) -> ExitCode:
        from opstrand.cli.output.progress import report_end

        self._show_whole(body)
        code = report_end(body, self.target)
        for line in list_results(body, self.target):
            say(line)
        return code

    def would_create(self, body: Any, project: str | None) -> None:
        metadata = body["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}..."
        where = f" in project {project}" if project else ""
        how = "the API server accepts it" if self.dry_run == "server" else "dry run"
        say(f"would create run {name}{where} ({how})")
        if self.output == "name":
            show(f"operation.opstrand.dev/{name}")
        else:
            self._show_whole(body)

    def _show_whole(self, body: Any) -> None:
        if self.output in ("json", "yaml"):
            show((as_json if self.output == "json" else as_yaml)(slim(body)))


def list_results(body: Any, target: Target) -> list[str]:
    """Return what a run that has ended left: its outputs, and where its files are."""
    from opstrand.core.recorded import read_status
    from opstrand.core.resolving.run_values import order_outputs

    outputs = order_outputs(body) or {}
    lines = [
        f"  {name}: {one_line(show_value(value), _LONG)}"
        for name, value in list(outputs.items())[:_FEW]
    ]
    if lines:
        lines = ["outputs:", *lines]
    if target.is_local:
        return [*lines, *_list_local_files(body)]
    paths = [
        str(one["path"]) for one in read_status(body).get("artifacts") or () if one.get("path")
    ]
    return [*lines, *(f"file: {path}" for path in paths[:_FEW])]


def _list_local_files(body: Any) -> list[str]:
    from opstrand.core.names import run_uuid
    from opstrand.local.records import Records

    metadata = body["metadata"]
    folder = Records().store_of(metadata["namespace"]) / run_uuid(metadata["uid"])
    has_files = folder.is_dir() and any(one.is_file() for one in folder.rglob("*"))
    return [f"files: {folder}"] if has_files else []


def validate_operation(
    submission: Submission,
    operation: Mapping[str, Any],
    *,
    label: str,
    catalog: Catalog | None,
    is_local: bool,
) -> None:
    """Refuse what cannot run, before anything is created; print the notes about it."""
    from opstrand.cli.checking.validate import validate_submission
    from opstrand.controller.template_worker import Sandbox
    from opstrand.core.compiling.prepare import prepare
    from opstrand.settings import Settings

    with Sandbox() as sandbox:
        verdict = validate_submission(
            submission,
            evaluate=sandbox.for_one_run(),
            complete=True,
            catalog=catalog,
            for_cluster=not is_local,
        )
    for note in verdict.notes:
        # A name of -P that nothing declares is often why a required input has no value.
        if not verdict.problems or note.startswith("-P "):
            say(f"note: {label}: {note}")
    verdict.require()
    # The engine's own validation, with a made-up identity: it refuses what this version does not
    # run.
    stand_in = {
        **operation,
        "metadata": {
            "name": "run",
            "namespace": submission.spec.get("namespace") or "run",
            "uid": "0" * 32,
        },
    }
    try:
        prepare(stand_in, settings=Settings())
    except SpecError as error:
        raise submission.place(error) from None


def check_namespace(operation: Mapping[str, Any], project: str) -> None:
    """Refuse a file that names another namespace than the project."""
    own = operation["spec"].get("namespace")
    if own not in (None, project):
        raise CliError(
            f"namespace: the file says {own!r}, and the project is {project!r}",
            hint=f"-n {own} runs it where it belongs.",
        )


async def start_there(operation: dict[str, Any], target: Target, wish: Wish) -> int:
    """Create the run in a cluster, and follow it if asked to; return the exit code."""
    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.cli.cluster.run_cluster import create_run, preview_run, watch_run
    from opstrand.cli.cluster.waiting import Interrupted

    if wish.dry_run == "client":
        project = target.project and check_project(target.project)
        if project:
            check_namespace(operation, project)
        wish.would_create(operation, project)
        return ExitCode.SUCCEEDED
    async with open_cluster(target) as cluster:
        check_namespace(operation, cluster.project)
        if wish.dry_run:
            async with cluster.waiting():
                body = await preview_run(cluster, operation)
            wish.would_create(body, cluster.project)
            return ExitCode.SUCCEEDED
        async with cluster.waiting():
            body = await create_run(cluster, operation)
        wish.created(body, cluster.project)
        if not wish.is_followed:
            name = body["metadata"]["name"]
            say(f"to see its output: {target.command('logs', '-f', name, project=cluster.project)}")
            return ExitCode.SUCCEEDED
        try:
            final = await watch_run(
                cluster, body, target, logs=wish.logs, every_change=wish.watch, seconds=wish.timeout
            )
        except Interrupted as error:
            return error.code
        return wish.ended(final)


async def start_here(
    operation: dict[str, Any],
    target: Target,
    wish: Wish,
    uid: str | None,
    catalog: Catalog | None,
    components: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> int:
    """Execute the run as a process of this machine; return the exit code."""
    from opstrand.cli.local_runs import PROJECT
    from opstrand.cli.run_local import run_here
    from opstrand.settings import Settings

    project = check_project(target.project or PROJECT)
    check_namespace(operation, project)
    if wish.dry_run:
        wish.would_create(operation, project)
        return ExitCode.SUCCEEDED
    final, code = await run_here(
        operation,
        project=project,
        target=target,
        uid=uid,
        settings=Settings.from_environment(),
        catalog=catalog,
        components=components,
        logs=wish.logs,
        every_change=wish.watch,
        seconds=wish.timeout,
        on_created=lambda body: wish.created(body, project),
    )
    ended = wish.ended(final)
    return ended if code is None else code
