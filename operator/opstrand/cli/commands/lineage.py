"""`opstrand lineage`."""

from __future__ import annotations

from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.options import Target, local_or_cluster_options, output_option
from opstrand.cli.output.console import show
from opstrand.cli.output.format import as_json
from opstrand.cli.output.lineage import Graph
from opstrand.core.names import run_uuid


@command
@local_or_cluster_options
@click.argument("run")
@click.option("--up", is_flag=True, help="Only what the run took values from.")
@click.option("--down", is_flag=True, help="Only what took values from the run.")
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many links away.",
)
@output_option("text", "json", "dot")
def lineage(target: Target, run: str, up: bool, down: bool, depth: int, output: str) -> None:
    """Show which runs a run took values from, and which from it.

    Between the runs of a pipeline it shows the dependencies too, as [dag]; and which runs were made
    of another one, as [restart] and [copy].
    """
    # Imported here, so that completion does not wait for the engine.
    from opstrand.cli.output.pipelines.links import list_dependencies

    body, runs = execute(_fetch(target, run))
    uuid = run_uuid(body["metadata"]["uid"])
    whole = Graph.of(runs, list_dependencies(body, runs))
    graph = whole.around(uuid, up=up or not down, down=down or not up, depth=depth)
    match output:
        case "json":
            show(as_json(graph.as_dict(uuid)))
        case "dot":
            show(graph.as_dot())
        case _:
            show(graph.as_tree(uuid))


async def _fetch(target: Target, run: str) -> tuple[Any, list[Any]]:
    if target.is_local:
        from opstrand.cli.local_runs import find_record, list_records

        body = find_record(run, target.project)
        return body, list_records(body["metadata"]["namespace"])
    from opstrand.cli.cluster.connection import ask_cluster
    from opstrand.cli.cluster.kept_runs import is_kept

    async with ask_cluster(target) as cluster:
        body = await cluster.find(run, with_gone=True)
        listed = await cluster.list_runs()
        return body, [*listed, body] if is_kept(body) else listed
