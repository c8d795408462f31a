"""`opstrand version`."""

from __future__ import annotations

import platform

import click

from opstrand import __version__
from opstrand.cli.command import command
from opstrand.cli.output.console import show


@command
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to show it."
)
def version(output: str) -> None:
    """Show the version."""
    if output == "json":
        import json

        show(json.dumps({"opstrand": __version__, "python": platform.python_version()}))
    else:
        show(f"opstrand {__version__}")
