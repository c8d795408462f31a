"""`opstrand restart`: a new run of the same operation."""

from __future__ import annotations

from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.follow_options import follow_options
from opstrand.cli.options import Target, connections_option, local_or_cluster_options
from opstrand.cli.starting import Wish, start_here, start_there, validate_operation


@command
@local_or_cluster_options
@click.argument("run")
@click.option(
    "-P",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another value of a param; repeat it for more.",
)
@click.option(
    "--copy", "copies", is_flag=True, help="Start with the files of the first run in its folder."
)
@click.option(
    "--artifacts",
    multiple=True,
    metavar="PATH",
    help="Copy only this file or folder of the first run's folder; repeat it for more.",
)
@click.option("--name", metavar="NAME", help="The new run's name. [default: made from the file's]")
@follow_options
@connections_option
def restart(
    target: Target,
    run: str,
    params: tuple[str, ...],
    copies: bool,
    artifacts: tuple[str, ...],
    name: str | None,
    wish: Wish,
    connections: str | None,
) -> int:
    """Run an operation again as a new run.

    The new run has the same file and params, but for those of -P, and names the first one as its
    origin. A component of the hub is looked up again. The run of a pipeline's operation is run
    alone, with the values that it got.
    """
    # Imported here, so that completion does not wait for the engine.
    from opstrand.cli.checking.rendering import make_operation
    from opstrand.cli.cloning import copy_annotation
    from opstrand.cli.files.submission import again
    from opstrand.controller.connections_file import read_connections
    from opstrand.core.compiling.standalone import stand_alone
    from opstrand.core.names import PLATFORM_RETRIES, RESTART_OF, run_uuid

    catalog = read_connections(connections) if target.is_local else None
    body = execute(_find(target, run))
    copied = copy_annotation(target, body, artifacts) if copies or artifacts else {}
    submission = again(stand_alone(body), params)
    operation = make_operation(submission, name=name)
    before = body["metadata"].get("annotations") or {}
    kept = {key: before[key] for key in (PLATFORM_RETRIES,) if key in before}
    operation["metadata"]["annotations"] |= {
        **kept,
        **copied,
        RESTART_OF: run_uuid(body["metadata"]["uid"]),
    }
    validate_operation(
        submission,
        operation,
        label=body["metadata"]["name"],
        catalog=catalog,
        is_local=target.is_local,
    )
    wish = wish.about(target)
    if target.is_local:
        return execute(start_here(operation, target, wish, None, catalog))
    return execute(start_there(operation, target, wish))


async def _find(target: Target, run: str) -> Any:
    from opstrand.cli.runs import open_runs

    async with open_runs(target) as runs, runs.waiting():
        return await runs.find(run, with_gone=True)
