"""`opstrand explain`: the reference of the file format."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from opstrand.cli.command import command
from opstrand.cli.options import output_option
from opstrand.cli.output.console import paint, show
from opstrand.cli.output.format import as_json, as_yaml
from opstrand.cli.output.table import as_table

if TYPE_CHECKING:
    from opstrand.spec.explain import FieldHelp


@command
@click.argument("field", default="", metavar="[FIELD]")
@output_option("text", "json")
def explain(field: str, output: str) -> None:
    """Say what a field of the polyaxonfile accepts.

    FIELD is its path: run.container.image, inputs.type, matrix.grid. Without FIELD it lists the
    keys of an operation.
    """
    from opstrand.spec.explain import explain as look_up

    found = look_up(field)
    show(as_json(asdict(found)) if output == "json" else _describe(found))


def _describe(found: FieldHelp) -> str:
    facts = [("field", found.path), ("type", found.type), ("default", found.default)]
    parts = [
        "\n".join(f"{paint(name + ':', 'bold')} {value}" for name, value in facts if value),
        found.meaning,
    ]
    if found.example is not None:
        name = found.path.rpartition(".")[2]
        parts.append(
            "example:\n"
            + "\n".join(f"  {line}" for line in as_yaml({name: found.example}).splitlines())
        )
    if found.fields:
        parts.append(as_table(["FIELD", "MEANING"], found.fields, wraps=True))
    return "\n\n".join(part for part in parts if part)
