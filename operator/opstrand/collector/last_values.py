"""The last value of each metric in the run's folder, which becomes an output of the run.

Owns how it is read (the end of a file, however long that is) and that nothing is written which the
run has already reported. Must not decide when this is done.
"""

from __future__ import annotations

import os
from typing import Any

from ..client.connection import Connection
from ..client.environment import Instance
from .scan import Found

_FOLDER, _SUFFIX = "events/metric/", ".plx"
#: Bytes at the end of a file in which its last line is.
_TAIL = 4096

Values = dict[str, Any]


def read_last_values(files: list[Found]) -> Values:
    """Return the last value of each metric: a number, or the text of one that JSON cannot hold."""
    found = {}
    for file in files:
        name = file.path[len(_FOLDER) : -len(_SUFFIX)]
        if file.path == f"{_FOLDER}{name}{_SUFFIX}" and name and "/" not in name:
            value = _read_last(file.place)
            if value is not None:
                found[name] = value
    return found


def _read_last(place: str) -> Any:
    try:
        with open(place, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    last = next((line for line in reversed(lines) if line.strip()), "").split("|", 2)
    return _as_number(last[2]) if len(last) == 3 and last[0] != "step" else None


def _as_number(text: str) -> Any:
    for convert in (int, float):
        try:
            value = convert(text)
        except ValueError:
            continue
        return value if abs(value) < float("inf") else text.strip()
    return None


def report_last_values(
    connection: Connection, run: Instance, values: Values, patience: float
) -> None:
    """Add those to the outputs that are not there with this value. Raises ClientError."""
    path = f"/api/v1/{run.owner}/{run.project}/runs/{run.uuid}"
    known = connection.request("GET", path, patience=patience).get("outputs") or {}
    news = {name: value for name, value in values.items() if known.get(name) != value}
    if news:
        body = {"outputs": news, "merge": True}
        connection.request("PATCH", path, body=body, patience=patience)
