"""The terminal: data on stdout, words for people on stderr, colour only where somebody looks.

Owns what is a terminal and what NO_COLOR means. Must not know what is shown, and must stay cheap to import: every command does.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def is_coloured(stream: TextIO) -> bool:
    """Whether colour belongs here: a live terminal, and nobody said NO_COLOR (https://no-color.org)."""
    return is_live(stream) and not os.environ.get("NO_COLOR")


def is_live(stream: TextIO) -> bool:
    """Whether this is a terminal that understands escapes."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in this style where the stream shows it."""
    if not style or not text or not is_coloured(stream or sys.stdout):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def show(text: str) -> None:
    """Data: stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def show_bytes(data: bytes) -> None:
    """A program's own output: stdout, byte for byte."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(text: str, style: str = "") -> None:
    """Words for a person: stderr."""
    sys.stderr.write(paint(text, style, sys.stderr) + "\n")
    sys.stderr.flush()
