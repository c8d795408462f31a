"""The logs of local runs, also while another process writes them.

Owns which attempts are shown, and that no line of a run that goes on is lost. Must not print.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from opstrand.cli.cluster.log_cursor import WHOLE, Part
from opstrand.cli.cluster.lookup import choose_attempt
from opstrand.cli.local_runs import iter_attempts, read_record
from opstrand.cli.options import Target
from opstrand.cli.output.log_lines import LineSink, LineSinks
from opstrand.core.phase import parse_phase
from opstrand.core.recorded import read_status
from opstrand.local.log_files import KeptLine, LogReader
from opstrand.local.records import Records
from opstrand.local.runs import Watch
from opstrand.runs.members import is_pipeline, iter_made
from opstrand.types import Key, key_of

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


async def follow_record(body: Any, sinks: LineSinks, part: Part = WHOLE) -> Any:
    """Show every line of every attempt, or this part of them, until the run has ended, and of the
    runs that it makes as a pipeline; return its final body.
    """
    key, log = key_of(body), _Log(key_of(body), sinks.of(), part)
    made = _MadeLogs(sinks, part)
    while True:
        # Read the run before its logs, so that a line written between the two is not lost.
        body = read_record(key)
        log.show_new()
        if is_pipeline(body):
            made.show_new(body)
        made.want_whole()
        if parse_phase(read_status(body)).is_final:
            return body
        await asyncio.sleep(_LOOK)


class _Log:
    """The log of one run, as far as it was shown."""

    def __init__(self, key: Key, sink: LineSink, part: Part) -> None:
        self._key, self._sink, self._part = key, sink, part
        self._readers: dict[int, LogReader] = {}
        #: The attempt from which on lines are shown, once one has begun.
        self._first: int | None = None

    def show_new(self) -> None:
        attempts = list(iter_attempts(self._key))
        if self._first is None:
            if not attempts:
                self._part = self._part.whole()
                return
            self._first = attempts[-1] if self._part.begins_late else 0
        for number in attempts:
            if number < self._first:
                continue
            is_new = number not in self._readers
            if is_new:
                self._readers[number] = LogReader(Records().log_of(self._key, number))
            lines: Iterable[KeptLine] = self._readers[number].read()
            if is_new and number == self._first:
                wanted = (line for line in lines if line.at >= self._part.since)
                lines = wanted if self._part.tail is None else deque(wanted, self._part.tail)
            for line in lines:
                at = f"{line.at} ".encode() if self._part.timestamps else b""
                self._sink.show(at + line.raw)


class _MadeLogs:
    """The logs of the runs of a pipeline, on every level below it."""

    def __init__(self, sinks: LineSinks, part: Part) -> None:
        self._sinks, self._part = sinks, part
        self._watch = Watch(Records())
        self._bodies: dict[Key, Any] = {}
        self._logs: dict[Key, _Log] = {}
        self._whole: set[Key] = set()

    def want_whole(self) -> None:
        """Show every line of the runs that begin from now on."""
        self._part = self._part.whole()

    def show_new(self, pipeline: Any) -> None:
        """Show what was written since the last call."""
        changed, present = self._watch.look() if self._watch.is_due() else ([], set(self._bodies))
        self._bodies |= {key_of(body): body for body in changed}
        self._bodies = {key: body for key, body in self._bodies.items() if key in present}
        for path, body in iter_made(pipeline, list(self._bodies.values())):
            key = key_of(body)
            if key in self._whole:
                continue
            if key not in self._logs:
                self._logs[key] = _Log(key, self._sinks.of(path), self._part)
            self._logs[key].show_new()
            if parse_phase(read_status(body)).is_final:
                self._whole.add(key)
