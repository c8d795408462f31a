"""`opstrand diff`: what differs between two runs or files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import ExitCode
from opstrand.cli.options import Target, local_or_cluster_options
from opstrand.cli.output.console import paint, say, show
from opstrand.cli.output.format import as_yaml

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@command
@local_or_cluster_options
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("-U", "around", type=click.IntRange(min=0), default=3, help="Lines around each.")
def diff(target: Target, a: str, b: str, around: int) -> int:
    """Show what differs between two runs or files.

    Of runs it compares the files, inputs and outputs. The exit code is 0 if nothing differs, and 1
    if something does.
    """
    first, second = execute(_read_both(target, (a, b)))
    lines = list(_compare(first, second, (a, b), around))
    if not lines:
        say(f"{a} and {b} do not differ")
        return ExitCode.SUCCEEDED
    show("\n".join(lines))
    return ExitCode.FAILED


def _compare(
    first: dict[str, Any], second: dict[str, Any], names: tuple[str, str], around: int
) -> Iterator[str]:
    before, after = (as_yaml(one).splitlines() for one in (first, second))
    for line in difflib.unified_diff(before, after, *names, lineterm="", n=around):
        yield paint(line, _COLOURS.get(line[:1], ""))


async def _read_both(target: Target, names: tuple[str, str]) -> list[dict[str, Any]]:
    from opstrand.cli.runs import open_runs

    found: list[dict[str, Any]] = []
    if all(map(_is_file, names)):
        return [_read_file(name) for name in names]
    async with open_runs(target) as runs, runs.waiting():
        for name in names:
            found.append(
                _read_file(name) if _is_file(name) else describe_content(await runs.find(name))
            )
    return found


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml", ".json")) or Path(name).is_file()


def _read_file(name: str) -> dict[str, Any]:
    from opstrand.cli.files.submission import read_submission

    return {"file": dict(read_submission([name], []).spec)}


def describe_content(body: Any) -> dict[str, Any]:
    """Return what a run was asked to do and what came of it; what is empty is left out."""
    from opstrand.core.resolving.run_values import order_inputs, order_outputs

    asked = {key: value for key, value in body["spec"].items() if key != "control"}
    parts = {"file": asked, "inputs": order_inputs(body), "outputs": order_outputs(body)}
    return {name: value for name, value in parts.items() if value}
