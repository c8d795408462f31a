"""Texts that record which pieces the author of the file wrote and which a template printed.

Owns that distinction and how it is carried through lists, mappings and JSON. A rendered text enters
languages that other programs interpret (Kubernetes' `$(VAR)`, a Dockerfile's `$VAR`), where only
what the author wrote may have a meaning. Must not know any such language.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple


class Piece(NamedTuple):
    """A part of a text; `printed` is True for an expression's result, else the author's."""

    text: str
    printed: bool


class TracedText(str):
    """A text with its pieces. Compares, prints and serializes as the plain text.

    `lengths` are those of its pieces, alternating between what the author wrote (the first,
    possibly 0) and what was printed. Plain numbers, because a loop makes hundreds of thousands of
    them.
    """

    lengths: tuple[int, ...]
    _plain: str

    def __str__(self) -> str:
        """The plain text that it was made of: a long value in many places is stored once."""
        return self._plain

    @classmethod
    def of_pieces(cls, pieces: Iterable[Piece]) -> TracedText:
        texts: list[str] = []
        lengths = [0]
        for text, printed in pieces:
            if printed == (len(lengths) % 2 == 0):
                lengths[-1] += len(text)
            elif text:
                lengths.append(len(text))
            texts.append(text)
        return cls.of("".join(texts), lengths)

    @classmethod
    def of(cls, text: str, lengths: Iterable[int]) -> TracedText:
        traced = cls(text)
        traced.lengths, traced._plain = tuple(lengths), str(text)
        return traced


def pieces_of(text: str) -> Iterator[Piece]:
    """Yield the pieces in order, none of them empty. A text without a trace is the author's."""
    start = 0
    for index, length in enumerate(text.lengths if isinstance(text, TracedText) else (len(text),)):
        if length:
            yield Piece(text[start : start + length], index % 2 == 1)
        start += length


def trace(value: Any) -> Any:
    """Trace a value that an expression gave: every text in it is printed.

    Texts that already have a trace keep it (an `argFormat`'s own text).
    """
    if isinstance(value, TracedText):
        return value
    if isinstance(value, str):
        return (_trace_text if len(value) < _LONG else _trace_long)(value)
    if isinstance(value, Mapping):
        return {trace(key): trace(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [trace(item) for item in value]
    return value


def _trace_text(text: str) -> TracedText:
    return TracedText.of(text, (0, len(text)))


_LONG = 1000
_trace_long = lru_cache(maxsize=16)(_trace_text)


def forget(value: Any) -> Any:
    """Return the value with plain texts; the same value if it has no traces."""
    return _forget(value) if is_traced(value) else value


def _forget(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {_forget(key): _forget(item) for key, item in value.items()}
    return [_forget(item) for item in value] if isinstance(value, list | tuple) else value


def is_traced(value: Any) -> bool:
    """Return whether any text in the value has a trace."""
    if isinstance(value, Mapping):
        return any(is_traced(key) or is_traced(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return any(is_traced(item) for item in value)
    return isinstance(value, TracedText)


def to_answer(value: Any) -> dict[str, Any]:
    """Return a result as JSON members: `value`, and a traced text's `lengths` of its pieces."""
    if isinstance(value, TracedText):
        return {"value": str(value), "lengths": value.lengths}
    return {"value": value}


def from_answer(answer: Mapping[str, Any]) -> Any:
    """Return the result that `to_answer` wrote."""
    return (
        TracedText.of(answer["value"], answer["lengths"])
        if "lengths" in answer
        else answer["value"]
    )
