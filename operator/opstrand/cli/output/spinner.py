"""The live line: what a command waits for, on a terminal, once the wait is longer than a second.

Owns how it is drawn and removed. Must not know what the command waits for.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from types import TracebackType

from opstrand.cli.output.console import draw, is_live
from opstrand.text import inline

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
#: Seconds: a shorter wait needs no live line.
_LONG_WAIT = 1.0


class LiveLine:
    """One line on stderr that says what the command waits for. It appears once the wait is long,
    and disappears when the wait ends.

    It is not drawn if stderr is not a terminal.
    """

    def __init__(self, text: str = "") -> None:
        self.text = text
        self._since = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._drawn = False
        self._hidden = False

    async def __aenter__(self) -> LiveLine:
        if is_live(sys.stderr):
            self._task = asyncio.create_task(self._draw_forever(), name="live line")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.clear()

    def update(self, text: str) -> None:
        """Set what the command waits for from now on, and restart the clock."""
        if text != self.text:
            self.text, self._since, self._hidden = text, time.monotonic(), False

    def hide(self) -> None:
        """Stop showing this wait, because lines of a program are being shown."""
        self._hidden = True
        self.clear()

    def clear(self) -> None:
        if self._drawn:
            self._drawn = False
            _draw("")

    async def _draw_forever(self) -> None:
        for count in range(sys.maxsize):
            await asyncio.sleep(0.1)
            waited = time.monotonic() - self._since
            if self.text and not self._hidden and waited >= _LONG_WAIT:
                self._draw(_FRAMES[count % len(_FRAMES)], int(waited))

    def _draw(self, frame: str, seconds: int) -> None:
        width = _terminal_width()
        line = f"{frame} {self.text} ({seconds} s)"
        self._drawn = True
        _draw(inline(line)[: width - 1])


def _draw(line: str) -> None:
    """Draw, and ignore a terminal that was closed, because the wait goes on."""
    with suppress(OSError):
        draw(line)


def _terminal_width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
