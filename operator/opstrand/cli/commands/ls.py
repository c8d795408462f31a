"""`opstrand ls`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError
from opstrand.cli.options import Target, local_or_cluster_options, output_option
from opstrand.cli.output.console import say, show
from opstrand.cli.output.format import duration_of, runs_table, show_objects
from opstrand.core.phase import Phase, parse_phase
from opstrand.core.recorded import read_status
from opstrand.text import suggest
from opstrand.types import Body

_KEYS: dict[str, Callable[[Body], Any]] = {
    "created": lambda body: body["metadata"].get("creationTimestamp") or "",
    "started": lambda body: read_status(body).get("startedAt") or "",
    "finished": lambda body: read_status(body).get("finishedAt") or "",
    "duration": lambda body: duration_of(body) or 0.0,
    "name": lambda body: body["metadata"]["name"],
}


@command
@local_or_cluster_options
@click.option("-a", "--all", "every_project", is_flag=True, help="The runs of all projects.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="PHASE",
    help="Only runs in this phase (Running, succeeded, ...); repeat it.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@click.option(
    "--sort",
    default="-created",
    show_default=True,
    metavar="KEY",
    help=f"One of {', '.join(_KEYS)}; a dash before it reverses.",
)
@output_option("table", "wide", "json", "yaml", "name")
def ls(
    target: Target,
    every_project: bool,
    statuses: tuple[str, ...],
    limit: int | None,
    sort: str,
    output: str,
) -> None:
    """List runs.

    The newest come first.
    """
    phases = {_parse_phase(text) for text in statuses}
    key, is_reversed = _parse_sort(sort)
    runs = [
        run
        for run in execute(_list(target, every_project, phases))
        if not phases or parse_phase(read_status(run)) in phases
    ]
    runs = sorted(runs, key=key, reverse=is_reversed)[:limit]
    if output not in ("table", "wide"):
        show(show_objects(runs, output)) if runs or output != "name" else None
    elif runs:
        show(runs_table(runs, wide=output == "wide", with_project=every_project))
    else:
        say(
            "no runs"
            + (f" that are {' or '.join(sorted(phases))}" if phases else "")
            + (
                " in any project"
                if every_project
                else f" in project {target.project}"
                if target.project
                else ""
            )
        )


async def _list(target: Target, every_project: bool, phases: set[Phase]) -> list[Any]:
    if target.is_local:
        from opstrand.cli.local_runs import PROJECT, list_records

        return list_records(None if every_project else target.project or PROJECT)
    from opstrand.cli.cluster.connection import ask_cluster

    # The server can filter by one phase. Created is not stored, so the server cannot filter by it.
    only = next(iter(phases)) if len(phases) == 1 and Phase.CREATED not in phases else None
    async with ask_cluster(target) as cluster:
        return await cluster.list_runs(
            every_project=every_project, fields=f"status.phase={only.value}" if only else ""
        )


def _parse_phase(text: str) -> Phase:
    """Parse a phase by our name or by the published one."""
    plain = text.replace("_", "").lower()
    for phase in Phase:
        if plain == phase.value.lower():
            return phase
    raise CliError(
        f"--status {text!r}: there is no such "
        f"phase{suggest(text, [phase.value for phase in Phase])}"
    )


def _parse_sort(text: str) -> tuple[Callable[[Body], Any], bool]:
    name = text.removeprefix("-")
    if name not in _KEYS:
        raise CliError(f"--sort {text!r}: there is no such key{suggest(name, _KEYS)}")
    return _KEYS[name], text.startswith("-")
