"""The command line `opstrand`: pass the requests of users and scripts to the engine, show results.

Owns the text, tables and exit codes. Must not decide anything about a run, and must import next to
nothing before the command is known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_NEEDS = (
    "the command line needs Python 3.11 or newer, and more than the client: pip install "
    "'opstrand[cli]'"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command as the console script, and return its exit code.

    The script is also installed with the client alone; then it says what is missing.
    """
    try:
        if sys.version_info < (3, 11):  # noqa: UP036 - the client runs on older ones
            raise ModuleNotFoundError(f"this is {sys.version_info.major}.{sys.version_info.minor}")
        from opstrand.cli.app import run_app
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: {_NEEDS} ({error})\n")
        return 2
    return run_app(arguments)
