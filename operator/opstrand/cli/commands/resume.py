"""`opstrand resume`."""

from __future__ import annotations

import click

from opstrand.cli.command import command
from opstrand.cli.options import Target, local_or_cluster_options


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
def resume(target: Target, runs: tuple[str, ...]) -> int:
    """Let ended runs run again, and suspended schedules go on.

    A run keeps its uuid, inputs, outputs and artifacts, and gets another attempt with all of its
    retries; `opstrand restart` makes a new run. What a suspended schedule did not start is not made
    up for.
    """
    from opstrand.cli.resuming import resume_all

    return resume_all(target, runs)
