"""What the operator asks: whole runs whose Operation may be gone, as lines of JSON.

Owns the path and the two questions, by uuid and by a query. Its callers need the rights to get and
to list the Operations of the namespace. Not part of the documented API: both sides are of one
version, or the operator does without.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from opstrand.api.auth.callers import Forbidden, Verb
from opstrand.api.published.listing import Searched
from opstrand.api.published.request import AUTH, CALLER, OWNER, parse_body
from opstrand.controller.slim import slim
from opstrand.core.limits import QUERY
from opstrand.core.names import GROUP, is_namespace
from opstrand.core.packed import unpack
from opstrand.kube.resources import OPERATIONS
from opstrand.runs.protocols import Found, Search
from opstrand.types import Body

PATH = "/operator/v1/namespaces/{namespace}/runs"
#: The most runs of one answer, and the bytes after which it ends.
_PAGE = 500
_BYTES = 8 * 1024 * 1024


class Records(Protocol):
    """What is asked: `runs.keeper.KeptRuns`."""

    async def record(self, project: str, uuid: str) -> Body | None: ...

    async def search_gone(self, project: str, search: Search) -> Found: ...


class Question(BaseModel):
    """By `uuid`, or a page of what `query` selects of the runs that have no object."""

    model_config = ConfigDict(extra="forbid")

    uuid: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    query: Annotated[str, Field(max_length=QUERY)] = ""
    sort: Annotated[str, Field(max_length=QUERY)] = ""
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=_PAGE)] = _PAGE


def make_routes(records: Records) -> Sequence[web.RouteDef]:
    """The routes of an API that has a store."""

    async def answer(request: web.Request) -> web.Response:
        project = request.match_info["namespace"]
        question = await parse_body(request, Question)
        await _require(request, Verb.LIST if question.uuid is None else Verb.READ, project)
        if question.uuid is not None:
            body = await records.record(project, question.uuid)
            return _answer([] if body is None else [_to_line(body)], has_more=False)
        search = Search(
            question.query or None,
            question.sort or None,
            question.offset,
            question.limit,
            lambda run: Searched(run, request.app[OWNER]),
        )
        found = await records.search_gone(project, search)
        lines = await asyncio.to_thread(_to_lines, found)
        return _answer(lines, has_more=question.offset + len(lines) < found.count)

    return [web.post(PATH, answer)]


async def _require(request: web.Request, verb: Verb, project: str) -> None:
    caller = request[CALLER]
    if not is_namespace(project) or not await request.app[AUTH].may(caller, verb, project):
        raise Forbidden(f"{caller.name} may not {verb.value} operations in {project}.")


def _to_lines(found: Found) -> list[bytes]:
    lines: list[bytes] = []
    size = 0
    for one in found.runs:
        if size > _BYTES:
            break
        lines.append(_to_line(one.run.whole))
        size += len(lines[-1])
    return lines


def _to_line(body: Body) -> bytes:
    """The run without what is never read of an upstream."""
    kept: dict[str, Any] = dict(unpack(slim(OPERATIONS, body)))
    notes = kept["metadata"].get("annotations") or {}
    kept["metadata"]["annotations"] = {
        key: value for key, value in notes.items() if key.startswith(GROUP)
    }
    return json.dumps(kept, separators=(",", ":")).encode()


def _answer(lines: Sequence[bytes], *, has_more: bool) -> web.Response:
    """The last line says whether there are more runs, and that the answer is whole."""
    last = json.dumps({"more": has_more}).encode()
    return web.Response(body=b"\n".join([*lines, last]), content_type="application/x-ndjson")
