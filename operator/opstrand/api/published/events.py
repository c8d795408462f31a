"""Metrics and other series of runs, as the published client reads them: of one run, of several, and
about the machine.

Owns the client's protocol (measured, 2.18.0): `names` and `runs` are separated by commas, `orient`
is `dict` (columns) or `csv` (the file's own text), and a series that is not there is left out. Must
not know how a series is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from opstrand.api.long_json import dump_long
from opstrand.api.published.files import find_files
from opstrand.api.published.request import STREAM, NotAcceptable, parse_number
from opstrand.artifacts.attempts import SUFFIX
from opstrand.artifacts.events import (
    MOST,
    SeriesFile,
    event_path,
    read_columns,
    read_text,
    resource_path,
)
from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.names import MissingFile
from opstrand.runs.protocols import RunNotFound

Series = list[dict[str, Any]]
PathOf = Callable[[str], str]

#: Of several runs. It must be served before STREAM, where `multi` would be a uuid.
_MULTI = "/streams/v1/{namespace}/{owner}/{project}/runs/multi/events/{kind}"
_METRIC = "metric"
#: Runs that one request may ask about.
_MOST_RUNS = 100
#: Series of one answer.
_MOST_SERIES = 50_000
_ORIENTS = ("dict", "csv")


async def read_events(request: web.Request) -> web.Response:
    """The series of one kind of a run."""
    kind = request.match_info["kind"]
    files = await find_files(request)
    return await _answer(await _read(request, files, kind, _paths_of(kind)))


async def read_resources(request: web.Request) -> web.Response:
    """The series about the machine that a run was on."""
    files = await find_files(request)
    return await _answer(await _read(request, files, _METRIC, resource_path))


async def read_events_of_runs(request: web.Request) -> web.Response:
    """The series of one kind of several runs; a run that is not found has none."""
    kind, found = request.match_info["kind"], dict[str, Series]()
    uuids = _split(request, "runs")
    if len(uuids) > _MOST_RUNS:
        raise NotAcceptable(f"runs: expected at most {_MOST_RUNS}, found {len(uuids)}")
    for uuid in uuids:
        try:
            files = await find_files(request, uuid)
        except RunNotFound:
            found[uuid] = []
        else:
            found[uuid] = await _read(request, files, kind, _paths_of(kind), len(uuids))
    return await _answer(found)


async def _answer(data: Series | dict[str, Series]) -> web.Response:
    text = await dump_long({"data": data})
    return web.Response(text=text, content_type="application/json")


def _paths_of(kind: str) -> PathOf:
    return lambda name: event_path(kind, name)


async def _read(
    request: web.Request, files: RunFiles, kind: str, path_of: PathOf, runs: int = 1
) -> Series:
    orient = request.query.get("orient") or "dict"
    if orient not in _ORIENTS:
        raise NotAcceptable(f"orient: expected {' or '.join(_ORIENTS)}, found {orient[:40]!r}")
    most = parse_number(request, "sample", MOST, MOST) or MOST
    names = _split(request, "names")
    return await asyncio.to_thread(read_series, files, kind, path_of, names, orient, most, runs)


def read_series(
    files: RunFiles,
    kind: str,
    path_of: PathOf,
    names: Sequence[str],
    orient: str,
    most: int,
    runs: int = 1,
) -> Series:
    """Those of these series that there are; without names, all of a kind.

    `runs`: how many runs the answer is about. Raises `NotAcceptable` for too many series.
    """
    found: Series = []
    wanted = names or _list_names(files, path_of)
    if len(wanted) > _MOST_SERIES // runs:
        raise NotAcceptable(
            f"names: expected at most {_MOST_SERIES // runs} series of each run, found "
            f"{len(wanted)}; ask for fewer names, or fewer runs, at a time"
        )
    among = max(1, len(wanted)) * runs
    for name in wanted:
        path = path_of(name)
        try:
            series = SeriesFile(files.find_file(path), files.earlier / path, files.restarts)
        except MissingFile:
            continue
        read = read_text if orient == "csv" else read_columns
        found.append({"name": name, "kind": kind, "data": read(series, kind, most, among)})
    return found


def _list_names(files: RunFiles, path_of: PathOf) -> list[str]:
    try:
        tree = files.list_tree(path_of("").rpartition("/")[0])
    except MissingFile:
        return []
    return [name.removesuffix(SUFFIX) for name in tree.files if name.endswith(SUFFIX)]


def _split(request: web.Request, name: str) -> list[str]:
    given = request.query.get(name, "").split(",")
    return list(dict.fromkeys(one.strip() for one in given if one.strip()))


ROUTES = [
    web.get(_MULTI, read_events_of_runs),
    web.get(STREAM + "/events/{kind}", read_events),
    web.get(STREAM + "/resources", read_resources),
]
