"""The logs of local runs, also while another process writes them.

Owns which attempts are shown, and that no line of a run that goes on is lost. Must not print.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from opstrand.cli.cluster.lookup import choose_attempt
from opstrand.cli.local_runs import iter_attempts, read_record
from opstrand.cli.options import Target
from opstrand.cli.output.log_lines import LineSink
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.local.log_files import KeptLine, LogReader
from opstrand.local.records import Records
from opstrand.types import key_of

#: Seconds between two reads of a log that grows.
_LOOK = 0.1


def show_record(
    body: Any,
    target: Target,
    sink: LineSink,
    *,
    attempt: int | None,
    tail: int | None,
    timestamps: bool,
    since: str = "",
) -> None:
    """Show the lines of one attempt, or of all attempts if none is named; `since`: a time in UTC.

    Raises CliError if the run has no such attempt, or never started.
    """
    key = key_of(body)
    attempts = list(iter_attempts(key)) if attempt is None else [choose_attempt(body, attempt)]
    if not attempts and not read_status(body).get("startedAt"):
        # A program that prints nothing has no log either, but it has started.
        from opstrand.cli.cluster.missing_log import explain_no_pod

        raise explain_no_pod(body, target)
    lines: Iterator[KeptLine] = (
        line
        for number in attempts
        for line in LogReader(Records().log_of(key, number)).read()
        if line.at >= since
    )
    for line in lines if tail is None else deque(lines, maxlen=tail):
        sink.show(f"{line.at} ".encode() + line.raw if timestamps else line.raw)


async def follow_record(body: Any, on_line: Callable[[bytes], None]) -> Any:
    """Pass on every line of every attempt until the run has ended; return its final body."""
    key, readers = key_of(body), dict[int, LogReader]()
    while True:
        # Read the run before its logs, so that a line written between the two is not lost.
        body = read_record(key)
        for number in iter_attempts(key):
            reader = readers.setdefault(number, LogReader(Records().log_of(key, number)))
            for line in reader.read():
                on_line(line.raw)
        if parse_phase(read_status(body)).is_final:
            return body
        await asyncio.sleep(_LOOK)
