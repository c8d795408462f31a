"""The command line `opstrand`: pass the requests of users and scripts to the engine, show results.

Owns the text, tables and exit codes. Must not decide anything about a run, and must import next to
nothing before the command is known.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

#: The client alone runs on older ones.
_OLDEST = (3, 11)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command as the console script, and return its exit code.

    The script is also installed with the client alone; then it says what is missing.
    """
    if sys.version_info < _OLDEST:
        return _refuse(_describe_python())
    try:
        from opstrand.cli.app import run_app
    except ModuleNotFoundError as error:
        return _refuse(
            f"the command line needs more than the client: pip install 'opstrand[cli]' ({error})"
        )
    return run_app(arguments)


def _describe_python() -> str:
    found, oldest = (".".join(map(str, version[:2])) for version in (sys.version_info, _OLDEST))
    return (
        f"the command line needs Python {oldest} or newer, and this is Python {found}: make an "
        "environment with a newer one and install 'opstrand[cli]' there. The client "
        "(opstrand.client) runs here as it is"
    )


def _refuse(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 2
