"""Metrics as lines of characters: a chart for each metric, a line for each run.

Owns what is on the axes, and that a value which is no number is a gap. Must not fetch anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: Characters of lines, where several are in one chart; a single one is drawn more finely.
_MARKERS = ("•", "x", "o", "+", "*", "#", "@", "%")
_SINGLE = "braille"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_LEAST_WIDTH = 30

Number = int | float


@dataclass(frozen=True)
class History:
    """A metric of a run: lists of equal length."""

    run: str
    uuid: str
    name: str
    steps: Sequence[Number | None]
    timestamps: Sequence[str | None]
    values: Sequence[Number | None]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "steps": list(self.steps),
            "timestamps": list(self.timestamps),
            "values": list(self.values),
        }


def by_metric(histories: Sequence[History]) -> dict[str, list[History]]:
    """Group the histories by their metric, in the order of its name."""
    found: dict[str, list[History]] = {}
    for one in sorted(histories, key=lambda history: history.name):
        found.setdefault(one.name, []).append(one)
    return found


def draw_chart(name: str, histories: Sequence[History], width: int, height: int) -> str:
    """Draw the histories of one metric; their runs are named if there are several."""
    import plotext

    axis, places = _choose_axis(histories)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(max(width, _LEAST_WIDTH), height)
    plotext.title(name)
    plotext.xlabel(axis)
    is_single = len(histories) == 1
    for index, one in enumerate(histories):
        marker = _SINGLE if is_single else _MARKERS[index % len(_MARKERS)]
        label = None if is_single else one.run
        for xs, ys in _split(places[index], one.values):
            plotext.plot(xs, ys, marker=marker, label=label)
            label = None
    lines = _ESCAPES.sub("", str(plotext.build())).splitlines()
    plotext.clear_figure()
    return "\n".join(line.rstrip() for line in lines)


def has_numbers(history: History) -> bool:
    return any(value is not None for value in history.values)


def _choose_axis(histories: Sequence[History]) -> tuple[str, list[list[Number]]]:
    """Return the name of the axis, and where each point of each history is on it."""
    steps = [_all_known(one.steps) for one in histories]
    if None not in steps:
        return "step", [one for one in steps if one is not None]
    times = [_all_known(map(_parse_time, one.timestamps)) for one in histories]
    if None not in times:
        return "seconds", [[time - one[0] for time in one] for one in times if one is not None]
    return "point", [list(range(len(one.values))) for one in histories]


def _all_known(numbers: Iterable[Number | None]) -> list[Number] | None:
    """Return the numbers; None if one of them is not known."""
    found = list(numbers)
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else None


def _parse_time(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return None


def _split(
    places: Sequence[Number], values: Sequence[Number | None]
) -> Iterator[tuple[list[Number], list[Number]]]:
    """Yield the parts between gaps."""
    xs: list[Number] = []
    ys: list[Number] = []
    for place, value in zip(places, values, strict=True):
        if value is not None:
            xs.append(place)
            ys.append(value)
        elif xs:
            yield xs, ys
            xs, ys = [], []
    if xs:
        yield xs, ys


def as_rows(histories: Sequence[History]) -> Iterator[list[Any]]:
    """Yield run, metric, step, timestamp and value of each point; empty where there is none."""
    for one in histories:
        for step, timestamp, value in zip(one.steps, one.timestamps, one.values, strict=True):
            yield [
                one.run,
                one.name,
                *("" if part is None else part for part in (step, timestamp, value)),
            ]


def group_by_run(histories: Sequence[History], runs: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return each run with its metrics. `runs`: their names by uuid."""
    return [
        {
            "run": name,
            "uuid": uuid,
            "metrics": [one.as_json() for one in histories if one.uuid == uuid],
        }
        for uuid, name in runs.items()
    ]
