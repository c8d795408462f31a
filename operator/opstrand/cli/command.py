"""How a command is declared: with rich help where a person asks for it at a terminal, and plain
everywhere else.

rich costs more to import than everything else that `--help` does, so it is imported for nobody but
that person.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from opstrand.cli.output.console import is_coloured

Function = Callable[..., Any]


def is_fancy() -> bool:
    """Whether help will be shown to a person at a terminal that takes colour."""
    asks = len(sys.argv) == 1 or not {"-h", "--help"}.isdisjoint(sys.argv)
    return asks and is_coloured(sys.stdout)


def _find_classes() -> tuple[type[click.Command], type[click.Group]]:
    if not is_fancy():
        return click.Command, click.Group
    from rich_click import RichCommand, RichGroup

    return RichCommand, RichGroup


COMMAND, GROUP = _find_classes()


def command(function: Function) -> click.Command:
    """This function as a command of its own name; its docstring is the help."""
    return click.command(cls=COMMAND)(function)


def group(function: Function) -> click.Group:
    """This function as a group of commands of its own name."""
    return click.group(cls=GROUP)(function)
