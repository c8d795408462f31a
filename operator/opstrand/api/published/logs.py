"""The log of a run, as the published client follows it.

Owns the client's protocol (measured, 2.18.0): if `last_file` is not the last of `files`, the client
polls again after 1 s instead of 5; if `last_time` is set, a request that does not follow ends; if
both are null, it asks for the status, which must be final by then. Answers are held while nothing
is new, so that following is prompt without frequent polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.request import CALLER, HELD, RUNS, STREAM, find_run, wait_with
from opstrand.core.names import PUBLISHED_MAIN
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.descendants import is_pipeline
from opstrand.runs.family_tail import FamilyCursor, read_family
from opstrand.runs.log_tail import Cursor, Patience, read_chunk
from opstrand.runs.protocols import LogLine
from opstrand.types import Body, RecordedPod

#: A file name that no cursor has: it means "there will be more".
_MORE = "more"
#: Seconds: a younger run may well end within the first answer, which spares the client a poll.
_YOUNG = 10.0
#: Seconds before a follower is answered while the log cannot be read: our client polls again at
#: once.
_TROUBLED = 1.0


async def read_logs(request: web.Request) -> web.Response:
    """The log of a run; of a pipeline, those of its runs, each line after its operation's name."""
    body, is_following = await find_run(request, Verb.LOGS), "last_file" in request.query
    patience = _patience(body, is_following=is_following)
    read = _read_family if is_pipeline(body) else _read_one
    with request.app[HELD].hold(run_uuid(body), request[CALLER].name):
        try:
            part = await wait_with(request, read(request, body, patience))
        except PlatformError:
            if is_final(body) or not is_following:
                raise
            # After an error the published client would print the whole log again: let it continue
            # where it was.
            await asyncio.sleep(_TROUBLED)
            part = _Part(request.query["last_file"])
    return web.json_response(_answer(part, is_over=is_final(body)))


@dataclass(frozen=True)
class _Part:
    """What one answer has of the log. `cursor`: where the next one starts."""

    cursor: str
    lines: Sequence[dict[str, Any]] = ()
    newest: str = ""
    is_complete: bool = False


async def _read_one(request: web.Request, body: Body, patience: Patience) -> _Part:
    cursor = Cursor.parse(request.query.get("last_file"))
    chunk = await read_chunk(request.app[RUNS], body, cursor, patience)
    pod = read_status(body).get("pod") or {}
    lines = [_line(line, pod) for line in chunk.lines]
    return _Part(str(chunk.cursor), lines, chunk.cursor.at, chunk.is_complete)


async def _read_family(request: web.Request, body: Body, patience: Patience) -> _Part:
    cursor = FamilyCursor.parse(request.query.get("last_file"))
    chunk = await read_family(request.app[RUNS], body, cursor, patience)
    lines = [_line(said.line, said.pod) for said in chunk.lines]
    return _Part(str(chunk.cursor), lines, chunk.newest, chunk.is_complete)


def _patience(body: Body, *, is_following: bool) -> Patience:
    if is_final(body):
        return Patience(30, 30)
    if is_following:
        return Patience(20, 0.2)
    return Patience(10, 3) if _age(body) < _YOUNG else Patience(1, 0.3)


def _age(body: Body) -> float:
    """Seconds since the run started; 0 before that."""
    started = read_status(body).get("startedAt")
    return (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds() if started else 0.0


def _answer(part: _Part, *, is_over: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "logs": part.lines,
        "last_time": None,
        "last_file": None,
        "files": [],
    }
    if not part.is_complete:
        answer |= {"last_file": part.cursor, "files": [part.cursor, _MORE]}
        # For a finished run, a client that does not follow must request the next part too.
        answer["last_time"] = (
            None if is_over else _microseconds(part.newest) or datetime.now(UTC).isoformat()
        )
    return answer


def _line(line: LogLine, pod: RecordedPod) -> dict[str, Any]:
    """One line; the command line shows only lines of a container of this name."""
    return {
        "timestamp": _microseconds(line.at) or None,
        "node": pod.get("node"),
        "pod": pod.get("name"),
        "container": PUBLISHED_MAIN,
        "value": line.text,
    }


def _microseconds(at: str) -> str:
    """An RFC 3339 time with at most six decimals, which is all that the client can parse."""
    moment, dot, fraction = at.rstrip("Z").partition(".")
    return f"{moment}{dot}{fraction[:6]}Z" if at else ""


ROUTES = [web.get(STREAM + "/logs", read_logs)]
