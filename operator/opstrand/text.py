"""Text for people: what others wrote made fit to be shown, cut to a length, quoted, and the word
that was most likely meant.

Owns `printable`: what a terminal would act on, or what would change how a line reads, is shown as
an escape. Owns the words of "there is no X; did you mean Y; there are A, B", and what the search
for Y may cost: names are a user's, as many and as long as a file can hold. Pure, and must import
nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import islice

#: Of so many names at most the nearest is looked for, and of those only the likeliest are compared
#: in full.
_SEARCHED = 200
_COMPARED = 5
#: A longer word is no slip of one: comparing takes time that grows with the square of the length.
_LONGEST = 60
_CUTOFF = 0.6
_LISTED = 12
_SHOWN = 60
#: Characters of a value in an error; where less than `_TAIL` fit, no tail is shown.
_QUOTED = 80
_TAIL = 70
#: C0 but tab and newline, DEL, C1, half characters; line and paragraph separators; what turns the
#: direction of text.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_OTHER_THAN_COLOUR = re.compile(
    r"""
    \x1b\[ (?![0-9;:]*m) [0-?]*[ -/]*[@-~]?      # CSI: everything but SGR, which is colour
    | \x1b[\]P^_X] [^\x07\x1b\x9c\n]* (?:\x07|\x1b\\|\x9c)?   # OSC, DCS, PM, APC, SOS with their text
    | \x1b (?!\[[0-9;:]*m) [ -/]*[0-~]?        # any other escape
    | [\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]
    """,
    re.VERBOSE,
)


def printable(text: str) -> str:
    """`text` with its newlines and tabs, and every other character that a terminal would act on as
    an escape.
    """
    return CONTROLS.sub(_escape, text)


def inline(text: str) -> str:
    """`text` for a place that has one line: newlines are shown as escapes too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def printable_json(document: str) -> str:
    """A JSON document that means the same, with every such character as JSON's own escape."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", document)


def keep_colours(text: str) -> str:
    """A program's own output for a terminal: its colours, tabs, carriage returns and backspaces
    stay, every other control sequence goes (it could write the title or the clipboard, move the
    cursor over what was said before, or have the terminal type an answer).
    """
    return _OTHER_THAN_COLOUR.sub("", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `word`, or None if none does.

    Case, dashes and underscores weigh nothing.
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
    """`a, b, c`, in their own order and cut where there are many; `nothing` if there is none."""
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
    """`text` in at most `limit` characters: its head and its tail, with what was left out counted
    between them.

    Below 70 characters there is no room for a tail: the head, and how long the whole is.
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
    """A value as an error shows it between quotes, cut to `limit` characters."""
    return shorten(repr(value), limit)
