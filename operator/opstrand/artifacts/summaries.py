"""What the lineage table says of the series in a run's folder, as the published sidecar reports it.

Owns the keys of such a summary (measured, 2.18.0), and that a file is read once for each of its
states. The quartiles and the mean of a very long series are those of its evenly spread points. Must
not know HTTP. All functions block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from opstrand.artifacts.attempts import SUFFIX
from opstrand.artifacts.events import SeriesFile, read_columns
from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.lines import count_lines
from opstrand.artifacts.names import MissingFile

Summary = dict[str, Any]
_METRIC, _SYSTEM = "metric", "system"
#: The folder of the series about the machine, of which the lineage table shows another kind.
_MACHINE = f"resources/{_METRIC}"
#: Series of one run that are read, and points of each.
_MOST = 1000
_MOST_POINTS = 50_000


def list_series(files: RunFiles, only: str | None = None) -> list[Summary]:
    """Return an entry of the lineage table for each series: `name`, `kind`, `path`, `summary`.

    `only`: the name of those that are wanted. Of all, the first ones are read.
    """
    found: list[Summary] = []
    for folder, kind, name in islice(_iter_series(files, only), _MOST):
        path = f"{folder}/{name}{SUFFIX}"
        try:
            place = files.find_file(path)
            facts = place.stat()
            series = SeriesFile(place, files.earlier / path, files.restarts)
            summary = _summarize(series, kind, facts.st_size, facts.st_mtime_ns)
        except (MissingFile, FileNotFoundError):
            continue  # deleted since
        if summary is not None:
            listed = _SYSTEM if folder == _MACHINE else kind
            found.append({"name": name, "kind": listed, "path": path, "summary": summary})
    return found


def _iter_series(files: RunFiles, only: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield the folder, the kind and the name of each series."""
    try:
        kinds = files.list_tree("events").folders
    except MissingFile:
        kinds = []
    for folder, kind in (*((f"events/{kind}", kind) for kind in kinds), (_MACHINE, _METRIC)):
        for name in _list_names(files, folder):
            if only in (None, name):
                yield folder, kind, name


def _list_names(files: RunFiles, folder: str) -> list[str]:
    try:
        names = files.list_tree(folder).files
    except MissingFile:
        return []
    return [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]


@lru_cache(maxsize=4096)
def _summarize(series: SeriesFile, kind: str, size: int, changed: int) -> Summary | None:
    """Summarize a file of this size and time; None if it has no event."""
    columns = read_columns(series, kind, _MOST_POINTS)
    steps = [step for step in columns["step"] if step is not None]
    times = [time for time in columns["timestamp"] if time]
    if not columns["step"]:
        return None
    count = len(columns["step"])
    summary: Summary = {"is_event": True}
    if count >= _MOST_POINTS:
        count = count_lines(series.place) - 1
    if steps:
        number = count if len(steps) == len(columns["step"]) else len(steps)
        summary["step"] = {"count": number, "min": steps[0], "max": steps[-1]}
    if times:
        summary["timestamp"] = {"min": _as_iso(times[0]), "max": _as_iso(times[-1])}
    if kind == _METRIC:
        summary[_METRIC] = {**_describe(columns[kind], count), "last": columns[kind][-1]}
    return summary


def _describe(values: Sequence[float | None], count: int) -> Summary:
    known = sorted(value for value in values if value is not None)
    if not known:
        return {"count": 0}
    mean = math.fsum(known) / len(known)
    spread = math.fsum((one - mean) ** 2 for one in known)
    return {
        "count": count if len(known) == len(values) else len(known),
        "mean": mean,
        "std": math.sqrt(spread / (len(known) - 1)) if len(known) > 1 else None,
        "min": known[0],
        "25%": _quantile(known, 0.25),
        "50%": _quantile(known, 0.5),
        "75%": _quantile(known, 0.75),
        "max": known[-1],
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = (len(ordered) - 1) * share
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def _as_iso(timestamp: str) -> str:
    return timestamp.replace(" ", "T", 1)
