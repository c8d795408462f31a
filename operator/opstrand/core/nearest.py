"""The nearest word: what a person most likely meant.

Owns the wording of "there is no X; did you mean Y; there are A, B". Must not know where names come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

#: Above this many names the search itself would cost more than the hint is worth.
_SEARCHED = 500
_LISTED = 12


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `word`, or None if none does."""
    names = [name for _, name in zip(range(_SEARCHED), known, strict=False)]
    folded = {name.lower(): name for name in reversed(names)}
    found = get_close_matches(word.lower()[:100], folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def list_names(known: Iterable[str]) -> str:
    """`a, b, c`, in their own order and cut where there are many; `nothing` if there is none."""
    names = list(known)
    shown = ", ".join(names[:_LISTED])
    more = len(names) - _LISTED
    return (f"{shown} and {more} more" if more > 0 else shown) or "nothing"


def suggest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'? it has: x, y)`, ready to append."""
    names = list(known)
    nearest = find_nearest(word, names)
    meant = f"did you mean '{nearest}'? " if nearest else ""
    return f" ({meant}it has: {list_names(names)})"
