"""Metrics and other series that a run logged.

Must not know how a series is stored: `artifacts.events` does.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.events import read_series
from opstrand.api.published.files import open_run_files
from opstrand.api.v1.answers import answer_long_json
from opstrand.api.v1.models import Series, SeriesList, SeriesQuery
from opstrand.api.v1.request import find_run, parse_query
from opstrand.artifacts.events import event_path, resource_path


async def read_events(request: web.Request) -> web.Response:
    query, kind = parse_query(request, SeriesQuery), request.match_info["kind"]
    body = await find_run(request, Verb.READ_ARTIFACTS)
    files = await open_run_files(request, body)
    names = list(dict.fromkeys(one.strip() for one in query.names.split(",") if one.strip()))

    def path_of(name: str) -> str:
        return resource_path(name) if query.resources == "true" else event_path(kind, name)

    def read() -> dict[str, Any]:
        found = read_series(files, kind, path_of, names, "dict", query.sample)
        # One by one: while a model is written, no other thread runs.
        items = [Series(name=one["name"], columns=one["data"]).as_json() for one in found]
        return {**SeriesList(items=[]).as_json(), "items": items}

    return await answer_long_json(request, await asyncio.to_thread(read))
