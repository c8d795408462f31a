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
        tty.setraw(file)
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


async def iter_input() -> AsyncIterator[bytes]:
    """Yield what comes on stdin, until its end."""
    file, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    ready = asyncio.Event()
    is_watched = True
    try:
        loop.add_reader(file, ready.set)
    except OSError:
        # A regular file is always ready, and cannot be watched.
        is_watched = False
    try:
        while True:
            if is_watched:
                await ready.wait()
                ready.clear()
            else:
                await asyncio.sleep(0)
            piece = os.read(file, _PIECE)
            if not piece:
                return
            yield piece
    finally:
        if is_watched:
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
