"""Waits that end: by a time limit, Ctrl-C, SIGTERM or a closed terminal, each with its exit code.

Owns turning them into one exception. Must not know what the caller waits for.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from opstrand.cli.errors import ExitCode

Result = TypeVar("Result")

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The wait ended before its result was there."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


async def wait_bounded(work: Coroutine[Any, Any, Result], *, seconds: float | None) -> Result:
    """Return the result of `work`.

    Raises Interrupted after so many seconds and at the first signal; the second signal kills us.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    signals: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        signals.append(number)
        _forget(loop)
        task.cancel()

    for number in _NUMBERS:
        # Keep ignoring what the parent process made us ignore (`nohup`, a script's `&`).
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop, number)
    try:
        async with asyncio.timeout(seconds):
            return await task
    except TimeoutError:
        await _settle(task)
        raise Interrupted(f"not ended after {seconds:g} s", ExitCode.TIMEOUT) from None
    except asyncio.CancelledError:
        if not signals:
            raise
        raise Interrupted("interrupted", ExitCode.INTERRUPTED) from None
    finally:
        _forget(loop)


def _forget(loop: asyncio.AbstractEventLoop) -> None:
    for number in _NUMBERS:
        loop.remove_signal_handler(number)


async def _settle(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
