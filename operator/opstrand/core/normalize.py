"""Convert an object to the form in which a cluster returns it.

So a file runs the same without a cluster.

Owns what the API server does to any JSON that it stores. Must not know what the object means.
"""

from __future__ import annotations

from typing import Any


def as_stored(value: Any) -> Any:
    """Return keys in alphabetical order, sequences as lists, whole floats as integers.

    Floats that Go writes with an exponent stay floats.
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
