"""Try a job in this process first, since most jobs are cheap: a timer ends it when it is not.

Owns the timer and the error that says "leave it to a worker". In a thread other than the main one
there is no such timer, and nothing bounds the job.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: CPU seconds that the job may take here. The event loop is blocked during that time.
SECONDS = 0.05


class NeedsWorker(BaseException):
    """The job may be expensive. A BaseException, so that no error handler on the way stops it."""


def put_off(source: str, values: Mapping[str, Any]) -> Any:
    """The template evaluator of jobs tried here: only workers evaluate more than look-ups."""
    raise NeedsWorker


class _Timer:
    """Whether the timer is armed: a signal that arrives late must not end other code."""

    is_armed = False
    has_rung = False


def _ring(number: int, stack: FrameType | None) -> None:
    if _Timer.is_armed:
        _Timer.has_rung = True
        raise NeedsWorker


@contextmanager
def bounded() -> Iterator[None]:
    """Raise NeedsWorker in the body once it has taken more than SECONDS of CPU time."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGVTALRM) is not _ring:
        signal.signal(signal.SIGVTALRM, _ring)
    _Timer.is_armed, _Timer.has_rung = True, False
    # The timer repeats: an error that the first signal raises inside a destructor is swallowed.
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, SECONDS)
    try:
        yield
    finally:
        _Timer.is_armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if _Timer.has_rung:
            # Raise in any case: the result of an interrupted body proves nothing.
            raise NeedsWorker
