"""The lines of logs as the user asked for them: all or those that match, with or without the run.

Owns the prefixes and their colours. Must not know where lines come from.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from opstrand.cli.output.console import is_coloured, show_bytes

#: Colours of prefixes, one run after the other: none of them means success or failure.
_COLOURS = ("36", "35", "34", "33", "96", "95", "94", "93")


@dataclass(frozen=True)
class LineSink:
    """Where the lines of one log go."""

    #: The run (and the container) in front of each line; empty for a log that is shown alone.
    prefix: str = ""
    number: int = 0
    pattern: re.Pattern[bytes] | None = None

    def show(self, line: bytes) -> None:
        """Show the line if it is wanted; without a prefix it is shown byte for byte."""
        if self.pattern is not None and not self.pattern.search(line):
            return
        if not self.prefix:
            show_bytes(line)
            return
        end = b"" if line.endswith(b"\n") else b"\n"
        show_bytes(self._paint() + b" " + line + end)

    def _paint(self) -> bytes:
        text = f"[{self.prefix}]"
        if is_coloured(sys.stdout):
            text = f"\x1b[{_COLOURS[self.number % len(_COLOURS)]}m{text}\x1b[0m"
        return text.encode()
