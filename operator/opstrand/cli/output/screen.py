"""A view that is drawn again as it changes: in place at a terminal, line by line elsewhere.

Owns that nothing flickers: what is new is written over what was there, in one write. Must not know
what is shown.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from opstrand.cli.output.console import is_live, show, show_frame

View = TypeVar("View")

#: Seconds: ages grow without a change, and many changes are drawn at once.
_OFTEN, _SELDOM = 0.2, 1.0


async def watch_view(
    views: AsyncIterator[View], draw: Callable[[View], str], is_last: Callable[[View], bool]
) -> None:
    """Show every view as text, until one is the last.

    At a terminal the new text replaces the old one. Elsewhere only lines that are new are printed.
    """
    screen = _Screen() if is_live(sys.stdout) else _Lines()
    latest: list[View] = []
    changed = asyncio.Event()

    async def follow() -> None:
        async for view in views:
            latest[:] = [view]
            changed.set()
            if is_last(view):
                return

    task = asyncio.ensure_future(follow())
    try:
        while True:
            waiting = asyncio.ensure_future(changed.wait())
            await asyncio.wait(
                {task, waiting},
                timeout=_SELDOM if screen.is_live else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            waiting.cancel()
            changed.clear()
            if latest:
                screen.draw(draw(latest[0]))
            if task.done():
                task.result()
                return
            await asyncio.sleep(_OFTEN if screen.is_live else 0)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Screen:
    is_live = True

    def __init__(self) -> None:
        self._height = 0

    def draw(self, text: str) -> None:
        lines = _fit(text.splitlines())
        show_frame(lines, self._height)
        self._height = len(lines)


class _Lines:
    is_live = False

    def __init__(self) -> None:
        self._shown: Sequence[str] = ()

    def draw(self, text: str) -> None:
        lines = text.splitlines()
        for line in lines:
            if line not in self._shown:
                show(line)
        self._shown = lines


def _fit(lines: list[str]) -> list[str]:
    """Cut the view to the terminal's height: what scrolled away cannot be drawn over."""
    try:
        room = os.get_terminal_size(sys.stdout.fileno()).lines - 1
    except OSError:
        return lines
    if room < 2 or len(lines) <= room:
        return lines
    return [*lines[: room - 1], f"... and {len(lines) - room + 1} more"]
