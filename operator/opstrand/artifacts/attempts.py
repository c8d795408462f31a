"""What earlier attempts of a run wrote to a series, which the file of a later one would replace.

An attempt starts with an empty folder, so its file does not continue the one that is kept. That one
is set aside, and counts up to the first step of its successor. A resumed attempt continues the
file, which the time of the restart divides. Owns when a file continues another. Must not know HTTP.
All functions block.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path

from opstrand.artifacts.lines import read_lines

#: Folders of a run that have series, and what their files end with.
FOLDERS = ("events/", "resources/")
SUFFIX = ".plx"
#: Bytes in which two files differ that were not begun by the same program: the header and a time.
_HEAD = 256
#: Lines at the start of a file in which its first step is.
_FIRST = 1000


def is_series(path: str) -> bool:
    """Whether the path in a run's folder is that of a series."""
    return path.startswith(FOLDERS) and path.endswith(SUFFIX)


def set_aside(kept: Path, later: Path, earlier: Path) -> None:
    """Add a kept series to what earlier attempts wrote, if `later` does not continue it."""
    try:
        size = kept.stat().st_size
    except FileNotFoundError:
        return
    head = _read_head(kept)
    if not size or _read_head(later)[: len(head)] == head:
        return
    earlier.parent.mkdir(parents=True, exist_ok=True)
    written = earlier.with_name(f"{earlier.name}.new")
    with written.open("wb") as file:
        # Line by line: both files may be larger than the memory.
        for line in chain(read_earlier(earlier, kept), _read_events(kept)):
            file.write(line + b"\n")
    os.replace(written, earlier)


def read_earlier(earlier: Path, later: Path) -> Iterator[bytes]:
    """Yield the events of earlier attempts that the later file does not replace."""
    if not earlier.exists():
        return
    first = _find_first_step(later)
    for line in _read_events(earlier):
        step = read_step(line)
        if first is None or step is None or step < first:
            yield line


def drop_replaced(lines: Sequence[bytes], restarts: Sequence[str]) -> list[bytes]:
    """Return the events without those that a later attempt replaced: from its first step on.

    `restarts`: the times after which a later attempt wrote, in their order.
    """
    kept = list(lines)
    for restart in filter(None, map(_parse_time, restarts)):
        times = (_parse_time(_read_timestamp(line)) for line in kept)
        later = (at for at, time in enumerate(times) if time is not None and time >= restart)
        start = next(later, len(kept))
        first = next((one for one in map(read_step, kept[start:]) if one is not None), None)
        if first is not None:
            before = ((line, read_step(line)) for line in kept[:start])
            kept[:start] = [line for line, step in before if step is None or step < first]
    return kept


def _read_timestamp(line: bytes) -> str:
    if not line.startswith(b"{"):
        return line.split(b"|", 2)[1].decode("utf-8", "replace") if b"|" in line else ""
    try:
        return str(json.loads(line).get("timestamp"))
    except (ValueError, AttributeError, RecursionError):
        return ""


def _parse_time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def read_step(line: bytes) -> float | None:
    """Return the step of an event; None if it has none."""
    try:
        if line.startswith(b"{"):
            event = json.loads(line)
            step = event.get("step")
        else:
            step = line.partition(b"|")[0]
        return float(step)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _read_events(place: Path) -> Iterator[bytes]:
    for line in read_lines(place):
        if line.strip() and not line.startswith(b"step|"):
            yield line


def _find_first_step(place: Path) -> float | None:
    steps = map(read_step, islice(_read_events(place), _FIRST))
    return next((one for one in steps if one is not None), None)


def _read_head(place: Path) -> bytes:
    with place.open("rb") as file:
        return file.read(_HEAD)
