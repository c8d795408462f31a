"""Values that survive being stored: JSON, finite, of bounded depth, integers of 64 bits.

Owns making any value so, and reading JSON texts strictly. Must not know types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

from opstrand.core.limits import MAX_INTEGER

_DEPTH = 60


class Mismatch(Exception):
    """A value is not of a type; the text says why, as far as the value does not show it."""


def make_safe(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - one return per kind of value
    """Return `value` as a store gives it back. Raises Mismatch.

    Infinities and not-a-number become null, an integral float becomes an integer (a cluster stores
    1.0 as 1, and a plan must not depend on which of them it was made from), dates and keys become
    text.
    """
    match value:
        case None | bool():
            return value
        case str():
            return check_text(value)
        case int():
            return check_integer(value)
        case float():
            return make_float_safe(value)
        case Mapping():
            _check_depth(depth)
            return {check_text(str(key)): make_safe(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            _check_depth(depth)
            return [make_safe(item, depth + 1) for item in value]
        case date():
            return format_date(value)
        case timedelta():
            return make_float_safe(value.total_seconds())
        case _:
            raise Mismatch(f"{type(value).__name__} is no value that could be stored")


def unstore(value: Any) -> Any:
    """Return a stored value with its floats.

    A store writes a large float as a whole number of more than 64 bits.
    """
    if isinstance(value, Mapping):
        return {key: unstore(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unstore(item) for item in value]
    is_large = isinstance(value, int) and not -MAX_INTEGER - 1 <= value <= MAX_INTEGER
    return float(value) if is_large else value


def _check_depth(depth: int) -> None:
    if depth >= _DEPTH:
        raise Mismatch(f"it is nested more than {_DEPTH} levels deep")


def is_too_deep(value: Any) -> bool:
    """Return whether a value is nested too deeply to be stored; check this before recursing."""
    layer = [value]
    for _ in range(_DEPTH + 1):
        if not layer:
            return False
        layer = [
            inner
            for one in layer
            if isinstance(one, Mapping | list | tuple)
            for inner in _list_inner(one)
        ]
    return bool(layer)


def _list_inner(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else list(value)


def check_text(value: str) -> str:
    """Check that UTF-8 can encode a text."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Mismatch("it holds half of a character, which no store keeps") from None
    return value


def check_integer(value: int) -> int:
    if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
        raise Mismatch(
            "an integer beyond 64 bits loses its last digits when it is stored; give it as text "
            "(type str)"
        )
    return value


def make_float_safe(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) <= MAX_INTEGER else value


def format_date(value: date) -> str:
    """Format a date as ISO 8601; a time without a zone counts as UTC."""
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value.isoformat()


def read_mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping, or the one in a JSON text."""
    expected = 'expected a mapping, or its JSON text such as {"a": 1}'
    found = read_json(value, expected)
    if not isinstance(found, Mapping):
        raise Mismatch(expected)
    return found


def read_list(value: Any) -> list[Any]:
    """Return a list, or the one in a JSON text."""
    expected = 'expected a list, or its JSON text such as [1, 2] or ["a", "b"]'
    found = read_json(value, expected)
    if not isinstance(found, list | tuple):
        raise Mismatch(expected)
    return list(found)


def read_json(value: Any, expected: str) -> Any:
    """Return a value as it is, but a text parsed as JSON.

    Raises Mismatch with `expected` for a text that is not JSON, or has constants that are not JSON.
    """
    try:
        return (
            json.loads(value, parse_constant=_refuse_constant) if isinstance(value, str) else value
        )
    except (ValueError, RecursionError):
        raise Mismatch(expected) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
