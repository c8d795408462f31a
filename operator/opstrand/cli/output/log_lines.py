"""The lines of logs as the user asked for them: all or those that match, with or without the run.

Owns the prefixes and their colours. Must not know where lines come from.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field

from opstrand.cli.output.console import is_coloured, show_bytes
from opstrand.text import inline

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


@dataclass(frozen=True)
class LineSinks:
    """Where the lines of a run go, and those of the runs that it makes as a pipeline.

    `prefix`: the run in front of each line; empty where it is the only one.
    """

    prefix: str = ""
    pattern: re.Pattern[bytes] | None = None
    number: int = 0
    _paths: dict[tuple[str, ...], int] = field(default_factory=dict)

    def of(self, path: tuple[str, ...] = ()) -> LineSink:
        """Return the sink of the run that these operations lead to; each has its own colour."""
        place = self._paths.setdefault(path, len(self._paths))
        parts = (*([self.prefix] if self.prefix else []), *path)
        return LineSink("/".join(map(inline, parts)), self.number + place, self.pattern)
