"""An object as a cluster gives it back: who works without one must see the same, or the same file
would run differently there.

Owns what the API server does to any JSON that it keeps. Must not know what the object means.
"""

from __future__ import annotations

from typing import Any


def as_stored(value: Any) -> Any:
    """Keys by the alphabet, sequences as lists, whole floats as integers (from where on Go writes
    an exponent, they stay floats).
    """
    if isinstance(value, dict):
        return {key: as_stored(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [as_stored(item) for item in value]
    return (
        int(value)
        if isinstance(value, float) and abs(value) < 1e21 and value.is_integer()
        else value
    )
