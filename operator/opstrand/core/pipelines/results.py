"""The results of a matrix as its status keeps them: one number for each run, and the best run.

Owns the compact text of results and of promotions. Must not know what a run is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from opstrand.core.pipelines.early_stopping import read_number

_PROMOTION = re.compile(r"(\d{1,6})<(\d{1,6})")


def read_result(outputs: Mapping[str, Any], metric: str) -> float | None:
    """Return the number that a run reported under the metric's name."""
    return read_number(outputs.get(metric))


def write_results(results: Mapping[int, float]) -> str:
    """Return the numbers by index, with commas between: `0.25,,0.3`."""
    if not results:
        return ""
    return ",".join(
        _write(results[index]) if index in results else "" for index in range(max(results) + 1)
    )


def _write(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def read_results(text: object, total: int) -> dict[int, float]:
    """Read the numbers of a status; what is not a number does not count."""
    found: dict[int, float] = {}
    for index, word in enumerate(str(text or "").split(",")[:total]):
        value = _read(word)
        if value is not None:
            found[index] = value
    return found


def _read(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def write_promotions(origins: Mapping[int, int]) -> str:
    """Return each promoted run with the one that it continues: `9<3 10<0`."""
    return " ".join(f"{index}<{origin}" for index, origin in sorted(origins.items()))


def read_promotions(text: object, total: int) -> dict[int, int]:
    """Read the promotions of a status; a run continues an earlier one."""
    pairs = (_PROMOTION.fullmatch(word) for word in str(text or "").split())
    found = {int(pair[1]): int(pair[2]) for pair in pairs if pair}
    return {index: origin for index, origin in found.items() if origin < index < total}


def find_best(results: Mapping[int, float], *, minimize: bool) -> int | None:
    """Return the index of the best result; the lower one if two are equal."""
    if not results:
        return None
    return min(results, key=lambda index: (results[index] if minimize else -results[index], index))
