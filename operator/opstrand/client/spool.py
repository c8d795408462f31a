"""Sending reports behind user code's back: training never waits for the API, and never fails because of it.

Owns the thread that sends, what is said when something could not be stored, and the last chance at the end of the process. Reports
that could not be sent yet are merged, so that what waits is bounded by what a run can hold.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import Callable

from .errors import ApiError, ClientError
from .report import Report

#: Seconds that the end of the process waits for the API.
LAST_CHANCE = 60.0
#: Seconds between two tries while the API is away.
_PAUSE = 2.0

#: Sends one report within so many seconds, or raises.
Send = Callable[[Report, float], None]


class Spool:
    """Reports on their way. One per run client."""

    def __init__(self, send: Send, last_chance: float = LAST_CHANCE) -> None:
        self._send = send
        self._last_chance = last_chance
        self._warned = False
        self._reset()
        atexit.register(self._at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A forked child has no sending thread, perhaps a lock that nobody will release, and its parent's reports are not its own.
        self._wake = threading.Condition()
        self._pending = Report()
        self._due: float | None = None
        self._sending = False
        self._thread: threading.Thread | None = None

    def add(self, report: Report, within: float = 0.0) -> None:
        """Take a report; it is sent in the background, `within` seconds at the latest."""
        with self._wake:
            self._pending.then(report)
            due = time.monotonic() + within
            self._due = due if self._due is None else min(self._due, due)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="opstrand-reports", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is stored or refused, at most so long; whether it is."""
        deadline = time.monotonic() + seconds
        with self._wake:
            if self._pending:
                self._due = time.monotonic()
                self._wake.notify_all()
            while self._pending or self._sending:
                rest = deadline - time.monotonic()
                if rest <= 0 or self._thread is None:
                    return False
                self._wake.wait(rest)
        return True

    def _run(self) -> None:
        while True:
            self._send_once(self._take())

    def _take(self) -> Report:
        """The next report to send, once it is due."""
        with self._wake:
            while not self._pending or self._due is None or self._due > time.monotonic():
                rest = None if self._due is None or not self._pending else max(0.0, self._due - time.monotonic())
                self._wake.wait(rest)
            report, self._pending, self._due, self._sending = self._pending, Report(), None, True
            return report

    def _send_once(self, report: Report) -> None:
        again = False
        try:
            self._send(report, 30.0)
        except ApiError as error:
            self._say(f"the API refused {report.names()}: {error.detail}")
        except ClientError as error:
            again = True
            if not self._warned:
                self._warned = True
                self._say(f"the API is away, reports are kept and sent later ({error})")
        except Exception as error:  # user code's values: what json cannot say, for one
            self._say(f"{report.names()} could not be sent: {error}")
        else:
            self._warned = False
        with self._wake:
            if again:  # what came since is later, and wins
                self._pending = report.then(self._pending)
                self._due = time.monotonic() + _PAUSE
            self._sending = False
            self._wake.notify_all()

    def _at_exit(self) -> None:
        if not self.flush(self._last_chance):
            self._say(f"{self._pending.names() or 'reports'} could not be stored within {self._last_chance:g} s and are lost")

    @staticmethod
    def _say(text: str) -> None:
        print(f"opstrand: {text}", file=sys.stderr, flush=True)
