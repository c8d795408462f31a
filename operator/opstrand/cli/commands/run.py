"""`opstrand run`: create a run, and follow it if asked to."""

from __future__ import annotations

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError
from opstrand.cli.files.given import Given, given_options
from opstrand.cli.follow_options import follow_options
from opstrand.cli.options import Target, connections_option, local_or_cluster_options
from opstrand.cli.output.console import say
from opstrand.cli.starting import Wish, start_here, start_there, validate_operation
from opstrand.core.limits import ATTEMPTS


@command
@given_options
@local_or_cluster_options
@click.option(
    "--hub",
    metavar="NAME[:TAG]",
    help="Run this component of the hub; -f is the operation over it.",
)
@click.option("--name", metavar="NAME", help="The run's name. [default: made from the file's]")
@click.option(
    "--component",
    "components",
    multiple=True,
    metavar="FILE",
    help="With --local: a component that `hubRef` finds by its name. Repeatable.",
)
@follow_options
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
    "--dry-run",
    type=click.Choice(["client", "server"]),
    metavar="[=server]",
    help="Create nothing: validate here, or let the API server do it too.",
)
@connections_option
@click.option("--uuid", "uid", hidden=True, help="With --local: the run's uuid.")
def run(
    target: Target,
    given: Given,
    hub: str | None,
    name: str | None,
    components: tuple[str, ...],
    wish: Wish,
    platform_retries: int | None,
    dry_run: str | None,
    connections: str | None,
    uid: str | None,
) -> int:
    """Run a polyaxonfile, in a cluster or as a process here.

    FILE is the same as -f FILE. `opstrand run IMAGE -- COMMAND ARGUMENT` runs an image without a
    file. `-P loss=@RUN.outputs.loss` takes the value from another run. With -l or -w it waits, and
    its exit code is the run's: 0 succeeded, 1 failed, 3 stopped or skipped. The program's output
    goes to stdout, everything else to stderr. Ctrl-C leaves a run in a cluster alone, and stops a
    run with --local.
    """
    _check(target, given, hub, uid, dry_run)
    if components and not target.is_local:
        raise CliError(
            "--component is for --local: a cluster has its own hub",
            hint="`opstrand components apply -f FILE` puts a component into it.",
        )
    # Imported here, so that completion does not wait for the engine.
    from opstrand.cli.checking.rendering import make_operation, parse_uid
    from opstrand.cli.files.components import read_components
    from opstrand.controller.connections_file import read_connections

    # In a cluster the operator's catalog applies.
    catalog = read_connections(connections) if target.is_local else None
    if platform_retries is not None and target.is_local:
        say("note: --platform-retries does nothing with --local: no cluster can lose the process")
    submission = given.read(hub=hub)
    operation = make_operation(submission, name=name, platform_retries=platform_retries)
    label = hub if given.is_nothing and hub else given.label
    validate_operation(
        submission, operation, label=label, catalog=catalog, is_local=target.is_local
    )
    wish = wish.about(target, dry_run)
    if target.is_local:
        own = parse_uid(uid) if uid else None
        found = read_components(components)
        return execute(start_here(operation, target, wish, own, catalog, found))
    return execute(start_there(operation, target, wish))


def _check(
    target: Target, given: Given, hub: str | None, uid: str | None, dry_run: str | None
) -> None:
    """Refuse options that contradict each other, before any file is read."""
    if uid and not target.is_local:
        raise CliError("--uuid is for --local: in a cluster the API server gives it")
    if given.is_nothing and not hub:
        raise CliError(
            "there is nothing to run",
            hint="Name a file (opstrand run FILE), or a component by --hub NAME.",
        )
    if hub and target.is_local:
        raise CliError(
            "--hub needs a cluster: --local knows no components but those in the file",
            hint="Leave out --local, or name the component by `pathRef` in a file.",
        )
    if dry_run == "server" and target.is_local:
        raise CliError("--dry-run=server asks an API server, and --local has none")
