"""The logs of local runs, also while another process writes them.

Owns which attempts are shown, and that no line of a run that goes on is lost. Must not print
anything but lines.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any

from opstrand.cli.cluster.lookup import choose_attempt
from opstrand.cli.cluster.waiting import Interrupted, wait_bounded
from opstrand.cli.local_runs import PROJECT, iter_attempts, read_record
from opstrand.cli.options import Target
from opstrand.cli.output.console import say, show_bytes
from opstrand.cli.output.progress import report_end
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.local.log_files import KeptLine, LogReader
from opstrand.local.records import Records
from opstrand.types import key_of

#: Seconds between two reads of a log that grows.
_LOOK = 0.1


def show_record(
    body: Any, target: Target, *, attempt: int | None, tail: int | None, timestamps: bool
) -> None:
    """Show the lines of one attempt, or of all attempts if none is named.

    Raises CliError if the run has no such attempt, or never started.
    """
    key = key_of(body)
    attempts = list(iter_attempts(key)) if attempt is None else [choose_attempt(body, attempt)]
    if not attempts and not read_status(body).get("startedAt"):
        # A program that prints nothing has no log either, but it has started.
        from opstrand.cli.cluster.missing_log import explain_no_pod

        raise explain_no_pod(body, target)
    lines: Iterator[KeptLine] = (
        line for number in attempts for line in LogReader(Records().log_of(key, number)).read()
    )
    for line in lines if tail is None else deque(lines, maxlen=tail):
        show_bytes(f"{line.at} ".encode() + line.raw if timestamps else line.raw)


def follow_record(body: Any, target: Target) -> int:
    """Show every line of every attempt until the run has ended; return its exit code."""
    try:
        return report_end(asyncio.run(wait_bounded(_follow(body), seconds=None)), target)
    except Interrupted as error:
        name, project = body["metadata"]["name"], target.project or PROJECT
        say(
            f"{error.word}; the run goes on. To come back to it:\n  "
            f"{target.command('logs', '-f', name, project=project)}"
        )
        return error.code


async def _follow(body: Any) -> Any:
    key, readers = key_of(body), dict[int, LogReader]()
    while True:
        # Read the run before its logs, so that a line written between the two is not lost.
        body = read_record(key)
        for number in iter_attempts(key):
            reader = readers.setdefault(number, LogReader(Records().log_of(key, number)))
            for line in reader.read():
                show_bytes(line.raw)
        if parse_phase(read_status(body)).is_final:
            return body
        await asyncio.sleep(_LOOK)
