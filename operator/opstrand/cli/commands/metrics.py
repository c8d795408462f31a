"""`opstrand metrics`."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.histories import Wanted
from opstrand.cli.options import Target, local_or_cluster_options, output_option
from opstrand.cli.output.charts import (
    History,
    as_rows,
    by_metric,
    draw_chart,
    group_by_run,
    has_numbers,
)
from opstrand.cli.output.console import say, show
from opstrand.core.names import run_uuid
from opstrand.types import Manifest

if TYPE_CHECKING:
    from opstrand.cli.runs import Runs

#: Points of each metric that are read to draw it: more than a terminal has columns.
_DRAWN = 1000
_MOST = 100_000
_HEIGHT = 16
#: Runs of one pipeline that are read.
_MOST_MADE = 50
#: Columns where the output is no terminal, and at most.
_WIDTH = 100
_WIDEST = 160


@command
@local_or_cluster_options
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--metric", "names", multiple=True, metavar="NAME", help="Only this metric.")
@click.option("--resources", is_flag=True, help="Of the machine (cpu, memory), not the program.")
@click.option(
    "--sample",
    type=click.IntRange(1, _MOST),
    metavar="N",
    help="At most so many points of each metric, evenly spread. [default: 1000; with -o: all]",
)
@output_option("text", "json", "csv")
def metrics(
    target: Target,
    runs: tuple[str, ...],
    names: tuple[str, ...],
    resources: bool,
    sample: int | None,
    output: str,
) -> int:
    """Draw the metrics of runs, and compare them.

    Each metric is a chart, and each run a line in it. RUN is a name, as `-o name` prints it too, a
    uuid, a prefix of either, or @latest; of a pipeline or a matrix it is the runs that it made. The
    metrics are those that the program logged until now, also of a run whose Operation is gone.
    """
    most = sample or (_DRAWN if output == "text" else _MOST)
    bodies, found, worst = execute(_read(target, runs, Wanted(names, resources, most)))
    known = {run_uuid(body["metadata"]["uid"]): body["metadata"]["name"] for body in bodies}
    missing = [name for name in names if name not in {one.name for one in found}]
    if output == "json":
        from opstrand.cli.output.format import as_json

        show(as_json(group_by_run(found, known)))
    elif output == "csv":
        show(_as_csv(found))
    else:
        _draw(found, ", ".join(known.values()))
    if missing and known:
        raise _missing(missing, found)
    return worst


async def _read(
    target: Target, names: Sequence[str], wanted: Wanted
) -> tuple[list[Manifest], list[History], int]:
    from opstrand.cli.bulk import find_all
    from opstrand.cli.runs import open_runs

    async with open_runs(target) as runs:
        pairs, worst = await find_all(runs, names, with_gone=True)
        bodies = [one for _, body in pairs for one in await _expand(runs, body)]
    bodies = list({body["metadata"]["uid"]: body for body in bodies}.values())
    if target.is_local:
        from opstrand.cli.histories import read_local

        return bodies, [one for body in bodies for one in read_local(body, wanted)], worst
    from opstrand.cli.cluster.kept_metrics import read_kept

    return bodies, await read_kept(target, bodies, wanted), worst


async def _expand(runs: Runs, body: Manifest) -> list[Manifest]:
    """Return the runs that a pipeline made, and any other run itself."""
    from opstrand.cli.cluster.kept_runs import is_kept
    from opstrand.runs.members import find_made, is_pipeline

    if not is_pipeline(body):
        return [body]
    async with runs.waiting():
        listed = await runs.list_runs(with_gone=is_kept(body))
    made = [one for one in find_made(body, listed) if not is_pipeline(one)]
    made.sort(key=lambda one: str(one["metadata"]["name"]))
    if len(made) > _MOST_MADE:
        say(f"{body['metadata']['name']} made {len(made)} runs: {_MOST_MADE} of them are read")
    return made[:_MOST_MADE] or [body]


def _as_csv(found: Sequence[History]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["run", "metric", "step", "timestamp", "value"])
    rows.writerows(as_rows(found))
    return text.getvalue()


def _draw(found: Sequence[History], runs: str) -> None:
    size = shutil.get_terminal_size((_WIDTH, _HEIGHT))
    charts = []
    for name, histories in by_metric(found).items():
        drawn = [one for one in histories if has_numbers(one)]
        if drawn:
            charts.append(draw_chart(name, drawn, min(size.columns, _WIDEST), _HEIGHT))
        else:
            say(f"{name} has no value that is a finite number")
    if charts:
        show("\n\n".join(charts))
    elif not found and runs:
        say(f"no metric of {runs} is kept")


def _missing(names: Sequence[str], found: Sequence[History]) -> CliError:
    there = ", ".join(sorted({one.name for one in found})) or "nothing"
    return CliError(
        f"no run has a metric {names[0]!r} (of those named there are: {there})",
        hint="Without --metric all are shown.",
        code=ExitCode.NOT_FOUND,
    )
