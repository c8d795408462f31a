"""`opstrand approve`."""

from __future__ import annotations

import click

from opstrand.cli.command import command
from opstrand.cli.options import Target, local_or_cluster_options


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
def approve(target: Target, runs: tuple[str, ...]) -> int:
    """Approve runs that wait for it."""
    from opstrand.cli.bulk import order_all

    return order_all(
        target,
        runs,
        lambda body: [{"op": "add", "path": "/spec/isApproved", "value": True}],
        "approved",
    )
