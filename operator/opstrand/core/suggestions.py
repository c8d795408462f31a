"""The nearest word: what a person most likely meant.

Owns the wording of "there is no X; did you mean Y; there are A, B", and what the search for Y may cost: names are a
user's, as many and as long as a file can hold. Must not know where names come from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import islice

#: Of so many names at most the nearest is looked for, and of those only the likeliest are compared in full.
_SEARCHED = 200
_COMPARED = 5
#: A longer word is no slip of one: comparing takes time that grows with the square of the length.
_LONGEST = 60
_CUTOFF = 0.6
_LISTED = 12
_SHOWN = 60


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `word`, or None if none does."""
    if len(word) > _LONGEST:
        return None
    names = [str(name) for name in islice(known, _SEARCHED)]
    folded = {name.lower(): name for name in reversed(names) if len(name) <= _LONGEST}
    matcher = SequenceMatcher(b=word.lower())
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
