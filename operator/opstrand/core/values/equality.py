"""Whether values are equal, as a text that is the same for equal values and for no others.

Owns that text: looking up a value among many takes one look, not one comparison with each. Equal is
what Python calls equal: 1, 1.0 and true are, `1` and "1" are not, and the order of a mapping's keys
does not matter. The text is hashed with a secret of the process, as numbers are not: no file can be
made whose values all meet in one place. Must not know types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def equality_key(value: Any) -> str:
    """The same text for values that are equal, and for no others.

    Values are JSON, nested less deeply than the interpreter allows.
    """
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{equality_key(key)}:{equality_key(item)}' for key, item in value.items()))}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(equality_key, value))}]"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, bool | int) or (
        isinstance(value, float) and math.isfinite(value) and value.is_integer()
    ):
        return str(int(value))
    return repr(value)
