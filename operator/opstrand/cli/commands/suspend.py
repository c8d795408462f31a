"""`opstrand suspend`."""

from __future__ import annotations

import click

from opstrand.cli.command import command
from opstrand.cli.options import Target, local_or_cluster_options


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="SCHEDULE...")
def suspend(target: Target, runs: tuple[str, ...]) -> int:
    """Let schedules start no runs until they are resumed.

    Runs that a schedule has started go on.
    """
    from opstrand.cli.bulk import suspend_all

    return suspend_all(target, runs)
