"""Series that the tracking clients write: a file for each name of a kind, a line for each event.

Owns the format of these files (measured, 2.18.0: `step|timestamp|VALUE` with a header, or one JSON
object a line for text-like kinds), and that a long series is thinned out while it is read. Must not
know HTTP. All functions block.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
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
#: series of one answer, with their bytes.
MOST = 100_000
_MOST_TOGETHER = 500_000
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


def read_text(series: SeriesFile, kind: str, most: int = MOST, among: int = 1) -> str:
    """Return the file's lines, with the header, at most so many events.

    `among`: how many series share one answer.
    """
    lines = [line.decode("utf-8", "replace") for line in _read_lines(series, most, among)]
    return "\n".join(["" if kind in _JSON_LINES else f"step|timestamp|{kind}", *lines])


def read_columns(series: SeriesFile, kind: str, most: int = MOST, among: int = 1) -> Columns:
    """Return the series as `step`, `timestamp` and the kind's own column, of equal length.

    A metric that is not a finite number is None, as is a line that cannot be read. `among`: how
    many series share one answer.
    """
    lines = (line.decode("utf-8", "replace") for line in _read_lines(series, most, among))
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


def _read_lines(series: SeriesFile, most: int, among: int) -> list[bytes]:
    """Return the events: the first, the last, and those between at equal distances."""
    most, size = max(1, min(most, _MOST_TOGETHER // among)), _MOST_BYTES // among
    if not series.restarts:
        return list(_bound(_pick(series, most, size), size))
    # What was replaced is found among so many events, however long the series is.
    sample = _bound(_pick(series, max(most, MOST), _MOST_BYTES), _MOST_BYTES)
    lines = drop_replaced(list(sample), series.restarts)
    most = _limit(most, len(lines), sum(map(len, lines)), size)
    return list(_bound((lines[index] for index in spread(len(lines), most)), size))


def _limit(most: int, count: int, found: int, size: int) -> int:
    """Return how many of `count` events are read, which have `found` bytes, of `size` ones."""
    return max(1, min(most, count * size // found)) if found > size else most


def _pick(series: SeriesFile, most: int, most_bytes: int) -> Iterator[bytes]:
    """Yield at most so many lines, fewer where they are long, and hold none of them."""
    earlier, size = 0, series.place.stat().st_size
    for line in read_earlier(series.earlier, series.place):
        earlier, size = earlier + 1, size + len(line)
    # The first line is the header, or empty.
    both = earlier + max(0, count_lines(series.place) - 1)
    most = _limit(most, both, size, most_bytes)
    if both <= most:
        yield from read_earlier(series.earlier, series.place)
        yield from islice(read_lines(series.place), 1, None)
        return
    wanted = spread(both, most)
    before = bisect_left(wanted, earlier)
    if before:
        kept = set(wanted[:before])
        lines = enumerate(read_earlier(series.earlier, series.place))
        yield from (line for index, line in lines if index in kept)
    yield from pick_lines(series.place, len(wanted) - before)


def _bound(lines: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the events among the lines, without those that would exceed about so many bytes: the
    chosen ones may be the longest, and a file may be replaced by a longer one.
    """
    left = size * 5 // 4
    for line in lines:
        if line.strip() and len(line) < min(LONGEST, left):
            left -= len(line) + 1
            yield line
