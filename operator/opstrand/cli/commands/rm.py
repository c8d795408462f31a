"""`opstrand rm`."""

from __future__ import annotations

import sys
from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, local_or_cluster_options
from opstrand.text import inline


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rm(target: Target, runs: tuple[str, ...], yes: bool) -> int:
    """Delete runs.

    A run's Pod is deleted with it, and stops if it is running. Runs that took values from it keep
    them.
    """
    if not yes:
        _confirm(runs)
    return _delete_here(target, runs) if target.is_local else execute(_delete(target, runs))


def _confirm(runs: tuple[str, ...]) -> None:
    if not sys.stdin.isatty():
        raise CliError("there is no terminal to ask on", hint="-y deletes without asking.")
    if not click.confirm(f"Delete {inline(', '.join(runs))}?", err=True):
        raise CliError("nothing was deleted", code=ExitCode.INTERRUPTED)


def _delete_here(target: Target, runs: tuple[str, ...]) -> int:
    from opstrand.cli.bulk import for_all_here
    from opstrand.cli.local_runs import remove_record

    def delete(body: Any) -> str:
        remove_record(body)
        return "deleted"

    return for_all_here(target, runs, delete)


async def _delete(target: Target, runs: tuple[str, ...]) -> int:
    from opstrand.cli.bulk import for_all
    from opstrand.kube.resources import OPERATIONS

    async def delete(cluster: Any, body: Any) -> str:
        metadata = body["metadata"]
        await cluster.api.delete(OPERATIONS, cluster.project, metadata["name"], uid=metadata["uid"])
        return "deleted"

    return await for_all(target, runs, delete)
