"""Runs of `opstrand run --local`, as the commands with `--local` show them."""

from __future__ import annotations

from typing import Any

from opstrand.cli.options import check_project
from opstrand.cli.selection import choose
from opstrand.local.records import Records

#: Without a cluster there is no context to say otherwise.
PROJECT = "default"


def list_records(project: str | None) -> list[dict[str, Any]]:
    """The local runs of a project; None: of all."""
    return list(Records().load(None if project is None else check_project(project)))


def find_record(run: str, project: str | None) -> dict[str, Any]:
    """The local run that the text names. CliError NOT_FOUND."""
    where = project or PROJECT
    return choose(run, list_records(where), where)
