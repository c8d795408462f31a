"""`opstrand init`: a first file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from opstrand.cli.command import command
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.output.console import say

_SERVE = "opstrand run {file} && opstrand port-forward @latest"
_FOLDER = Path(__file__).resolve().parents[1] / "starters"
#: Kind -> what it shows, and the line to try next.
KINDS = {
    "echo": ("a job with one param", "opstrand run --local {file} -P message=hello -l"),
    "train": ("a program in the file, with inputs and outputs", "opstrand run --local {file} -l"),
    "notebook": ("Jupyter as a service", _SERVE),
    "service": (
        "a web server that answers",
        "opstrand run {file} && opstrand port-forward @latest",
    ),
    "pipeline": ("two operations, the second reads the first", "opstrand run --local {file} -l"),
    "grid": ("one run for each combination of params", "opstrand run --local {file} -l"),
}


@command
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
@click.argument("file", required=False, metavar="[FILE]", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write over a file that exists.")
def init(kind: str | None, file: Path | None, force: bool) -> int:
    """Write a first polyaxonfile.

    Without a kind it shows the menu and asks. FILE is KIND.yaml unless it is named.
    """
    kind = kind or _ask()
    path = file or Path(f"{kind}.yaml")
    if path.exists() and not force:
        raise CliError(f"{path} exists already", hint="Name another FILE, or use --force.")
    path.write_text((_FOLDER / f"{kind}.yaml").read_text())
    say(f"wrote {path}: {KINDS[kind][0]}. Try it:")
    say(f"  {KINDS[kind][1].format(file=path)}")
    return ExitCode.SUCCEEDED


def _ask() -> str:
    for name, (about, _) in KINDS.items():
        say(f"{name:<10} {about}")
    if not sys.stdin.isatty():
        raise CliError("which of them?", hint="opstrand init KIND")
    return str(click.prompt("Which", type=click.Choice(list(KINDS)), err=True))
