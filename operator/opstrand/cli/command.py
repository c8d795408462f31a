"""How to declare a command: with rich help for a user at a terminal, and plain help elsewhere.

rich costs more to import than everything else that `--help` does, so only that help imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from opstrand.cli.output.console import is_coloured

Function = Callable[..., Any]
Result = TypeVar("Result")


def is_fancy() -> bool:
    """Whether the arguments ask for help and stdout is a terminal with colour."""
    asks = len(sys.argv) == 1 or not {"-h", "--help"}.isdisjoint(sys.argv)
    return asks and is_coloured(sys.stdout)


def _find_classes() -> tuple[type[click.Command], type[click.Group]]:
    if not is_fancy():
        return click.Command, click.Group
    from rich_click import RichCommand, RichGroup

    return RichCommand, RichGroup


COMMAND, GROUP = _find_classes()


def command(function: Function) -> click.Command:
    """Make a command with the function's name; its docstring is the help."""
    return click.command(cls=COMMAND)(function)


def group(function: Function) -> click.Group:
    """Make a group of commands with the function's name."""
    return click.group(cls=GROUP)(function)


def execute(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end. Imports asyncio, for which help and completion do not wait."""
    import asyncio

    return asyncio.run(work)
