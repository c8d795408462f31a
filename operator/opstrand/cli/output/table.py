"""Tables: columns under their heads, whole in a pipe and cut to the terminal as gh's are.

Owns how wide a column is. Must not know what the columns are about.
"""

from __future__ import annotations

import os
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from opstrand.cli.output.console import paint
from opstrand.text import inline

_GAP = "   "
#: Heads of columns that other commands take as they are: they are cut last.
_WHOLE = frozenset({"NAME", "RUN", "UUID", "PHASE"})
#: The least that a column of sentences is worth showing with.
_SENTENCE = {"MESSAGE": 12, "MEANING": 20}


def as_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    styles: Mapping[str, str] | None = None,
    *,
    spare: Sequence[str] = (),
    wraps: bool = False,
    width: int | None = None,
    has_heads: bool = True,
) -> str:
    """Align columns under their heads, three blanks apart, with no blanks at the end of a line.

    `styles` maps the text of a cell to its style. At a terminal (or with `width`) no line is wider
    than it: the columns in `spare` are left out, the first first, then cells are cut, the longest
    first. The last column is not cut but continued in further lines if `wraps`.
    """
    lines = [list(heads), *(list(map(inline, row)) for row in rows)]
    room = _terminal_width() if width is None else width
    if room:
        lines = _leave_out(lines, spare, room)
    widths = _measure(lines)
    if room and _total(widths) > room:
        widths = _shrink(lines[0], widths, room)
    lines = lines if has_heads else lines[1:]
    shown = (part for line in lines for part in _split(line, widths if wraps else None))
    return "\n".join(_draw(line, widths, styles or {}) for line in shown)


def _terminal_width() -> int:
    """Return the width of the terminal that stdout is; 0 if it is none, or does not say."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0
    except (OSError, ValueError):
        return 0


def _measure(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(_length, column)) for column in zip(*lines, strict=True)]


def _length(text: str) -> int:
    """Return how many columns of a terminal the text takes: wide letters take two."""
    return len(text) if text.isascii() else sum(map(_size, text))


def _size(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _cut(text: str, width: int) -> str:
    if _length(text) <= width:
        return text
    kept, used = "", 1  # the ellipsis
    for letter in text:
        used += _size(letter)
        if used > width:
            break
        kept += letter
    return f"{kept}…"


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _leave_out(lines: list[list[str]], spare: Sequence[str], room: int) -> list[list[str]]:
    """Drop columns until the others fit in the least that they need."""
    for head in spare:
        if _total(_least(lines[0], _measure(lines))) <= room:
            break
        column = lines[0].index(head)
        lines = [line[:column] + line[column + 1 :] for line in lines]
    return lines


def _least(heads: Sequence[str], widths: Sequence[int]) -> list[int]:
    return [
        width if head.strip() in _WHOLE else min(width, _SENTENCE.get(head, len(head)))
        for head, width in zip(heads, widths, strict=True)
    ]


def _shrink(heads: Sequence[str], widths: list[int], room: int) -> list[int]:
    """Take from the widest column until the row fits: first from those that may be cut, and from
    all where these are at their least.
    """
    least = _least(heads, widths)
    for floor in (least, [1] * len(widths)):
        while _total(widths) > room:
            cuttable = [i for i, width in enumerate(widths) if width > floor[i]]
            if not cuttable:
                break
            widest = max(cuttable, key=lambda i: widths[i])
            widths = [width - (i == widest) for i, width in enumerate(widths)]
    return widths


def _split(line: list[str], widths: Sequence[int] | None) -> list[list[str]]:
    """Continue the last cell of a line in lines that are empty before it."""
    if widths is None or _length(line[-1]) <= widths[-1]:
        return [line]
    # textwrap counts letters; where they are wide, half as many fit.
    room = widths[-1] if len(line[-1]) == _length(line[-1]) else max(widths[-1] // 2, 1)
    parts = textwrap.wrap(line[-1], room) or [""]
    blank = [""] * (len(line) - 1)
    return [[*line[:-1], parts[0]], *([*blank, part] for part in parts[1:])]


def _draw(line: Sequence[str], widths: Sequence[int], styles: Mapping[str, str]) -> str:
    cells = []
    for cell, width in zip(line, widths, strict=True):
        cut = _cut(cell, width)
        cells.append(paint(cut, styles.get(cell, "")) + " " * (width - _length(cut)))
    return _GAP.join(cells).rstrip()
