"""Prints what a person sees while a cluster is made: one line a step with its seconds, and the end
of a failing tool's output.

Owns progress lines, the `Failure` that ends a command without a traceback, and running tools whose
output only matters when they fail.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TAIL_LINES = 25


class Failure(Exception):
    """An expected failure: what went wrong, and the output that shows why."""

    def __init__(self, message: str, evidence: str = "") -> None:
        super().__init__(message)
        self.evidence = tail(evidence)

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n{self.evidence}" if self.evidence else message


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines, indented to be distinct from our own messages."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])


def say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Print one line: the title at the start, so that a long step is seen to run, and its seconds
    at the end. Steps do not nest.
    """
    started = time.monotonic()
    sys.stdout.write(f"  {title} ... ")
    sys.stdout.flush()
    try:
        yield
    except BaseException:
        say("failed")
        raise
    say(f"{time.monotonic() - started:.1f} s")


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a tool and keep its output.

    Raises `Failure` with the end of it if the tool is missing or exits non-zero.
    """
    words = [str(word) for word in command]
    options.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run(
            words,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            **options,
        )
    except FileNotFoundError as error:
        raise Failure(f"{words[0]} is not installed") from error
    if check and done.returncode:
        raise Failure(f"{' '.join(words[:4])} ... exited {done.returncode}", done.stdout)
    return done
