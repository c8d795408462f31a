"""The terminal as the input of a command elsewhere: raw keys, and its size.

Owns that the terminal is as before once the command has ended. Must not know who reads.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

_PIECE = 64 * 1024


@contextmanager
def raw_terminal(*, is_wanted: bool) -> Iterator[None]:
    """Pass every key on, Ctrl-C too, while this lasts."""
    if not is_wanted:
        yield
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    try:
        # What was typed until now is kept, and goes to the command.
        tty.setraw(file, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


async def iter_input() -> AsyncIterator[bytes]:
    """Yield what comes on stdin, until its end."""
    file = sys.stdin.fileno()
    while True:
        await _wait_for_input(file)
        piece = os.read(file, _PIECE)
        if not piece:
            return
        yield piece


async def _wait_for_input(file: int) -> None:
    """Return once a read cannot block.

    The file is watched for one reading at a time: a loop that watches it for longer reports the
    same input again while it is being read, and the next read would block the whole loop.
    """
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(file, lambda: None if ready.done() else ready.set_result(None))
    except OSError:
        # A regular file is always ready, and cannot be watched.
        await asyncio.sleep(0)
        return
    try:
        await ready
    finally:
        loop.remove_reader(file)


async def iter_sizes() -> AsyncIterator[tuple[int, int]]:
    """Yield the size of the terminal now, and after each change."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            with suppress(OSError):
                size = os.get_terminal_size(sys.stdout.fileno())
                yield size.columns, size.lines
            await changed.wait()
            changed.clear()
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
