"""Find whether a text contains any, or all, of many parts without a separate search for each part.

Owns that search and its cost limit. Parts of one length are searched together: every substring of
this length is looked up among them. Must not know what is searched for or why.
"""

from __future__ import annotations

from collections.abc import Iterable

#: The most steps, of about a tenth of a microsecond each, for one search in all texts of a value.
STEPS = 10_000_000


class TooManySteps(Exception):
    """The search of these parts in these texts would take too long."""


class Parts:
    """Parts to search for in one text after the other; together the searches may take `steps`."""

    def __init__(self, parts: Iterable[str], steps: int = STEPS) -> None:
        self._by_length: dict[int, set[str]] = {}
        for part in parts:
            self._by_length.setdefault(len(part), set()).add(part)
        self._lengths = sorted(self._by_length)
        self._left = steps

    def are_all_in(self, text: str) -> bool:
        if self._lengths and self._lengths[-1] > len(text):
            return False
        return all(self._are_all_in(text, length) for length in self._lengths)

    def is_any_in(self, text: str) -> bool:
        for length in self._lengths:
            if length > len(text):
                return False
            parts = self._by_length[length]
            if self._is_cheaper_one_by_one(parts, text):
                found = any(part in text for part in parts)
            else:
                found = any(text[at : at + length] in parts for at in range(len(text) - length + 1))
            if found:
                return True
        return False

    def _are_all_in(self, text: str, length: int) -> bool:
        parts = self._by_length[length]
        stretches = len(text) - length + 1
        if len(parts) > stretches:
            return False
        if self._is_cheaper_one_by_one(parts, text):
            return all(part in text for part in parts)
        return len(parts.intersection(text[at : at + length] for at in range(stretches))) == len(
            parts
        )

    def _is_cheaper_one_by_one(self, parts: set[str], text: str) -> bool:
        """Return whether the search part by part takes fewer steps.

        Raises TooManySteps if even the cheaper way takes too many.
        """
        one_by_one, together = (
            len(parts) * (1 + len(text) // 500),
            len(text) * (1 + len(next(iter(parts))) // 500),
        )
        self._left -= min(one_by_one, together)
        if self._left < 0:
            raise TooManySteps
        return one_by_one <= together
