"""The log of a run, as the published client follows it.

Owns the client's protocol (measured, 2.18.0): if `last_file` is not the last of `files`, the client
polls again after 1 s instead of 5; if `last_time` is set, a request that does not follow ends; if
both are null, it asks for the status, which must be final by then. Answers are held while nothing
is new, so that following is prompt without frequent polls.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.request import CALLER, HELD, RUNS, STREAM, find_run, wait_with
from opstrand.core.names import PUBLISHED_MAIN
from opstrand.core.recorded import read_status
from opstrand.errors import PlatformError
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.log_tail import Chunk, Cursor, Patience, read_chunk
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
    body, is_following = await find_run(request, Verb.LOGS), "last_file" in request.query
    cursor = Cursor.parse(request.query.get("last_file"))
    with request.app[HELD].hold(run_uuid(body), request[CALLER].name):
        try:
            chunk = await wait_with(
                request,
                read_chunk(
                    request.app[RUNS], body, cursor, _patience(body, is_following=is_following)
                ),
            )
        except PlatformError:
            if is_final(body) or not is_following:
                raise
            # After an error the published client would print the whole log again: let it continue
            # where it was.
            await asyncio.sleep(_TROUBLED)
            chunk = Chunk(cursor)
    return web.json_response(_answer(chunk, body))


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


def _answer(chunk: Chunk, body: Body) -> dict[str, Any]:
    pod = read_status(body).get("pod") or {}
    answer: dict[str, Any] = {
        "logs": [_line(line, pod) for line in chunk.lines],
        "last_time": None,
        "last_file": None,
        "files": [],
    }
    if not chunk.is_complete:
        answer |= {"last_file": str(chunk.cursor), "files": [str(chunk.cursor), _MORE]}
        # For a finished run, a client that does not follow must request the next part too.
        answer["last_time"] = (
            None
            if is_final(body)
            else _microseconds(chunk.cursor.at) or datetime.now(UTC).isoformat()
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
