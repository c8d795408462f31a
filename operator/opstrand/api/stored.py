"""What the operator asks: whole runs whose Operation may be gone, as lines of JSON.

Owns the path and the two questions, by uuid and by a query. Its callers need the rights to get and
to list the Operations of the namespace. Not part of the documented API: both sides are of one
version, or the operator does without.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from opstrand.api.auth.callers import Forbidden, Verb
from opstrand.api.published.listing import Searched
from opstrand.api.published.request import AUTH, CALLER, OWNER, parse_body, wait_with
from opstrand.controller.slim import slim
from opstrand.core.limits import QUERY
from opstrand.core.names import GROUP, is_namespace
from opstrand.core.packed import unpack
from opstrand.core.resolving.joins import MOST_ASKED
from opstrand.core.resolving.query import list_fields
from opstrand.errors import PlatformError
from opstrand.kube.resources import OPERATIONS
from opstrand.runs.bodies import run_uuid
from opstrand.runs.protocols import Found, Listed, Search
from opstrand.types import Body

logger = logging.getLogger(__name__)

PATH = "/operator/v1/namespaces/{namespace}/runs"
#: Runs that are read from the store at a time.
_BATCH = 100


class Records(Protocol):
    """What is asked: `runs.keeper.KeptRuns`."""

    async def record(self, project: str, uuid: str) -> Body | None: ...

    async def search_gone(self, project: str, search: Search) -> Found: ...

    async def find_gone(self, project: str, uuids: Sequence[str]) -> Sequence[Body]: ...


class Question(BaseModel):
    """By `uuid`, or the first `most` runs without an object that `query` selects."""

    model_config = ConfigDict(extra="forbid")

    uuid: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    query: Annotated[str, Field(max_length=QUERY)] = ""
    sort: Annotated[str, Field(max_length=QUERY)] = ""
    most: Annotated[int, Field(ge=1, le=MOST_ASKED)] = MOST_ASKED


def make_routes(records: Records) -> Sequence[web.RouteDef]:
    """The routes of an API that has a store."""

    async def answer(request: web.Request) -> web.StreamResponse:
        project = request.match_info["namespace"]
        question = await parse_body(request, Question)
        await _require(request, Verb.LIST if question.uuid is None else Verb.READ, project)
        if question.uuid is None:
            search = _make_search(question, request.app[OWNER])
            found = await wait_with(request, records.search_gone(project, search))
            uuids = [str(one.read("uuid")) for one in found.runs]
            return await _send(request, records, project, uuids)
        body = await records.record(project, question.uuid)
        lines = [] if body is None else [_to_line(body)]
        return web.Response(body=b"".join([*lines, _END]), content_type=_TYPE)

    return [web.post(PATH, answer)]


async def _require(request: web.Request, verb: Verb, project: str) -> None:
    caller = request[CALLER]
    if not is_namespace(project) or not await request.app[AUTH].may(caller, verb, project):
        raise Forbidden(f"{caller.name} may not {verb.value} operations in {project}.")


class _Sought:
    """What a search reads of a run, without its body: thousands of them fit into memory."""

    def __init__(self, run: Listed, owner: str, fields: frozenset[str]) -> None:
        whole = Searched(run, owner)
        self._values = {"uuid": run_uuid(run.head), **{one: whole.read(one) for one in fields}}

    @property
    def run(self) -> Listed:
        raise NotImplementedError("its body is read by its uuid")

    def read(self, field: str) -> Any:
        return self._values[field]


def _make_search(question: Question, owner: str) -> Search:
    """Raises SpecError for a wrong query."""
    fields = list_fields(question.query, question.sort)
    make: Callable[[Listed], _Sought] = lambda run: _Sought(run, owner, fields)  # noqa: E731
    return Search(question.query or None, question.sort or None, 0, question.most, make)


async def _send(
    request: web.Request, records: Records, project: str, uuids: Sequence[str]
) -> web.StreamResponse:
    """Send these runs in their order. One that was removed since is left out."""
    response = web.StreamResponse()
    response.content_type = _TYPE
    await response.prepare(request)
    try:
        for start in range(0, len(uuids), _BATCH):
            some = uuids[start : start + _BATCH]
            found = {run_uuid(one): one for one in await records.find_gone(project, some)}
            bodies = [found[uuid] for uuid in some if uuid in found]
            await response.write(await asyncio.to_thread(_to_lines, bodies))
        await response.write(_END)
    except PlatformError as error:
        # Without the last line, the caller knows that the answer is not whole.
        logger.warning("an answer to the operator ends early: %s", error)
        response.force_close()
    await response.write_eof()
    return response


_TYPE = "application/x-ndjson"
#: The last line of a whole answer.
_END = b"{}"


def _to_lines(bodies: Sequence[Body]) -> bytes:
    return b"".join(map(_to_line, bodies))


def _to_line(body: Body) -> bytes:
    """The run without what is never read of an upstream."""
    kept: dict[str, Any] = dict(unpack(slim(OPERATIONS, body)))
    notes = kept["metadata"].get("annotations") or {}
    kept["metadata"]["annotations"] = {
        key: value for key, value in notes.items() if key.startswith(GROUP)
    }
    return json.dumps(kept, separators=(",", ":")).encode() + b"\n"
