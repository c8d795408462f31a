"""What the values of events look like: curves, histograms, matrices, charts.

Owns the keys that the published client writes, in its order and without those that have no value,
and what is no value of its kind (ValueError). Pure: must not touch a file. Another package is used
only where the program has loaded it already.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from .errors import NotSupported

Json = dict[str, Any]
_MOST_BINS = 512


def to_number(value: Any) -> float:
    """Return one number: Python's own, or a scalar of another library."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"expected a number, found {value!r:.80}")
    return float(value)


def to_list(values: Any) -> list[Any]:
    """Return a list of plain values; arrays and tensors of other libraries are converted."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__iter__"):
        raise TypeError(f"expected a list or an array, found {type(values).__name__}")
    return [_plain(one) for one in values]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no other number
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    for name in ("tolist", "item"):
        if hasattr(value, name):
            return _plain(getattr(value, name)())
    return str(value)


def _to_numbers(values: Any) -> list[Any]:
    return [None if one is None else _plain(to_number(one)) for one in to_list(values)]


def curve(kind: str, x: Any, y: Any, annotation: Any = None) -> Json:
    value = {"kind": kind, "x": _to_numbers(x), "y": _to_numbers(y)}
    if len(value["x"]) != len(value["y"]):
        raise ValueError(f"x has {len(value['x'])} values and y has {len(value['y'])}")
    return {**value, "annotation": str(annotation)} if annotation else value


def confusion(x: Any, y: Any, z: Any) -> Json:
    value = {"x": to_list(x), "y": to_list(y), "z": [to_list(row) for row in to_list(z)]}
    sizes = [len(value["x"]), len(value["y"]), len(value["z"]), *map(len, value["z"])]
    if len(set(sizes)) != 1:
        raise ValueError(
            f"a confusion matrix has as many names as rows and columns; found {sizes[0]} in x, "
            f"{sizes[1]} in y, and rows of {sizes[3:]} in z"
        )
    return value


def counted_histogram(values: Any, counts: Any, most: int | None = None) -> Json:
    """Return a histogram as numpy gives it: how many there are in each bin, and the bins' edges."""
    value = {"values": _to_numbers(values), "counts": _to_numbers(counts)}
    size = len(value["values"])
    if size > (most or _MOST_BINS):
        raise ValueError(f"a histogram has at most {most or _MOST_BINS} bins, found {size}")
    if size + 1 != len(value["counts"]):
        raise ValueError(
            f"a histogram has one more edge than bins; found {size} bins and "
            f"{len(value['counts'])} edges"
        )
    return value


def histogram(values: Any, bins: Any, most: int | None = None) -> Json:
    """Count values in bins: so many of equal width, or those between the given edges."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        counted, limits = numpy.histogram(values, bins=bins)
        return counted_histogram(counted, limits, most)
    if isinstance(bins, str):
        raise NotSupported(f"bins={bins!r} needs the package numpy; say how many bins there are")
    numbers = [one for one in _to_numbers(_flatten(to_list(values))) if one is not None]
    edges = _to_numbers(bins) if hasattr(bins, "__iter__") else _divide(numbers, int(bins))
    if len(edges) > _MOST_BINS + 1:
        raise ValueError(f"a histogram has at most {_MOST_BINS} bins, found {len(edges) - 1}")
    return counted_histogram(_count(numbers, edges), edges, most)


def _flatten(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for one in values:
        found.extend(_flatten(one) if isinstance(one, list) else [one])
    return found


def _divide(numbers: Sequence[float], bins: int) -> list[float]:
    if bins < 1 or bins > _MOST_BINS:
        raise ValueError(f"a histogram has from 1 to {_MOST_BINS} bins, found {bins}")
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return [low + (high - low) * index / bins for index in range(bins)] + [high]


def _count(numbers: Sequence[float], edges: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    for one in numbers:
        if edges[0] <= one <= edges[-1]:
            counts[min(bisect_right(edges, one) - 1, len(counts) - 1)] += 1
    return counts


def without_none(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}
