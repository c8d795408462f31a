"""`opstrand config`: the settings of the user, and where each comes from."""

from __future__ import annotations

import click

from opstrand.cli.command import COMMAND, group
from opstrand.cli.configuration import (
    check_name,
    find_file,
    list_settings,
    read_settings,
    write_settings,
)
from opstrand.cli.errors import CliError
from opstrand.cli.options import output_option
from opstrand.cli.output.console import say, show
from opstrand.cli.output.table import as_table


@group
def config() -> None:
    """Show and set defaults, and where each comes from.

    They are the namespace, the context, and where files are. An option wins over the environment,
    which wins over the file, which wins over the kubeconfig.
    """


@config.command("view", cls=COMMAND)
@output_option("table", "json")
def view(output: str) -> None:
    """Show what holds now, and from where."""
    from dataclasses import asdict

    from opstrand.cli.output.format import as_json

    found = list_settings()
    if output == "json":
        show(as_json([asdict(one) for one in found]))
        return
    rows = [[one.name, one.value, one.origin, one.meaning] for one in found]
    show(as_table(["NAME", "VALUE", "FROM", "MEANING"], rows))
    say(f"the file of defaults: {find_file()}")


@config.command("set", cls=COMMAND)
@click.argument("setting", metavar="NAME")
@click.argument("value", metavar="VALUE")
def set_value(setting: str, value: str) -> None:
    """Write a default into the file."""
    check_name(setting, "NAME")
    if not value.strip() or len(value.splitlines()) != 1:
        raise CliError("VALUE: expected one line", hint=f"opstrand config unset {setting}")
    file = write_settings({**read_settings(), setting: value.strip()})
    say(f"{setting} is {value.strip()} from now on ({file})")


@config.command("unset", cls=COMMAND)
@click.argument("setting", metavar="NAME")
def unset(setting: str) -> None:
    """Remove a default from the file."""
    check_name(setting, "NAME")
    left = {key: value for key, value in read_settings().items() if key != setting}
    say(f"{setting} has no default any more ({write_settings(left)})")
