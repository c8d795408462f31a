"""The methods of `RunClient` that write and read metrics.

Owns that a point goes into its file at once, and its last value to the outputs a little later. Must
not know how a file is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .batch import Report
from .environment import context_root
from .event_values import to_number
from .guard import guard_reports
from .series import MOST_NAME, Series
from .spool import Spool
from .values import to_json, to_name

if TYPE_CHECKING:
    from .connection import Connection

Json = dict[str, Any]
#: Seconds until the last value of a metric is among the outputs. The end of a run sends it anyway.
METRICS_WITHIN = 10.0
#: Names that are kept as a file has them.
_MOST_NAMES = 10_000


@guard_reports
class Metrics:
    """The part of `RunClient` that is about metrics."""

    run_uuid: str
    owner: str
    project: str

    if TYPE_CHECKING:
        # What `RunClient` gives these methods.
        _connection: Connection
        _spool: Spool

        @property
        def _is_idle(self) -> bool: ...
        @property
        def namespace(self) -> str: ...

    def __init__(self) -> None:
        self._series: tuple[str, Series] | None = None
        self._names: dict[str, str] = {}
        self._marks: set[str] = set()

    def log_metric(
        self, name: str, value: float, step: int | None = None, timestamp: Any = None
    ) -> None:
        """Append a point to a metric; its last value is among the outputs."""
        self._log_points(((name, value),), step, timestamp)

    def log_metrics(self, step: int | None = None, timestamp: Any = None, **metrics: float) -> None:
        """Append a point to each of several metrics."""
        self._log_points(metrics.items(), step, timestamp)

    def _log_points(self, points: Iterable[tuple[str, Any]], step: Any, timestamp: Any) -> None:
        if self._is_idle:
            return
        problem: Exception | None = None
        values = {}
        for name, value in points:
            try:
                values[self._to_name(name)] = to_number(value)
            except Exception as error:  # the other points are good
                problem = error
        if values:
            report = Report().values("outputs", {name: to_json(values[name]) for name in values})
            self._mark(report, "has_metrics", "has_events")
            self._spool.add(report, within=METRICS_WITHIN)
            self._open_series().append(values, step, timestamp)
        if problem is not None:
            raise problem

    def _mark(self, report: Report, *marks: str) -> Report:
        """Add to a report what kinds of events the run has, once."""
        if not self._marks.issuperset(marks):
            self._marks.update(marks)
            report.values("meta_info", dict.fromkeys(marks, True))
        return report

    def _to_name(self, name: Any) -> str:
        """Return a name as files have it. Raises ValueError."""
        known = self._names.get(name) if type(name) is str else None
        if known is not None:
            return known
        found = to_name(name)
        if not found:
            raise ValueError(f"a name needs a letter or a digit of ASCII, found {name!r:.80}")
        if len(found) > MOST_NAME:
            raise ValueError(
                f"a name has at most {MOST_NAME} characters; {found[:40]}... has {len(found)}"
            )
        if len(self._names) < _MOST_NAMES and type(name) is str:
            self._names[name] = found
        return found

    def _open_series(self) -> Series:
        folder = self._events_folder()
        before = self._series
        if before is not None and before[0] == folder:
            return before[1]
        series = Series(folder)
        self._series = (folder, series)
        if before is not None:
            before[1].close()
        return series

    def _events_folder(self) -> str:
        return os.path.join(context_root(), "artifacts", self.run_uuid)

    def get_events(
        self, kind: str, names: Sequence[str] | str = (), orient: str | None = None, **ignored: Any
    ) -> Json:
        """Return the series of a kind (`metric`, `text`, ...); of no name, all of the kind.

        `data` has a name and columns for each; with `orient="csv"`, the text of its file.
        """
        return self._read_series(f"{self.run_uuid}/events/{quote(kind, safe='')}", names, orient)

    def get_multi_run_events(
        self,
        kind: str,
        runs: Sequence[str] | str,
        names: Sequence[str] | str = (),
        orient: str | None = None,
        **ignored: Any,
    ) -> Json:
        """Return the series of a kind of several runs, by the uuid of each."""
        path = f"multi/events/{quote(kind, safe='')}"
        return self._read_series(path, names, orient, runs=_join(runs))

    def _read_series(
        self, path: str, names: Sequence[str] | str, orient: str | None, **more: str
    ) -> Json:
        where = "/".join(quote(one, safe="") for one in (self.namespace, self.owner, self.project))
        query = {"names": _join(names), "orient": orient or "dict", **more}
        if self._is_idle:
            return {"data": []}
        answer: Json = self._connection.request(
            "GET", f"/streams/v1/{where}/runs/{path}", query=query
        )
        return answer

    def get_metrics(self, names: Sequence[str] | str = (), **ignored: Any) -> Json:
        """Return the history of metrics by name, each with columns of equal length."""
        return {one["name"]: one for one in self.get_events("metric", names)["data"]}


def _join(names: Sequence[str] | str) -> str:
    return names if isinstance(names, str) else ",".join(names)
