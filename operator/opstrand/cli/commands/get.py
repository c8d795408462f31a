"""`opstrand get`."""

from __future__ import annotations

from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.options import Target, local_or_cluster_options, output_option
from opstrand.cli.output.console import show
from opstrand.cli.output.format import as_json, as_yaml, show_objects
from opstrand.core.recorded import read_status


@command
@local_or_cluster_options
@click.argument("run")
@click.option("--explain", is_flag=True, help="Each param: its value, and where it came from.")
@output_option("text", "json", "yaml", "name")
def get(target: Target, run: str, explain: bool, output: str) -> None:
    """Show one run: its times, values, Pod, and what it waits for.

    RUN is a name, as `-o name` prints it too, a uuid, or a prefix of either.
    """
    # Imported here, so that completion does not wait for the engine.
    from opstrand.cli.output.describe import describe_run, explain_values, show_explanation

    body, others, component = execute(
        _fetch(target, run, explain=explain, alone=explain or output != "text")
    )
    if explain:
        values = explain_values(body, component)
        show(
            show_explanation(values)
            if output in ("text", "name")
            else as_json(values)
            if output == "json"
            else as_yaml(values)
        )
    elif output == "text":
        show(describe_run(body, others, target))
    else:
        show(show_objects([body], output, single=True))


async def _fetch(
    target: Target, run: str, *, explain: bool, alone: bool
) -> tuple[Any, list[Any], Any]:
    """Return the run, the others of its project unless `alone`, and the hub's component.

    The component is None unless `explain` needs it, because the run has not frozen its own.
    """
    if target.is_local:
        from opstrand.cli.local_runs import PROJECT, find_record, list_records

        return (
            find_record(run, target.project),
            [] if alone else list_records(target.project or PROJECT),
            None,
        )
    from opstrand.cli.cluster.connection import ask_cluster
    from opstrand.core.compiling.prepare import component_name
    from opstrand.kube.errors import NotFound
    from opstrand.kube.resources import COMPONENTS

    async with ask_cluster(target) as cluster:
        body = await cluster.find(run)
        others = [] if alone else await cluster.list_runs()
        hub = (
            (body.get("spec") or {}).get("hubRef")
            if explain and not read_status(body).get("component")
            else None
        )
        try:
            component = (
                (await cluster.api.get(COMPONENTS, cluster.project, component_name(hub)))["spec"]
                if hub
                else None
            )
        except NotFound:
            component = None
        return body, others, component
