"""What is tried right here first, since most of it is cheap: with a timer that ends it as soon as
it is not.

Owns the timer and the error that says "leave it to a worker". Where there is no such timer (another
thread than the main one), nothing bounds what is done inside.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: CPU seconds that it may take. The event loop does nothing else during that time.
SECONDS = 0.05


class NeedsWorker(BaseException):
    """It may be expensive. No handler of errors on the way may stop it."""


def put_off(source: str, values: Mapping[str, Any]) -> Any:
    """The evaluator of what is done here: a template that is more than look-ups is for a worker."""
    raise NeedsWorker


class _Timer:
    """Whether it is running: a signal that comes late must not end something else."""

    is_armed = False
    has_rung = False


def _ring(number: int, stack: FrameType | None) -> None:
    if _Timer.is_armed:
        _Timer.has_rung = True
        raise NeedsWorker


@contextmanager
def bounded() -> Iterator[None]:
    """End what is done inside with NeedsWorker once it has taken too long."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGVTALRM) is not _ring:
        signal.signal(signal.SIGVTALRM, _ring)
    _Timer.is_armed, _Timer.has_rung = True, False
    # Again and again: where the first signal finds a destructor, the error is swallowed.
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, SECONDS)
    try:
        yield
    finally:
        _Timer.is_armed = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if _Timer.has_rung:
            # Whatever became of it: what was ended in the middle proves nothing.
            raise NeedsWorker
