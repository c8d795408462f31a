"""Text for people: make foreign text safe to show, shorten it, quote it, and suggest similar names.

Owns `printable`, which shows as an escape whatever a terminal would act on or what would change how
a line reads. Owns the text of "there is no X; did you mean Y; there are A, B", and the limits on
the search for Y: the names are a user's, as many and as long as a file can hold. Pure, and must
import nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import islice

#: The names searched for the nearest one, and the candidates among them that are compared in full.
_SEARCHED = 200
_COMPARED = 5
#: Longer words are not compared: the time grows with the square of the length.
_LONGEST = 60
_CUTOFF = 0.6
_LISTED = 12
_SHOWN = 60
#: Characters of a value in an error. A limit below `_TAIL` leaves no room for a tail.
_QUOTED = 80
_TAIL = 70
#: C0 except tab and newline, DEL, C1, surrogates; line and paragraph separators; the characters
#: that change the direction of text.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_OTHER_THAN_COLOUR = re.compile(
    r"""
    \x1b\[ (?![0-9;:]*m) [0-?]*[ -/]*[@-~]?      # CSI: everything but SGR, which is colour
    | \x1b[\]P^_X] [^\x07\x1b\x9c\n]* (?:\x07|\x1b\\|\x9c)? # OSC, DCS, PM, APC, SOS with their text
    | \x1b (?!\[[0-9;:]*m) [ -/]*[0-~]?        # any other escape
    | [\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]
    """,
    re.VERBOSE,
)


def printable(text: str) -> str:
    """`text` with every character that a terminal would act on as an escape, except newlines and
    tabs.
    """
    return CONTROLS.sub(_escape, text)


def inline(text: str) -> str:
    """`text` on one line: newlines and tabs are shown as escapes too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def printable_json(document: str) -> str:
    """A JSON document of the same meaning, with every such character as a JSON escape."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", document)


def keep_colours(text: str) -> str:
    """A program's output for a terminal, without the control sequences that do harm.

    Colours, tabs, carriage returns and backspaces stay. Every other control sequence is removed: it
    could set the title or the clipboard, overwrite earlier output, or make the terminal type.
    """
    return _OTHER_THAN_COLOUR.sub("", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar to `word`, or None if none is similar enough.

    Case, dashes and underscores are ignored.
    """
    if len(word) > _LONGEST:
        return None
    names = [str(name) for name in islice(known, _SEARCHED)]
    folded = {_fold(name): name for name in reversed(names) if len(name) <= _LONGEST}
    matcher = SequenceMatcher(b=_fold(word))
    likely = []
    for name in folded:
        matcher.set_seq1(name)
        if matcher.real_quick_ratio() >= _CUTOFF and (bound := matcher.quick_ratio()) >= _CUTOFF:
            likely.append((bound, name))
    compared = []
    for _, name in nlargest(_COMPARED, likely):
        matcher.set_seq1(name)
        compared.append((matcher.ratio(), name))
    ratio, nearest = max(compared, default=(0.0, ""))
    return folded[nearest] if ratio >= _CUTOFF else None


def _fold(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


def list_names(known: Collection[str]) -> str:
    """`a, b, c` in the given order, cut after 12 names; `nothing` if there is none."""
    shown = ", ".join(_cut(str(name)) for name in islice(known, _LISTED))
    more = len(known) - _LISTED
    return (f"{shown} and {more} more" if more > 0 else shown) or "nothing"


def suggest(word: str, known: Collection[str]) -> str:
    """` (did you mean 'x'? it has: x, y)`, ready to append."""
    nearest = find_nearest(word, known)
    meant = f"did you mean '{nearest}'? " if nearest else ""
    return f" ({meant}it has: {list_names(known)})"


def _cut(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"


def shorten(text: str, limit: int = _QUOTED) -> str:
    """`text` in at most `limit` characters: its head and its tail, and between them the number of
    characters left out.

    A limit below 70 has no room for a tail: the head, then the length of the whole text.
    """
    if len(text) <= limit:
        return text
    if limit < _TAIL:
        mark = f"… ({len(text):,} characters)"
        return f"{text[: max(limit - len(mark), 0)]}{mark}"[:limit]
    mark = f" ... {len(text) - limit} characters ... "
    head = max((limit - len(mark)) * 2 // 3, 0)
    tail = max(limit - len(mark) - head, 0)
    return f"{text[:head]}{mark}{text[len(text) - tail :]}"[:limit]


def quote(value: object, limit: int = _QUOTED) -> str:
    """The `repr` of a value for an error message, cut to `limit` characters."""
    return shorten(repr(value), limit)


def show_seconds(seconds: float | None) -> str:
    """Return `42s`, `3m12s`, `2h5m` or `3d4h`: two units at most."""
    if seconds is None:
        return ""
    left = max(int(seconds), 0)
    for size, unit, smaller, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if left >= size:
            rest = left % size // smaller
            return f"{left // size}{unit}" + (f"{rest}{small_unit}" if rest else "")
    return f"{left}s"
