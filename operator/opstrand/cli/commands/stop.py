"""`opstrand stop`."""

from __future__ import annotations

import click

from opstrand.cli.command import command
from opstrand.cli.options import Target, local_or_cluster_options


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
def stop(target: Target, runs: tuple[str, ...]) -> int:
    """Stop runs.

    A running program gets SIGTERM and its grace period to end; what it wrote stays. A pipeline
    stops its runs.
    """
    from opstrand.cli.bulk import control, order_all

    return order_all(target, runs, control("stop"), "stop requested")
