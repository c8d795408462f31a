"""The options of a command that starts a run: how far to follow it, and what to print about it."""

from __future__ import annotations

import functools
from typing import Any

import click

from opstrand.cli.errors import CliError
from opstrand.cli.options import ANYWHERE, Function, add_options, timeout_option
from opstrand.cli.starting import Wish

_OPTIONS = (
    click.option("-l", "--logs", is_flag=True, help="Show what the program writes, to its end."),
    click.option("-w", "--watch", is_flag=True, help="Wait for the end, and report every phase."),
    timeout_option,
    click.option(
        "-o",
        "--output",
        type=click.Choice(["name", "json", "yaml"]),
        help="What to print on stdout about the run.",
    ),
)


def follow_options(function: Function) -> Function:
    """Add -l, -w, --timeout and -o as one argument `wish`."""

    @functools.wraps(function)
    def wrapped(
        *, logs: bool, watch: bool, timeout: float | None, output: str | None, **rest: Any
    ) -> Any:
        if logs and output:
            raise CliError("-o and --logs both write to stdout", hint="Leave one of them out.")
        return function(wish=Wish(logs, watch, timeout, output, ANYWHERE), **rest)

    return add_options(wrapped, _OPTIONS)
