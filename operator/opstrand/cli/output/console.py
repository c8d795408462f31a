"""The terminal: data on stdout, words for people on stderr, colour only where somebody looks.

Owns what is a terminal, what NO_COLOR means, and that nothing which others wrote drives the
terminal: all that the command line writes goes through here. Must not know what is shown, and must
stay cheap to import: every command does.
"""

from __future__ import annotations

import os
import re
import sys
from io import TextIOWrapper
from secrets import token_hex
from typing import TextIO

from opstrand.cli.errors import ExitCode, Explanation
from opstrand.text import inline, keep_colours, printable

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
#: Stand around what `paint` coloured until it is written. Nothing that is shown can hold them:
#: every process makes new ones.
_BEGIN, _END = f"\ufdd0{token_hex(8)}", f"\ufdd1{token_hex(8)}"
_PAINTED = re.compile(f"{_BEGIN}([0-9]+);|{_END}")


def open_streams() -> None:
    """Make the standard streams bear whatever is said: closed ones lead nowhere, and the others
    speak UTF-8 whatever the locale says, as kubectl's do; what has no UTF-8, as half of a file's
    name, is shown escaped.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def drop_unread() -> None:
    """Let go of what nobody takes: the interpreter's own last flush would make an exit code of
    it.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_coloured(stream: TextIO) -> bool:
    """Whether colour belongs here: a live terminal, and nobody said NO_COLOR
    (https://no-color.org).
    """
    return is_live(stream) and not os.environ.get("NO_COLOR")


def is_live(stream: TextIO) -> bool:
    """Whether this is a terminal that understands escapes."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in this style where the stream shows it."""
    if not style or not text or not is_coloured(stream or sys.stdout):
        return text
    return f"{_BEGIN}{_STYLES[style]};{text}{_END}"


def _fit(text: str) -> str:
    """What goes to a terminal or a pipe: everything that anybody wrote made printable, and our own
    colours.
    """
    return _PAINTED.sub(lambda found: f"\x1b[{found[1] or 0}m", printable(text))


def show(text: str) -> None:
    """Data: stdout. Control characters are shown as escapes; JSON and YAML hold none."""
    sys.stdout.write(_fit(text if text.endswith("\n") else text + "\n"))
    sys.stdout.flush()


def show_bytes(data: bytes) -> None:
    """A program's own output: stdout, byte for byte; on a terminal only its text and its
    colours.
    """
    sys.stdout.flush()
    sys.stdout.buffer.write(
        keep_colours(data.decode(errors="replace")).encode() if sys.stdout.isatty() else data
    )
    sys.stdout.buffer.flush()


def say(text: str, style: str = "") -> None:
    """One line for a person: stderr.

    A newline in it is shown as an escape: what others wrote makes no line of its own.
    """
    sys.stderr.write(_fit(paint(text.replace("\n", "\\n"), style, sys.stderr)) + "\n")
    sys.stderr.flush()


def draw(text: str) -> None:
    """A line on stderr over the one before it, without an end; empty: none.

    Only for a live terminal.
    """
    sys.stderr.write("\r\x1b[K" + inline(text))
    sys.stderr.flush()


def show_explanation(explanation: Explanation) -> ExitCode:
    """Print it for a person, and return its exit code."""
    for line in explanation.errors:
        say(f"error: {line}", "red")
    for line in explanation.hints:
        say(f"hint: {line}")
    return explanation.code
