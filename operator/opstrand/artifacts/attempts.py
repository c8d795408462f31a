"""What earlier attempts of a run wrote to a series, which the file of a later one would replace.

An attempt starts with an empty folder, so its file does not continue the one that is kept. That one
is set aside, and counts up to the first step of its successor. Owns when a file continues another.
Must not know HTTP. All functions block.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
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
    lines = [*read_earlier(earlier, kept), *_read_events(kept)]
    earlier.parent.mkdir(parents=True, exist_ok=True)
    written = earlier.with_name(f"{earlier.name}.new")
    written.write_bytes(b"\n".join(lines))
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


def read_step(line: bytes) -> float | None:
    """Return the step of an event; None if it has none."""
    try:
        if line.startswith(b"{"):
            event = json.loads(line)
            step = event.get("step")
        else:
            step = line.partition(b"|")[0]
        return float(step)
    except (ValueError, TypeError, AttributeError):
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
