"""Types written as Python hints: `List[int]`, `Dict[str, float]`, `Optional[str]`, `PositiveInt`.

Owns the grammar of the hints that mean something for a value in a file. Must not evaluate them: a
hint is untrusted text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from opstrand.core.values.safe import Mismatch, make_safe, read_mapping
from opstrand.core.values.scalars import SCALARS

_Converter = Callable[[Any], Any]
_DEPTH = 5


def _bounded(convert: _Converter, accepts: Callable[[Any], bool], expected: str) -> _Converter:
    def to_bounded(value: Any) -> Any:
        number = convert(value)
        if number is None or not accepts(number):
            raise Mismatch(f"expected a {expected} number")
        return number

    return to_bounded


def _text(value: Any) -> str:
    """Accept only texts: `List[str]` does not convert numbers, as `str` alone does."""
    if not isinstance(value, str):
        raise Mismatch("expected texts")
    return str(SCALARS["str"](value))


def _make_bounds() -> dict[str, _Converter]:
    signs: dict[str, tuple[Callable[[Any], bool], str]] = {
        "Positive": (lambda n: n > 0, "positive"),
        "Negative": (lambda n: n < 0, "negative"),
        "NonNegative": (lambda n: n >= 0, "non-negative"),
        "NonPositive": (lambda n: n <= 0, "non-positive"),
    }
    return {
        f"{sign}{kind.capitalize()}": _bounded(SCALARS[kind], accepts, expected)
        for sign, (accepts, expected) in signs.items()
        for kind in ("int", "float")
    }


_NAMED: dict[str, _Converter] = {
    **_make_bounds(),
    "ByteSize": _bounded(SCALARS["int"], lambda n: n >= 0, "non-negative"),
    "Any": make_safe,
    "any": make_safe,
    "List": SCALARS["list"],
    "Dict": SCALARS["dict"],
}


@lru_cache(maxsize=256)
def parse_hint(text: str) -> _Converter | None:
    """Return the converter for a hint, or None if the hint is unknown."""
    return _parse(text, 0) if len(text) <= 100 else None


def _parse(text: str, depth: int) -> _Converter | None:
    text = text.strip()
    if text in _NAMED:
        return _NAMED[text]
    match = re.fullmatch(r"(?:typing\.)?(List|list|Dict|dict|Optional)\[(.+)\]", text)
    if match is None or depth > _DEPTH:
        return (_text if text == "str" else SCALARS.get(text)) if depth else None
    outer, inner = match[1].capitalize(), match[2]
    if outer == "Dict":
        return _parse_dict(inner, depth)
    item = _parse(inner, depth + 1)
    if item is None:
        return None
    return (
        item
        if outer == "Optional"
        else lambda value: [item(part) for part in SCALARS["list"](value)]
    )


def _parse_dict(inner: str, depth: int) -> _Converter | None:
    key, comma, rest = inner.partition(",")
    item = _parse(rest, depth + 1) if comma and key.strip() in ("str", "Any") else None
    if item is None:
        return None

    def to_mapping(value: Any) -> dict[str, Any]:
        return {str(name): item(part) for name, part in read_mapping(value).items()}

    return to_mapping
