"""Series that the tracking clients write: a file for each name of a kind, a line for each event.

Owns the format of these files (measured, 2.18.0: `step|timestamp|VALUE` with a header, or one JSON
object a line for text-like kinds), and that a long series is thinned out while it is read. Must not
know HTTP. All functions block.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Kinds whose files have a JSON object in each line.
_JSON_LINES = frozenset({"html", "text", "chart", "span"})
_METRIC = "metric"
SUFFIX = ".plx"
#: The most events of one series that are read at a time: at 100 bytes each, 10 MB.
MOST = 100_000
_BLOCK = 1024 * 1024

Columns = dict[str, list[Any]]


def event_path(kind: str, name: str) -> str:
    """Return the path of a series in the run's folder."""
    return f"events/{kind}/{name}{SUFFIX}"


def resource_path(name: str) -> str:
    """Return the path of a series about the machine, such as its memory."""
    return f"resources/{_METRIC}/{name}{SUFFIX}"


def read_text(place: Path, most: int = MOST) -> str:
    """Return the file's lines, with the header, at most so many events."""
    return "\n".join(_read_lines(place, most))


def read_columns(place: Path, kind: str, most: int = MOST) -> Columns:
    """Return the series as `step`, `timestamp` and the kind's own column, of equal length.

    A metric that is not a finite number is None, as is a line that cannot be read.
    """
    if kind in _JSON_LINES:
        return _read_json(_read_lines(place, most), kind)
    columns: Columns = {"step": [], "timestamp": [], kind: []}
    for line in _read_lines(place, most):
        if line.startswith("step|"):
            continue
        step, timestamp, value = (*line.split("|", 2), "", "")[:3]
        columns["step"].append(_as_number(step))
        columns["timestamp"].append(timestamp or None)
        columns[kind].append(_as_number(value) if kind == _METRIC else value)
    return columns


def _read_json(lines: Iterator[str], kind: str) -> Columns:
    columns: Columns = {"timestamp": [], "step": [], kind: []}
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        for key, column in columns.items():
            column.append(event.get(key) if isinstance(event, dict) else None)
    return columns


def _as_number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_lines(place: Path, most: int) -> Iterator[str]:
    """Yield the lines that are not empty: the first, the last, and at equal distances between."""
    stride = max(1, math.ceil(_count_lines(place) / max(1, most)))
    last, index = "", -1
    with place.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for index, line in enumerate(one for one in file if not one.isspace()):
            last = line.rstrip("\n")
            if index % stride == 0:
                yield last
    if index % stride:
        yield last


def _count_lines(place: Path) -> int:
    count = 0
    with place.open("rb") as file:
        while block := file.read(_BLOCK):
            count += block.count(b"\n")
    return count
