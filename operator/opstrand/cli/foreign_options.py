"""Options of other tools that a command does not have: what it has instead.

Owns that list, and the hint below click's message about an unknown option.
"""

from __future__ import annotations

from collections.abc import Mapping

import click
from click.core import ParameterSource

_NO_DETACHING = "It returns at once; -l shows the output, -w each phase."
_NO_TERMINAL = "A run has no terminal: start it, then `opstrand exec RUN` opens a shell in it."
_PARAM = "Values of params are -P NAME=VALUE."
_CHOICE = "Choose by --status PHASE, -l KEY=VALUE, --since or --older."
_CHOICE_TO_DELETE = "Choose by --completed, --status PHASE, -l KEY=VALUE, --since or --older."
_WITHOUT_ASKING = "-y deletes without asking."
_LABELS = "-o yaml shows the labels; -l KEY=VALUE chooses by them."
_ALREADY_WHOLE = "A folder is copied with all that is in it."
_WITHOUT_CONDITION = "It waits for the end of each run; its exit code is that of the worst."

#: Command -> option of kubectl, docker, argo, helm or scp -> what to do here.
_HINTS: Mapping[str, Mapping[str, str]] = {
    "run": {
        "-d": _NO_DETACHING,
        "--detach": _NO_DETACHING,
        "--rm": "A run stays until `opstrand rm`; `termination.ttl` in the file deletes its Pod.",
        "-i": _NO_TERMINAL,
        "-t": _NO_TERMINAL,
        "--tty": _NO_TERMINAL,
        "--set": _PARAM,
        "--parameter": _PARAM,
        "--log": "The output is shown by -l.",
        "--wait": "It waits with -w (each phase) or -l (the output).",
        "--gpus": "Resources are in the file: run.container.resources.",
        "--entrypoint": "The command stands behind --: opstrand run IMAGE -- COMMAND.",
    },
    "ls": {
        "--filter": _CHOICE,
        "--field-selector": _CHOICE,
        "--show-labels": _LABELS,
        "-L": _LABELS,
    },
    "get": {"--field-selector": _CHOICE, "--show-labels": _LABELS, "-L": _LABELS},
    "rm": {
        "-f": _WITHOUT_ASKING,
        "--now": _WITHOUT_ASKING,
        "--dry-run": "`opstrand ls` with the same options shows what they choose.",
        "--all": _CHOICE_TO_DELETE,
        "-A": _CHOICE_TO_DELETE,
    },
    "wait": {"--for": _WITHOUT_CONDITION},
    "cp": {"-r": _ALREADY_WHOLE, "-R": _ALREADY_WHOLE, "-a": _ALREADY_WHOLE},
    "logs": {"--lines": "The last lines are --tail N."},
    "port-forward": {"--address": "It listens on 127.0.0.1 alone."},
}


def advise_option(error: click.ClickException) -> list[str]:
    """Return the hint for an option that is unknown here, or means something else."""
    context = getattr(error, "ctx", None)
    if isinstance(error, click.MissingParameter) and context is not None:
        return _advise_previous(context)
    if not isinstance(error, click.NoSuchOption) or context is None:
        return []
    name, command = error.option_name, context.command
    if hint := _HINTS.get(str(command.name), {}).get(name):
        return [f"hint: {hint}"]
    # What stands behind the run may be the command that is executed in it.
    if any((param.metavar or "").startswith("[-- ") for param in command.params):
        return [f"hint: Is {name} one of the command? Then write -- before the command."]
    return []


def _advise_previous(context: click.Context) -> list[str]:
    """Return what `logs -p RUN` would have to be: kubectl's -p has no value."""
    source = context.get_parameter_source("project")
    if context.command.name != "logs" or source is not ParameterSource.COMMANDLINE:
        return []
    return ["hint: -p names the project; the log of the attempt before is --previous."]
