"""`opstrand skip`."""

from __future__ import annotations

import click

from opstrand.cli.command import command
from opstrand.cli.options import Target, local_or_cluster_options


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
def skip(target: Target, runs: tuple[str, ...]) -> int:
    """Skip runs that have not started.

    Runs that depend on a skipped run go on without it.
    """
    from opstrand.cli.bulk import control, order_all

    return order_all(target, runs, control("skip"), "skip requested")
