"""The terminal: data on stdout, words for people on stderr, colour only where somebody looks.

Owns what is a terminal and what NO_COLOR means. Must not know what is shown, and must stay cheap to import: every command does.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TextIO

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def open_streams() -> None:
    """Make the standard streams bear whatever is said: closed ones lead nowhere, and the others speak UTF-8 whatever the locale says, as
    kubectl's do; what has no UTF-8, as half of a file's name, is shown escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def drop_unread() -> None:
    """Let go of what nobody takes: the interpreter's own last flush would make an exit code of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
