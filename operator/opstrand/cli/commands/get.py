"""`opstrand get`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from opstrand.cli.cluster.lookup import NoRun
from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.listing import Listing, listing_options, show_list, watch_list
from opstrand.cli.options import Target, local_or_cluster_options, output_option, watch_option
from opstrand.cli.output.console import is_live, show
from opstrand.cli.output.format import as_json, as_yaml, name_of, runs_table, show_objects
from opstrand.core.recorded import read_status
from opstrand.runs.members import find_made

if TYPE_CHECKING:
    from opstrand.cli.runs import Runs

_TABLES = ("text", "wide")


@command
@local_or_cluster_options
@listing_options
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--explain", is_flag=True, help="Each param: its value, and where it came from.")
@watch_option
@output_option("text", "wide", "json", "yaml", "name", "jsonpath=")
def get(
    target: Target,
    listing: Listing,
    runs: tuple[str, ...],
    explain: bool,
    watch: bool,
    output: str,
) -> int:
    """Show one run: its times, values, Pod, and what it waits for.

    RUN is a name, as `-o name` prints it too, a uuid, a prefix of either, or @latest. Several runs
    are a table; without RUN it lists as `opstrand ls` does. With -w it goes on until the run has
    ended. A run whose Operation is gone is found by its name or uuid, where the API keeps it. Of a
    pipeline it shows the tree of its runs; PIPELINE/OPERATION is one of them.
    """
    if not runs:
        if explain:
            raise CliError("--explain is about one run", hint="opstrand get RUN --explain")
        return execute((watch_list if watch else show_list)(target, listing, output))
    if watch and (explain or output not in _TABLES):
        raise CliError("-w shows a view that changes: leave out -o and --explain")
    if watch:
        return execute(_watch(target, listing, runs, output))
    return execute(_get(target, listing, runs, explain=explain, output=output))


async def _get(
    target: Target, listing: Listing, names: tuple[str, ...], *, explain: bool, output: str
) -> int:
    from opstrand.cli.bulk import find_all
    from opstrand.cli.output.describe import describe_run
    from opstrand.cli.runs import open_runs

    async with open_runs(target) as runs:
        if len(names) == 1:
            async with runs.waiting():
                try:
                    found, worst = [await runs.find(names[0], with_gone=True)], 0
                except NoRun as error:
                    return _show_no_run(error, is_text=output == "text" and not explain)
                others = await runs.list_runs() if output == "text" and not explain else []
        else:
            pairs, worst = await find_all(runs, names, with_gone=True)
            found, others = [body for _, body in pairs], []
        components = [await _find_component(runs, body) if explain else None for body in found]
    if explain:
        for body, component in zip(found, components, strict=True):
            _show_values(body, component, output, is_named=len(names) > 1)
    elif output == "text" and len(names) == 1 and not listing.only_names:
        show(describe_run(found[0], others, target, whole=listing.all_children))
    else:
        show(_as_text(found, listing, output, is_single=len(names) == 1))
    return worst


def _as_text(found: list[Any], listing: Listing, output: str, *, is_single: bool) -> str:
    if listing.only_names:
        return "".join(f"{body['metadata']['name']}\n" for body in found)
    if output in _TABLES:
        return runs_table(found, wide=output == "wide", has_heads=listing.has_heads)
    return show_objects(found, output, single=is_single)


def _show_no_run(error: NoRun, *, is_text: bool) -> int:
    """Show why an operation has no run. Raises the error where a run is asked for."""
    if not is_text:
        raise error
    show(error.description)
    return ExitCode.SUCCEEDED


def _show_values(body: Any, component: Any, output: str, *, is_named: bool) -> None:
    # Imported here, so that completion does not wait for the engine.
    from opstrand.cli.output.describe import explain_values, show_explanation

    values = explain_values(body, component)
    if output == "json":
        show(as_json(values))
    elif output == "yaml":
        show(as_yaml(values))
    else:
        if is_named:
            show(name_of(body))
        show(show_explanation(values))


async def _find_component(runs: Runs, body: Any) -> Any:
    """Return the hub's component of a run that has not frozen its own; else None."""
    hub = (body.get("spec") or {}).get("hubRef")
    if not hub or read_status(body).get("component"):
        return None
    return await runs.find_component(str(hub))


async def _watch(target: Target, listing: Listing, names: tuple[str, ...], output: str) -> int:
    from opstrand.cli.bulk import find_all
    from opstrand.cli.output.describe import describe_run
    from opstrand.cli.output.progress import exit_code, worst_of
    from opstrand.cli.runs import open_runs
    from opstrand.cli.watching import show_view
    from opstrand.core.phase import parse_phase

    last: list[Any] = []
    others: list[Any] = []

    async def views(runs: Runs, uids: list[str]) -> AsyncIterator[list[Any]]:
        async for listed in runs.iter_lists():
            others[:] = listed
            known = {str(body["metadata"]["uid"]): body for body in listed}
            last[:] = [known[uid] for uid in uids if uid in known]
            if not last:
                raise CliError("the run was deleted", code=ExitCode.NOT_FOUND)
            yield list(last)

    def draw(found: list[Any]) -> str:
        if output == "text" and len(names) == 1 and is_live(sys.stdout):
            made = find_made(found[0], others)
            return describe_run(found[0], made, target, whole=listing.all_children)
        return runs_table(found, wide=output == "wide")

    def is_last(found: list[Any]) -> bool:
        return all(parse_phase(read_status(body)).is_final for body in found)

    async with open_runs(target) as runs:
        pairs, worst = await find_all(runs, names)
        if not pairs:
            return worst
        uids = [str(body["metadata"]["uid"]) for _, body in pairs]
        if code := await show_view(views(runs, uids), draw, is_last=is_last):
            return code
    return max(worst, worst_of([exit_code(body) for body in last]))
