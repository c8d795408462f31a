"""`opstrand resume`."""

from __future__ import annotations

import click

from opstrand.cli.command import command
from opstrand.cli.options import Target, local_or_cluster_options


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="SCHEDULE...")
def resume(target: Target, runs: tuple[str, ...]) -> int:
    """Let suspended schedules start runs again.

    What was due in the meantime is not made up for.
    """
    from opstrand.cli.bulk import order_schedules

    return order_schedules(target, runs, is_suspended=False)
