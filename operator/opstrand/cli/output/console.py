"""The terminal: data on stdout, messages for the user on stderr, colour only at a terminal.

Owns what is a terminal, what NO_COLOR means, and that no text of others controls the terminal: the
command line writes everything through here. Must not know what is shown, and must be cheap to
import, because every command imports it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from textwrap import indent
from typing import TextIO

from opstrand.cli.errors import ExitCode, Explanation
from opstrand.text import inline, keep_colours, printable

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
#: Mark the text that `paint` coloured until it is written. No other text can hold them, because
#: every process makes new ones.
_BEGIN, _END = f"\ufdd0{os.urandom(8).hex()}", f"\ufdd1{os.urandom(8).hex()}"
_PAINTED = re.compile(f"{_BEGIN}([0-9]+);|{_END}")


#: The program's last output on stdout ended within a line.
_within_line = False


def open_streams() -> None:
    """Make the standard streams accept any text.

    Closed streams lead to /dev/null. The others use UTF-8 in any locale, as kubectl's do, and
    escape text that has no UTF-8, such as half of a file's name.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def drop_unread() -> None:
    """Discard output without a reader, or the interpreter's last flush would set the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_coloured(stream: TextIO) -> bool:
    """Whether to use colour: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return is_live(stream) and not os.environ.get("NO_COLOR")


def is_live(stream: TextIO) -> bool:
    """Whether this is a terminal that understands escapes."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return `text` in this style if the stream shows colour."""
    if not style or not text or not is_coloured(stream or sys.stdout):
        return text
    return f"{_BEGIN}{_STYLES[style]};{text}{_END}"


def _fit(text: str) -> str:
    """Make all text printable, and turn our own marks into colours."""
    return _PAINTED.sub(lambda found: f"\x1b[{found[1] or 0}m", printable(text))


def show(text: str) -> None:
    """Print data to stdout. Control characters become escapes; JSON and YAML hold none."""
    sys.stdout.write(_fit(text if text.endswith("\n") else text + "\n"))
    sys.stdout.flush()


def show_frame(lines: Sequence[str], height: int) -> None:
    """Write lines over the `height` lines that were written before, in one write.

    Only for a live terminal.
    """
    up = f"\x1b[{height}A" if height else ""
    body = "".join(f"\r{_fit(line)}\x1b[K\n" for line in lines)
    sys.stdout.write(f"{up}{body}\x1b[J")
    sys.stdout.flush()


def show_bytes(data: bytes) -> None:
    """Print a program's output to stdout, byte for byte; on a terminal only text and colours."""
    global _within_line  # noqa: PLW0603 - as the streams, one for the process
    sys.stdout.flush()
    sys.stdout.buffer.write(
        keep_colours(data.decode(errors="replace")).encode() if sys.stdout.isatty() else data
    )
    sys.stdout.buffer.flush()
    _within_line = not data.endswith(b"\n") if data else _within_line


def _end_line() -> None:
    """End a program's unfinished line where ours would continue it: both streams are one.

    Otherwise a newline is not ours to add, because stdout is the program's output byte for byte.
    """
    global _within_line  # noqa: PLW0603 - as the streams, one for the process
    if _within_line and _is_one_stream():
        sys.stderr.write("\n")
    _within_line = False


def _is_one_stream() -> bool:
    """Whether stdout and stderr are the same terminal, file or pipe."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):
        return False


def say(text: str, style: str = "") -> None:
    """Print one line for the user to stderr.

    A newline in it becomes an escape, so that text of others cannot start a line of its own.
    """
    _end_line()
    sys.stderr.write(_fit(paint(text.replace("\n", "\\n"), style, sys.stderr)) + "\n")
    sys.stderr.flush()


def draw(text: str) -> None:
    """Replace the current line on stderr, without a newline; an empty text removes it.

    Only for a live terminal.
    """
    _end_line()
    sys.stderr.write("\r\x1b[K" + inline(text))
    sys.stderr.flush()


def show_explanation(explanation: Explanation) -> ExitCode:
    """Print it for the user, and return its exit code."""
    for line in explanation.errors:
        say(f"error: {line}", "red")
    for line in explanation.hints:
        say(f"hint: {line}")
    for text in explanation.suggestions:
        say_suggestion(text)
    return explanation.code


def say_suggestion(text: str) -> None:
    """Print YAML that the user may write instead, whole, so that it can be copied."""
    say("hint: here is how it looks as a component:")
    sys.stderr.write(indent(text, "  "))
    sys.stderr.flush()
