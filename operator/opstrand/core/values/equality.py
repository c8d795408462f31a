"""Compare values by a text that is the same for equal values only.

Owns that text: finding a value among many takes one look-up, not one comparison with each. Equality
is Python's: 1, 1.0 and true are equal, `1` and "1" are not, and the order of a mapping's keys does
not matter. Python hashes texts with a secret of the process, unlike numbers: no file can be crafted
whose values all collide. Must not know types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def equality_key(value: Any) -> str:
    """Return a text that is the same for equal values only.

    Values are JSON, nested less deeply than the interpreter allows.
    """
    if isinstance(value, Mapping):
        return f"""{{{
            ",".join(
                sorted(f"{equality_key(key)}:{equality_key(item)}" for key, item in value.items())
            )
        }}}"""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(equality_key, value))}]"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, bool | int) or (
        isinstance(value, float) and math.isfinite(value) and value.is_integer()
    ):
        return str(int(value))
    return repr(value)
