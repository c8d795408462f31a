"""Send reports in the background, so that training never waits for the API or fails because of it.

Owns the sending thread, the message about a report that could not be stored, and the last try at
the end of the process. Reports that are not sent yet are merged, so that the queue is no larger
than what a run can hold.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Callable

from .batch import Report
from .errors import ApiError, ClientError
from .guard import say

#: Seconds that the end of the process waits for the API.
LAST_CHANCE = 60.0
#: Seconds for one try, between two tries while the API is away, and for a caller that must send its
#: own report because no thread can be started.
_TRY = 30.0
_PAUSE = 2.0
_ALONE = 5.0
#: The most requests that look for the refused part of a refused report.
_PARTS = 40

#: Sends one report within so many seconds, or raises.
Send = Callable[[Report, float], None]


class Spool:
    """The queue of unsent reports. Each run client has one."""

    def __init__(self, send: Send, last_chance: float = LAST_CHANCE) -> None:
        self._send = send
        self._last_chance = last_chance
        self._warned = False
        self._reset()
        atexit.register(self._finish)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A forked child has no sending thread and may hold a lock that no thread will release. Its
        # parent's reports are not its own.
        self._wake = threading.Condition()
        self._pending = Report()
        self._due: float | None = None
        self._sending = False
        self._ends = False
        self._thread: threading.Thread | None = None

    def add(self, report: Report, within: float = 0.0) -> None:
        """Accept a report; a background thread sends it after at most `within` seconds."""
        with self._wake:
            self._pending.then(report)
            due = time.monotonic() + within
            if self._thread is None:
                self._thread = self._start()
            if self._due is None or due < self._due:
                self._due = due
                self._wake.notify_all()
        if self._ends:
            self._finish()
        elif self._thread is None:
            self.flush(_ALONE)

    def _start(self) -> threading.Thread | None:
        """Start the thread that sends.

        Returns None if none can start: the process is ending, or has as many threads as it may.
        """
        _call_at_end_of_worker(self._finish)
        thread = threading.Thread(target=self._run, name="opstrand-reports", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return None
        return thread

    def flush(self, seconds: float) -> bool:
        """Wait until everything is stored or refused, at most `seconds`; return whether it is."""
        deadline = time.monotonic() + seconds
        with self._wake:
            if self._pending:
                self._due = time.monotonic()
                self._wake.notify_all()
            while self._thread is not None and (self._pending or self._sending):
                rest = deadline - time.monotonic()
                if rest <= 0:
                    return False
                self._wake.wait(rest)
        while self._pending and time.monotonic() < deadline:
            self._send_once(self._next_report(), deadline - time.monotonic())
        return not self._pending

    def _run(self) -> None:
        while True:
            self._send_once(self._next_report(), _TRY)

    def _next_report(self) -> Report:
        """Return the next report to send, once it is due."""
        with self._wake:
            while not self._pending or self._due is None or self._due > time.monotonic():
                rest = (
                    None
                    if self._due is None or not self._pending
                    else max(0.0, self._due - time.monotonic())
                )
                self._wake.wait(rest)
            report, self._pending, self._due, self._sending = self._pending, Report(), None, True
            return report

    def _send_once(self, report: Report, seconds: float) -> None:
        refused: list[tuple[str, Exception]] = []
        kept = self._try(report, min(seconds, _TRY), refused, iter(range(_PARTS)))
        if refused:
            self._report_refused(refused)
        with self._wake:
            if kept:  # reports that came since are later, and win
                self._pending = kept.then(self._pending)
                self._due = time.monotonic() + _PAUSE
            self._sending = False
            self._wake.notify_all()

    def _try(
        self,
        report: Report,
        seconds: float,
        refused: list[tuple[str, Exception]],
        tries: Iterator[int],
    ) -> Report:
        """Send a report and return the part that must be sent again.

        Of a refused report only the part that the API refuses is lost.
        """
        kept = Report()
        try:
            self._send(report, seconds)
        except Exception as error:
            if isinstance(error, ClientError) and not isinstance(error, ApiError):
                self._warn(error)
                return report
            # A 400, or a value that json cannot encode, is about the contents: send them in parts.
            divides = not isinstance(error, ApiError) or error.status == 400
            parts = report.halve() if divides and next(tries, None) is not None else ()
            if not parts:
                refused.append((report.names(), error))
            for part in parts:
                kept.then(self._try(part, seconds, refused, tries))
        else:
            self._warned = False
        return kept

    def _warn(self, error: ClientError) -> None:
        if not self._warned:
            self._warned = True
            say(f"the API is away, reports are kept and sent later ({error})")

    def _report_refused(self, refused: list[tuple[str, Exception]]) -> None:
        names = ", ".join(name for name, _ in refused[:5]) + (
            f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        )
        error = refused[0][1]
        say(
            f"the API refused {names}: {error.detail}"
            if isinstance(error, ApiError)
            else f"{names} could not be sent: {error}"
        )

    def _finish(self) -> None:
        """Handle the end of the process: from here on, a report is sent before the call returns."""
        self._ends = True
        if not self.flush(self._last_chance):
            say(
                f"{self._pending.names() or 'reports'} could not be stored within "
                f"{self._last_chance:g} s and are lost"
            )


def _call_at_end_of_worker(call: Callable[[], None]) -> None:
    """Register the call in a `multiprocessing` worker, which ends without `atexit`."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, call, exitpriority=0)
