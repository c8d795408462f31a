"""`opstrand top`: what running runs use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, cluster_options
from opstrand.cli.output.console import say, show
from opstrand.cli.output.table import as_table


@command
@cluster_options
@click.argument("runs", nargs=-1, metavar="[RUN]...")
def top(target: Target, runs: tuple[str, ...]) -> int:
    """Show the processors and memory that runs use now.

    Without RUN it shows all runs of the namespace. The cluster must serve metrics.k8s.io, as
    metrics-server does.
    """
    return execute(_top(target, runs))


async def _top(target: Target, names: tuple[str, ...]) -> int:
    from opstrand.cli.bulk import find_all
    from opstrand.cli.cluster.connection import open_cluster
    from opstrand.core.names import run_uuid
    from opstrand.kube.errors import NotFound
    from opstrand.kube.resources import POD_METRICS

    async with open_cluster(target) as cluster:
        if names:
            pairs, worst = await find_all(cluster, names)
            bodies = [body for _, body in pairs]
        else:
            async with cluster.waiting():
                bodies, worst = await cluster.list_runs(), 0
        try:
            used, _ = await cluster.api.list(
                POD_METRICS, cluster.project, labels="app.kubernetes.io/part-of=opstrand-runs"
            )
        except NotFound:
            raise CliError(
                "this cluster measures nothing: it does not serve metrics.k8s.io",
                hint="Install metrics-server; a new Pod is measured after some fifteen seconds.",
                code=ExitCode.UNREACHABLE,
            ) from None
    known = {run_uuid(body["metadata"]["uid"]): body["metadata"]["name"] for body in bodies}
    rows = sorted(_iter_rows(used, known))
    if rows:
        show(as_table(["NAME", "POD", "CPU", "MEMORY"], rows))
    else:
        say("no run is measured")
    return worst


def _iter_rows(used: Sequence[Any], known: dict[str, str]) -> list[list[str]]:
    rows = []
    for one in used:
        metadata = one["metadata"]
        name = known.get((metadata.get("labels") or {}).get("opstrand.dev/uuid", ""))
        if name is not None:
            containers = one.get("containers") or ()
            cpu = sum(parse_quantity(each["usage"]["cpu"]) for each in containers)
            memory = sum(parse_quantity(each["usage"]["memory"]) for each in containers)
            rows.append([name, metadata["name"], f"{cpu * 1000:.0f}m", f"{memory / 2**20:.0f}Mi"])
    return rows


_SIZES = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
}


def parse_quantity(text: str) -> float:
    """Return an amount as metrics.k8s.io writes it: `12345n`, `250m`, `1200Ki`."""
    digits = text.rstrip("numkMGKi")
    return float(digits) * _SIZES[text[len(digits) :]]
