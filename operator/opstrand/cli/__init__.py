"""The command line `opstrand`: what a person or a script asks, handed to the engine, and what came
of it, shown.

Owns words, tables and exit codes. Must not decide anything about a run, and must import next to
nothing before a command is known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_NEEDS = (
    "the command line needs Python 3.11 or newer, and more than the client: pip install "
    "'opstrand[cli]'"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script: the exit code of one command.

    It is installed with the client, and there it says what it lacks.
    """
    try:
        if sys.version_info < (3, 11):  # noqa: UP036 - the client runs on older ones
            raise ModuleNotFoundError(f"this is {sys.version_info.major}.{sys.version_info.minor}")
        from opstrand.cli.app import run_app
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: {_NEEDS} ({error})\n")
        return 2
    return run_app(arguments)
