"""`opstrand run`: create a run, and follow it if asked to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import (
    Target,
    check_project,
    connections_option,
    file_options,
    local_or_cluster_options,
    timeout_option,
)
from opstrand.cli.output.console import say, show
from opstrand.cli.output.format import as_json, name_of, slim
from opstrand.core.limits import ATTEMPTS
from opstrand.errors import SpecError

if TYPE_CHECKING:
    from opstrand.core.planning.connections import Catalog


@dataclass(frozen=True)
class _Wish:
    """How to show the run."""

    logs: bool
    watch: bool
    timeout: float | None
    output: str | None
    target: Target

    @property
    def is_followed(self) -> bool:
        return self.logs or self.watch or self.timeout is not None or self.target.is_local

    def created(self, body: Any, project: str) -> None:
        say(f"created run {body['metadata']['name']} in project {project}")
        if self.output == "name":
            show(name_of(body))
        elif self.output == "json" and not self.is_followed:
            show(as_json(slim(body)))

    def ended(self, body: Any) -> ExitCode:
        from opstrand.cli.output.progress import report_end

        if self.output == "json":
            show(as_json(slim(body)))
        return report_end(body, self.target)


@command
@file_options
@local_or_cluster_options
@click.option(
    "--hub",
    metavar="NAME[:TAG]",
    help="Run this component of the hub; -f is the operation over it.",
)
@click.option(
    "-n", "--name", metavar="NAME", help="The run's name. [default: made from the file's]"
)
@click.option("-l", "--logs", is_flag=True, help="Show what the program writes, to its end.")
@click.option("-w", "--watch", is_flag=True, help="Wait for the end, and report every phase.")
@timeout_option
@click.option(
    "--platform-retries",
    type=click.IntRange(0, ATTEMPTS),
    metavar="NUMBER",
    help=(
        "Start again so often after the cluster lost the run's Pod; 0: at most once. [default: the "
        "file's, else the operator's]"
    ),
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["name", "json"]),
    help="What to print on stdout about the run.",
)
@connections_option
@click.option("--uuid", "uid", hidden=True, help="With --local: the run's uuid.")
def run(
    target: Target,
    files: tuple[str, ...],
    params: tuple[str, ...],
    strict_params: bool | None,
    hub: str | None,
    name: str | None,
    logs: bool,
    watch: bool,
    timeout: float | None,
    platform_retries: int | None,
    output: str | None,
    connections: str | None,
    uid: str | None,
) -> int:
    """Run a polyaxonfile, in a cluster or as a process here.

    With -l or -w it waits, and its exit code is the run's: 0 succeeded, 1 failed, 3 stopped or
    skipped. The program's output goes to stdout, everything else to stderr. Ctrl-C leaves a run in
    a cluster alone, and stops a run with --local.
    """
    if logs and output:
        raise CliError("-o and --logs both write to stdout", hint="Leave one of them out.")
    if uid and not target.is_local:
        raise CliError("--uuid is for --local: in a cluster the API server gives it")
    # In a cluster the operator's catalog applies.
    # Imported here, so that completion does not wait for the engine.
    from opstrand.cli.checking.rendering import parse_uid
    from opstrand.controller.connections_file import read_connections

    catalog = read_connections(connections) if target.is_local else None
    operation = _make_operation(
        files,
        params,
        strict_params,
        hub,
        name,
        platform_retries,
        is_local=target.is_local,
        catalog=catalog,
    )
    wish = _Wish(logs, watch, timeout, output, target)
    if target.is_local:
        return execute(_run_here(operation, target, wish, parse_uid(uid) if uid else None, catalog))
    return execute(_run_there(operation, target, wish))


def _make_operation(
    files: tuple[str, ...],
    params: tuple[str, ...],
    strict: bool | None,
    hub: str | None,
    name: str | None,
    platform_retries: int | None,
    *,
    is_local: bool,
    catalog: Catalog | None,
) -> dict[str, Any]:
    """Return the validated object to create: a file that cannot run creates nothing."""
    from opstrand.cli.checking.rendering import make_operation
    from opstrand.cli.checking.validate import validate_submission
    from opstrand.cli.files.submission import read_submission
    from opstrand.controller.template_worker import Sandbox
    from opstrand.core.compiling.prepare import prepare
    from opstrand.settings import Settings

    if not files and not hub:
        raise CliError(
            "there is nothing to run", hint="Name a file by -f FILE, or a component by --hub NAME."
        )
    submission = read_submission(files, params, strict=strict, hub=hub)
    if hub and is_local:
        raise CliError("--hub needs a cluster: --local knows no components but those in the file")
    if platform_retries is not None and is_local:
        say("note: --platform-retries does nothing with --local: no cluster can lose the process")
    with Sandbox() as sandbox:
        verdict = validate_submission(
            submission,
            evaluate=sandbox.for_one_run(),
            complete=True,
            catalog=catalog,
            for_cluster=not is_local,
        )
    verdict.require()
    for note in verdict.notes:
        say(f"note: {files[0] if files else hub}: {note}")
    operation = make_operation(submission, name=name, platform_retries=platform_retries)
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
    return operation


def _check_namespace(operation: dict[str, Any], project: str) -> None:
    """Refuse a file that names another namespace than the project."""
    own = operation["spec"].get("namespace")
    if own not in (None, project):
        raise CliError(
            f"namespace: the file says {own!r}, and the project is {project!r}",
            hint=f"-p {own} runs it where it belongs.",
        )


async def _run_there(operation: dict[str, Any], target: Target, wish: _Wish) -> int:
    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.cli.cluster.run_cluster import create_run, watch_run
    from opstrand.cli.cluster.waiting import Interrupted

    async with open_cluster(target) as cluster:
        _check_namespace(operation, cluster.project)
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


async def _run_here(
    operation: dict[str, Any], target: Target, wish: _Wish, uid: str | None, catalog: Catalog | None
) -> int:
    from opstrand.cli.local_runs import PROJECT
    from opstrand.cli.run_local import run_here
    from opstrand.settings import Settings

    project = check_project(target.project or PROJECT)
    _check_namespace(operation, project)
    final, code = await run_here(
        operation,
        project=project,
        target=target,
        uid=uid,
        settings=Settings.from_environment(),
        catalog=catalog,
        logs=wish.logs,
        every_change=wish.watch,
        seconds=wish.timeout,
        on_created=lambda body: wish.created(body, project),
    )
    ended = wish.ended(final)
    return ended if code is None else code
