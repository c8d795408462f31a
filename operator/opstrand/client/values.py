"""How values of a program become names and JSON that the API stores. The standard library only."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any


def to_name(name: str) -> str:
    """Spell a key as the published client does: ASCII letters, and no separators."""
    if not name:
        raise ValueError("a name is required")
    text = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode("ascii")
    text = re.sub(r"[^\w\\/.\s-]", "", text).strip()
    return re.sub(r"[-.\s]+", "-", re.sub(r"[\\/]+", "__", text))


def to_json(value: Any) -> Any:
    """Convert to a value that JSON can hold.

    Numbers of other libraries become Python's, and a value that has no JSON becomes its text.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(item) for item in value]
    for convert in ("tolist", "item", "isoformat"):  # arrays, scalars, times
        method = getattr(value, convert, None)
        if callable(method):
            return to_json(method())
    return str(value)
