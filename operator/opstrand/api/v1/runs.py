"""Lists of runs, page by page, and one run.

Owns the order and the cursor of a list.
"""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Iterable

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.request import RUNS, NotAcceptable
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.models import PAGE, ListMetadata, ListQuery, Run, RunList, RunMetadata
from opstrand.api.v1.request import find_project, find_run, parse_query, require
from opstrand.core.packed import STATUS, is_large
from opstrand.core.phase import Phase
from opstrand.core.recorded import read_status
from opstrand.runs.bodies import phase, run_uuid
from opstrand.runs.labels import NoSelector, parse_selector
from opstrand.runs.protocols import Listed
from opstrand.types import Body

_FIELD = "status.phase="
#: The keys of a status that a list shows: all but the values, which may be large.
_SHOWN = frozenset((*STATUS, "name", "tags", "progress"))

#: Where a run stands in the order of a list: the newest first.
Place = tuple[str, str]


async def list_runs(request: web.Request) -> web.Response:
    query = parse_query(request, ListQuery)
    project = await find_project(request, Verb.LIST_RUNS)
    return _answer_page(request, await request.app[RUNS].list(project), query)


async def list_all_runs(request: web.Request) -> web.Response:
    query = parse_query(request, ListQuery)
    await require(request, Verb.LIST_RUNS, "")
    runs = request.app[RUNS]
    listed = [one for project in await runs.projects() for one in await runs.list(project)]
    return _answer_page(request, listed, query)


async def get_run(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.GET_RUN)
    return answer_json(request, view(body).as_json())


def view(body: Body) -> Run:
    """The run as its own path shows it."""
    return Run(
        metadata=RunMetadata.model_validate(body["metadata"]),
        spec=dict(body.get("spec") or {}),
        status={**read_status(body), "uuid": run_uuid(body)},
    )


def _view_listed(body: Body) -> Run:
    status = {key: value for key, value in read_status(body).items() if key in _SHOWN}
    return Run(
        metadata=RunMetadata.model_validate(body["metadata"]),
        status={**status, "uuid": run_uuid(body)},
    )


def _answer_page(request: web.Request, runs: Iterable[Listed], query: ListQuery) -> web.Response:
    after = _parse_cursor(query.more) if query.more else None
    limit = min(query.limit or PAGE, PAGE)
    meant = [
        (place, one)
        for one in _choose(runs, query)
        if (place := _place(one.head)) and (after is None or place < after)
    ]
    shown = heapq.nlargest(limit, meant, key=lambda pair: pair[0])
    left = len(meant) - len(shown)
    more = _write_cursor(shown[-1][0]) if left else None
    metadata = ListMetadata(more=more, remainingItemCount=left or None)
    items = [_view_listed(one.head) for _, one in shown]
    return answer_json(request, RunList(metadata=metadata, items=items).as_json())


def _choose(runs: Iterable[Listed], query: ListQuery) -> Iterable[Listed]:
    """The runs that have the labels and the phase. Raises `NotAcceptable`."""
    wanted = _parse_phase(query.field_selector)
    try:
        matches = parse_selector(query.label_selector)
    except NoSelector as error:
        raise NotAcceptable(
            f"labelSelector: {str(error)[:100]!r} is none: expected KEY=VALUE, KEY!=VALUE, KEY, "
            "!KEY or KEY in (VALUE, ...)"
        ) from None
    for one in runs:
        if wanted and phase(one.head) is not wanted:
            continue
        # A head lacks the labels that users gave.
        body = one.whole if query.label_selector and is_large(one.head) else one.head
        if matches(body["metadata"].get("labels") or {}):
            yield one


def _parse_phase(text: str) -> Phase | None:
    """The phase of a field selector; None for an empty one. Raises `NotAcceptable`."""
    if not text:
        return None
    try:
        return Phase(text.removeprefix(_FIELD) if text.startswith(_FIELD) else "")
    except ValueError:
        names = ", ".join(phase.value for phase in Phase)
        raise NotAcceptable(
            f"fieldSelector: {text[:100]!r} is none: expected {_FIELD} and one of {names}"
        ) from None


def _place(body: Body) -> Place:
    return str(body["metadata"].get("creationTimestamp") or ""), run_uuid(body)


def _write_cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(" ".join(place).encode()).decode().rstrip("=")


def _parse_cursor(text: str) -> Place:
    try:
        read = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        read = ""
    at, space, uuid = read.partition(" ")
    if not space:
        raise NotAcceptable("continue: expected what the page before gave as metadata.continue")
    return at, uuid
