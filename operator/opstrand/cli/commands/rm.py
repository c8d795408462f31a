"""`opstrand rm`."""

from __future__ import annotations

import sys
from typing import Any

import click

from opstrand.cli.command import command, execute
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.options import Target, local_or_cluster_options
from opstrand.cli.output.console import say
from opstrand.cli.selection import Selection, selection_options
from opstrand.text import inline

#: A question lists the first of many.
_FEW = 10


@command
@local_or_cluster_options
@selection_options
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("-y", "--yes", "--force", is_flag=True, help="Do not ask.")
def rm(target: Target, wanted: Selection, runs: tuple[str, ...], yes: bool) -> int:
    """Delete runs.

    A run's Pod is deleted with it, and stops if it is running; so are the runs of a pipeline, and
    what the API keeps: records, logs and files (`kubectl delete` keeps those). A run whose
    Operation is gone is deleted by its name or uuid. Runs that took values from it keep them; runs
    that took its result (cache) have no files any more, since theirs are its own.

    A run that has ended and is named in full is deleted at once, as by kubectl; for the others
    (named by a beginning or chosen by an option, or not ended) it asks, and without a terminal it
    needs -y.
    """
    if not runs and wanted.is_all:
        raise CliError(
            "there is nothing to delete",
            hint="Name runs, or choose them: opstrand rm --completed --older 7d.",
        )
    if runs and not wanted.is_all:
        raise CliError("runs are named or chosen by options: leave one of the two out")
    return execute(_delete(target, wanted, runs, asks=not yes))


async def _delete(target: Target, wanted: Selection, names: tuple[str, ...], *, asks: bool) -> int:
    from opstrand.cli.bulk import find_all, for_each
    from opstrand.cli.cluster.lookup import is_exact
    from opstrand.cli.runs import Runs, open_runs
    from opstrand.core.phase import parse_phase
    from opstrand.core.recorded import read_status
    from opstrand.runs.members import only_roots

    async def delete(runs: Runs, body: Any) -> str:
        return await runs.delete(body)

    async with open_runs(target) as runs:
        if names:
            found, worst = await find_all(runs, names, with_gone=True)
            doubtful = [
                body
                for name, body in found
                if not is_exact(name, body) or not parse_phase(read_status(body)).is_final
            ]
        else:
            async with runs.waiting():
                listed = await runs.list_runs(
                    labels=only_roots(wanted.labels), fields=wanted.fields
                )
            doubtful = wanted.choose(listed)
            found, worst = [("", body) for body in doubtful], ExitCode.SUCCEEDED
            if not found:
                say("no such runs")
        unasked = _confirm(doubtful) if asks and doubtful else []
        found_once = {body["metadata"]["uid"]: body for _, body in found}.values()
        bodies = [body for body in found_once if body not in unasked]
        code = await for_each(runs, bodies, delete)
    return max(worst, code, ExitCode.USAGE if unasked else ExitCode.SUCCEEDED)


def _confirm(bodies: list[Any]) -> list[Any]:
    """Ask whether to delete these runs. Without a terminal return them: they are left alone.

    Raises CliError if the user says no.
    """
    from opstrand.cli.errors import explain
    from opstrand.cli.output.console import show_explanation

    shown = _list(bodies)
    if not sys.stdin.isatty():
        error = CliError(
            f"not deleted: {shown}: there is no terminal to ask on, and they have not ended or are "
            "not named in full",
            hint="-y deletes without asking.",
        )
        show_explanation(explain(error))
        return bodies
    if not click.confirm(f"Delete {inline(shown)}?", err=True):
        raise CliError("nothing was deleted", code=ExitCode.INTERRUPTED)
    return []


def _list(bodies: list[Any]) -> str:
    from opstrand.core.phase import parse_phase
    from opstrand.core.recorded import read_status

    names = [
        f"{body['metadata']['name']} ({parse_phase(read_status(body)).value})"
        for body in bodies[:_FEW]
    ]
    more = [f"{len(bodies) - _FEW} more"] if len(bodies) > _FEW else []
    return ", ".join([*names, *more])
