"""Lists of runs, for `ls` and for `get` without a name: which, in what order, and how they look.

Owns the options of a list. Must not know where the runs are.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Function, Target, add_options
from opstrand.cli.output.console import say, show
from opstrand.cli.output.format import duration_of, runs_table, show_objects
from opstrand.cli.selection import Selection, matches_labels, selection_options
from opstrand.core.names import CONTROLLER, PIPELINE, run_uuid
from opstrand.core.pipelines.children import find_outermost
from opstrand.core.recorded import read_status
from opstrand.runs.members import find_made, only_roots
from opstrand.text import suggest
from opstrand.types import Body

if TYPE_CHECKING:
    from opstrand.cli.runs import Runs


_KEYS: dict[str, Callable[[Body], Any]] = {
    "created": lambda body: body["metadata"].get("creationTimestamp") or "",
    "started": lambda body: read_status(body).get("startedAt") or "",
    "finished": lambda body: read_status(body).get("finishedAt") or "",
    "duration": lambda body: duration_of(body) or 0.0,
    "name": lambda body: body["metadata"]["name"],
}
#: The last word of a path as kubectl sorts by it -> our key.
_PATHS = {
    "creationtimestamp": "created",
    "startedat": "started",
    "finishedat": "finished",
    "age": "created",
}
_TABLES = ("table", "wide", "text")


@dataclass(frozen=True)
class Listing:
    """What is listed, and how."""

    wanted: Selection
    every_project: bool
    limit: int | None
    sort: str
    has_heads: bool
    only_names: bool
    pipeline: str | None
    all_children: bool
    with_gone: bool

    def arrange(self, runs: Sequence[Any]) -> list[Any]:
        """Return the runs that are meant, in their order."""
        key, is_reversed = _parse_sort(self.sort)
        return sorted(self.wanted.choose(runs), key=key, reverse=is_reversed)[: self.limit]

    def as_text(self, runs: Sequence[Any], output: str) -> str:
        """Return the list as the user wants to see it; empty if nothing is to be printed."""
        if self.only_names:
            return "".join(f"{run['metadata']['name']}\n" for run in runs)
        if output not in _TABLES:
            return show_objects(runs, output)
        if not runs:
            return ""
        return runs_table(
            runs,
            wide=output == "wide",
            with_project=self.every_project,
            has_heads=self.has_heads,
        )

    def describe_none(self, target: Target) -> str:
        """Return the sentence for an empty list."""
        phases = " or ".join(sorted(self.wanted.phases))
        return (
            "no runs"
            + (f" of the pipeline {self.pipeline}" if self.pipeline else "")
            + (f" that are {phases}" if phases else "")
            + (" with these labels" if self.wanted.labels else "")
            + (
                " in any project"
                if self.every_project
                else f" in project {target.project}"
                if target.project
                else ""
            )
        )


def listing_options(function: Function) -> Function:
    """Add the options of a list as one argument `listing`."""

    @selection_options
    @functools.wraps(function)
    def wrapped(
        *,
        wanted: Selection,
        every_project: bool,
        limit: int | None,
        sort: str,
        no_headers: bool,
        quiet: bool,
        pipeline: str | None,
        all_children: bool,
        with_gone: bool,
        **rest: Any,
    ) -> Any:
        if pipeline and every_project:
            raise CliError("--pipeline is one run of a project: leave out --all-namespaces")
        listing = Listing(
            wanted,
            every_project,
            limit,
            sort,
            not no_headers,
            quiet,
            pipeline,
            all_children,
            with_gone,
        )
        _parse_sort(sort)
        return function(listing=listing, **rest)

    return add_options(wrapped, _OPTIONS)


_OPTIONS = (
    click.option(
        "-A",
        "--all-namespaces",
        "-a",
        "every_project",
        is_flag=True,
        help="The runs of all namespaces.",
    ),
    click.option(
        "--all",
        "with_gone",
        is_flag=True,
        help="Also the runs whose Operation is gone, where the API keeps them.",
    ),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many."),
    click.option(
        "--sort",
        "--sort-by",
        "sort",
        default="-created",
        show_default=True,
        metavar="KEY",
        help=f"One of {', '.join(_KEYS)}; a dash before it reverses.",
    ),
    click.option("--pipeline", metavar="RUN", help="Only the runs that this pipeline made."),
    click.option(
        "--all-children",
        is_flag=True,
        help="The runs that pipelines made too; with --pipeline, those on every level.",
    ),
    click.option("--no-headers", is_flag=True, help="The table without its heads."),
    click.option("-q", "--quiet", is_flag=True, help="Only the names."),
)


async def show_list(target: Target, listing: Listing, output: str) -> int:
    """Print the list as it is now; return the exit code."""
    from opstrand.cli.runs import open_runs

    async with open_runs(target) as runs, runs.waiting():
        whole = await _find_pipeline(runs, listing)
        # A level of a pipeline may be in another phase than the runs below it.
        fields = "" if whole and listing.all_children else listing.wanted.fields
        found = await runs.list_runs(
            every_project=listing.every_project,
            labels=_select(listing, whole),
            fields=fields,
            with_gone=listing.with_gone,
        )
    found = listing.arrange(_keep_made(whole, found, listing) if whole else found)
    if text := listing.as_text(found, output):
        show(text)
    elif not listing.only_names and output in _TABLES:
        say(listing.describe_none(target))
    return ExitCode.SUCCEEDED


async def _find_pipeline(runs: Runs, listing: Listing) -> Any:
    if listing.pipeline is None:
        return None
    return await runs.find(listing.pipeline, with_gone=listing.with_gone)


def _select(listing: Listing, pipeline: Any) -> str:
    """Return the selector of the runs that are listed, or among which they are."""
    labels = listing.wanted.labels
    if pipeline is None:
        return labels if listing.all_children else only_roots(labels)
    if listing.all_children:
        return f"{CONTROLLER}={find_outermost(pipeline)}"
    own = f"{PIPELINE}={run_uuid(pipeline['metadata']['uid'])}"
    return f"{labels},{own}" if labels else own


def _keep_made(pipeline: Any, runs: Sequence[Any], listing: Listing) -> list[Any]:
    """Return those of the runs that the pipeline made, and that have the labels."""
    made = find_made(pipeline, runs)
    if not listing.all_children:
        return made
    return [run for run in made if matches_labels(run, listing.wanted.labels)]


async def watch_list(target: Target, listing: Listing, output: str) -> int:
    """Show the list, and each change of it, until the user interrupts; return the exit code."""
    from opstrand.cli.runs import open_runs
    from opstrand.cli.watching import show_view

    if output not in _TABLES:
        raise CliError(f"-w shows a table that changes: leave out -o {output}")
    if listing.with_gone:
        raise CliError("-w shows what changes, and a run that is gone does not: leave out --all")

    async def views(runs: Runs) -> AsyncIterator[list[Any]]:
        whole = await _find_pipeline(runs, listing)
        async for found in runs.iter_lists(
            every_project=listing.every_project, labels=_select(listing, whole)
        ):
            yield _keep_made(whole, found, listing) if whole else found

    def draw(found: list[Any]) -> str:
        chosen = listing.arrange(found)
        return listing.as_text(chosen, output) or listing.describe_none(target)

    async with open_runs(target) as runs:
        return await show_view(views(runs), draw)


def _parse_sort(text: str) -> tuple[Callable[[Body], Any], bool]:
    """Parse a key, or a path that ends with one as kubectl writes it: `.status.startedAt`."""
    name = text.removeprefix("-").strip("{}")
    word = name.rpartition(".")[2].lower()
    key = _PATHS.get(word, word)
    if key not in _KEYS:
        raise CliError(f"--sort {text!r}: there is no such key{suggest(name, _KEYS)}")
    return _KEYS[key], text.startswith("-")
