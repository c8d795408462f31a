"""Series that the tracking clients write: a file for each name of a kind, a line for each event.

Owns the format of these files (measured, 2.18.0: `step|timestamp|VALUE` with a header, or one JSON
object a line for text-like kinds), and that a long series is thinned out while it is read. Must not
know HTTP. All functions block.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from opstrand.artifacts.attempts import SUFFIX, drop_replaced, read_earlier
from opstrand.artifacts.lines import LONGEST, count_lines, pick_lines, read_lines, spread

#: Kinds whose files have a JSON object in each line.
_JSON_LINES = frozenset({"html", "text", "chart", "span"})
_METRIC = "metric"
#: The most events of one series that are read at a time: at 100 bytes each, 10 MB. And of all
#: series of one answer, with the bytes of one series.
MOST = 100_000
MOST_TOGETHER = 500_000
_MOST_BYTES = 32 * 1024 * 1024

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class SeriesFile:
    """Where a series is: the file of the last attempt, and one with what earlier ones wrote.

    `restarts`: the times at which attempts began that may continue the file of an earlier one.
    """

    place: Path
    earlier: Path
    restarts: tuple[str, ...] = ()


def event_path(kind: str, name: str) -> str:
    """Return the path of a series in the run's folder."""
    return f"events/{kind}/{name}{SUFFIX}"


def resource_path(name: str) -> str:
    """Return the path of a series about the machine, such as its memory."""
    return f"resources/{_METRIC}/{name}{SUFFIX}"


def read_text(series: SeriesFile, kind: str, most: int = MOST) -> str:
    """Return the file's lines, with the header, at most so many events."""
    lines = [line.decode("utf-8", "replace") for line in _read_lines(series, most)]
    return "\n".join(["" if kind in _JSON_LINES else f"step|timestamp|{kind}", *lines])


def read_columns(series: SeriesFile, kind: str, most: int = MOST) -> Columns:
    """Return the series as `step`, `timestamp` and the kind's own column, of equal length.

    A metric that is not a finite number is None, as is a line that cannot be read.
    """
    lines = (line.decode("utf-8", "replace") for line in _read_lines(series, most))
    if kind in _JSON_LINES:
        return _read_json(lines, kind)
    columns: Columns = {"step": [], "timestamp": [], kind: []}
    for line in lines:
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
        except (ValueError, RecursionError):
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


def _read_lines(series: SeriesFile, most: int) -> list[bytes]:
    """Return the events: the first, the last, and those between at equal distances."""
    earlier = list(read_earlier(series.earlier, series.place))
    if series.restarts:
        events = (*earlier, *islice(read_lines(series.place), 1, None))
        return _choose(drop_replaced([one for one in events if one.strip()], series.restarts), most)
    # The first line is the header, or empty.
    count = max(0, count_lines(series.place) - 1)
    size, both = series.place.stat().st_size + sum(map(len, earlier)), len(earlier) + count
    if size > _MOST_BYTES:
        most = max(1, min(most, both * _MOST_BYTES // size))
    if both > most:
        wanted = spread(both, most)
        earlier = [earlier[index] for index in wanted if index < len(earlier)]
        own: Iterable[bytes] = pick_lines(series.place, len(wanted) - len(earlier))
    else:
        own = islice(read_lines(series.place), 1, None)
    return [line for line in (*earlier, *own) if line.strip() and len(line) < LONGEST]


def _choose(lines: list[bytes], most: int) -> list[bytes]:
    size = sum(map(len, lines))
    if size > _MOST_BYTES:
        most = max(1, min(most, len(lines) * _MOST_BYTES // size))
    chosen = (lines[index] for index in spread(len(lines), most))
    return [line for line in chosen if len(line) < LONGEST]
