"""The command line `opstrand`: what a person or a script asks, handed to the engine, and what came of it, shown.

Owns words, tables and exit codes. Must not decide anything about a run, and must import next to nothing before a command is known.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script: the exit code of one command."""
    from opstrand.cli.app import run_app

    return run_app(arguments)
