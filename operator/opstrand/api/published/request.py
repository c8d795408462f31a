"""What every route does first: find the caller's run or project, and read the body.

Owns the application's keys and the parsing of requests. Must not answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from opstrand.api.auth.access import authorize, authorize_report, find_known_run
from opstrand.api.auth.callers import Auth, Caller, Verb
from opstrand.api.contents import Contents
from opstrand.api.limits import Held, Limits, TokenGate, TooSlow, Turns
from opstrand.api.published.views import run_view
from opstrand.api.submission import Submitted
from opstrand.api.validation import Validation
from opstrand.core.names import is_namespace
from opstrand.core.planning.connections import Catalog
from opstrand.core.values.safe import is_too_deep
from opstrand.runs.protocols import RunNotFound, Runs
from opstrand.runs.watchers import Watchers
from opstrand.types import Body

RUNS: web.AppKey[Runs] = web.AppKey("runs", Runs)
AUTH: web.AppKey[Auth] = web.AppKey("auth", Auth)
OWNER: web.AppKey[str] = web.AppKey("owner", str)
VALIDATION: web.AppKey[Validation] = web.AppKey("validation", Validation)
CONTENTS: web.AppKey[Contents] = web.AppKey("contents", Contents)
READ_CATALOG: web.AppKey[Callable[[], Catalog | None]] = web.AppKey("read_catalog")
WATCHERS: web.AppKey[Watchers] = web.AppKey("watchers", Watchers)
LIMITS: web.AppKey[Limits] = web.AppKey("limits", Limits)
HELD: web.AppKey[Held] = web.AppKey("held", Held)
BODY_TURNS: web.AppKey[Turns] = web.AppKey("body_turns", Turns)
TOKEN_GATE: web.AppKey[TokenGate] = web.AppKey("token_gate", TokenGate)
CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)

#: The two forms in which the published client names a project and a run in a path.
PROJECT = "/api/v1/{owner}/{project}"
RUN = PROJECT + "/runs/{uuid}"
STREAM = "/streams/v1/{namespace}/{owner}/{project}/runs/{uuid}"

_UUID = re.compile(r"[0-9a-f]{32}")
Wanted = TypeVar("Wanted", bound=BaseModel)
Found = TypeVar("Found")
#: Seconds between two checks whether the client of a held request is still connected.
_LOOK_AGAIN = 1.0


async def parse_content(
    request: web.Request, project: str, content: str, **given: Any
) -> Submitted:
    """The Operation that a submitted file makes, validated against the current connections."""
    return await request.app[VALIDATION].parse(
        content, project=project, catalog=request.app[READ_CATALOG](), **given
    )


async def view_whole(request: web.Request, body: Body) -> dict[str, Any]:
    """The answer for a single run: it includes what the run compiles to, and what was sent."""
    return run_view(body, request.app[OWNER], await request.app[CONTENTS].read(body))


class NotAcceptable(ValueError):
    """The request itself is wrong; the text says what was found and what was expected."""


def parse_project(request: web.Request) -> str:
    """The project that the path names, without an authorization check."""
    project = request.match_info["project"]
    owner = request.match_info["owner"]
    if owner not in (request.app[OWNER], "default") or not is_namespace(project):
        raise RunNotFound(f"{owner}/{project}")
    return project


async def find_project(request: web.Request, verb: Verb) -> str:
    """The project that the path names, if the caller may do `verb` in it."""
    project, caller = parse_project(request), request[CALLER]
    await authorize(request.app[AUTH], caller, verb, project, is_known=caller.is_run_of(project))
    return project


async def find_run(request: web.Request, verb: Verb, uuid: str | None = None) -> Body:
    """The run that the path names, or the one of this uuid, if the caller may do `verb` to it."""
    project, caller = parse_project(request), request[CALLER]
    uuid = parse_uuid(request, uuid)
    auth, runs = request.app[AUTH], request.app[RUNS]
    known = await find_known_run(runs, caller, project, uuid) if caller.is_run_of(project) else None
    if known is None:
        await authorize(auth, caller, verb, project)
        return await runs.get(project, uuid)
    if verb not in (Verb.READ, Verb.LOGS):
        await authorize(auth, caller, verb, project, is_known=True)
    return known


async def find_reporting_run(request: web.Request) -> Body:
    """The run that the path names, if the caller may write its reports."""
    body = await find_run(request, Verb.READ)
    await authorize_report(request.app[AUTH], request[CALLER], body)
    return body


def caller_key(request: web.Request) -> str:
    """Identifies a client process by its connection, which the published client keeps open between
    polls.
    """
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return f"{request[CALLER].name}@{peer}"


def parse_uuid(request: web.Request, given: str | None = None) -> str:
    """The path's uuid, or the given one, with or without dashes, as 32 hex digits."""
    uuid = (given or request.match_info["uuid"]).replace("-", "").lower()
    if not _UUID.fullmatch(uuid):
        raise RunNotFound(uuid)
    return uuid


async def parse_body(request: web.Request, model: type[Wanted]) -> Wanted:
    """The request's JSON as a model. Raises `NotAcceptable` with every problem."""
    return validate(model, parse_json(await read_body(request)))


async def read_body(request: web.Request) -> bytes:
    """The whole body.

    Raises `TooSlow` if it does not arrive in time, and `Busy` if the caller sends too many at once.
    """
    seconds = request.app[LIMITS].body_seconds
    if request.content_length == 0 or not request.can_read_body:
        return b""
    try:
        async with request.app[BODY_TURNS].acquire(request[CALLER].name), asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise TooSlow(f"The body did not come within {seconds:.0f} s.") from None


async def wait_with(request: web.Request, work: Awaitable[Found]) -> Found:
    """The result of the work.

    Cancels the work and raises `ConnectionResetError` if the client hangs up: the answer would
    reach no one.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_AGAIN)
            if request.transport is None:
                raise ConnectionResetError("the client has closed the connection")
        return task.result()
    finally:
        task.cancel()


def parse_json(data: bytes) -> Any:
    """The value of a body; an empty one is `{}`. Raises `NotAcceptable`."""
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise NotAcceptable(f"body: expected JSON; {error}") from None
    if is_too_deep(value):
        raise NotAcceptable("body: it is nested deeper than anything that can be kept")
    return value


def validate(model: type[Wanted], value: Any) -> Wanted:
    """`value` as a model. Raises `NotAcceptable` with every problem."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise NotAcceptable("; ".join(problems)) from None


def parse_number(request: web.Request, name: str, default: int, most: int) -> int:
    """A count in the query string, capped at `most`. Raises `NotAcceptable`."""
    text = request.query.get(name) or str(default)
    if not text.isdecimal() or len(text) > 9:
        raise NotAcceptable(f"{name}: {text[:40]!r} is not a number from 0")
    return min(int(text), most)


def parse_page(request: web.Request) -> tuple[int, int]:
    """The limit and the offset of a list. Raises `NotAcceptable`."""
    return parse_number(request, "limit", 20, 5000), parse_number(request, "offset", 0, 10**9)


def page(items: list[Any], request: web.Request) -> dict[str, Any]:
    """One page of all these items, in the published client's format."""
    limit, offset = parse_page(request)
    return make_page(items[offset : offset + limit], len(items), limit, offset)


def make_page(items: list[Any], count: int, limit: int, offset: int) -> dict[str, Any]:
    """These items as a page in the published client's format: `count` is the number of all."""
    end = offset + limit
    return {
        "count": count,
        "results": items,
        "next": f"?limit={limit}&offset={end}" if end < count else None,
        "previous": f"?limit={limit}&offset={max(offset - limit, 0)}" if offset else None,
    }
