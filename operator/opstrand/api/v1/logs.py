"""The log of a run as plain text: what there is now, or followed to the run's end.

Of a pipeline, the lines of its runs, each after its operation's name. Must not know where lines
come from.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime, timedelta

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.request import CALLER, HELD, RUNS, NotAcceptable, wait_with
from opstrand.api.v1.models import LogQuery
from opstrand.api.v1.request import find_run, parse_query
from opstrand.runs.bodies import is_final, run_uuid
from opstrand.runs.descendants import is_pipeline
from opstrand.runs.family_tail import FamilyCursor, read_family
from opstrand.runs.log_tail import Cursor, Patience, current_attempt, read_chunk
from opstrand.runs.protocols import LogLine, Runs
from opstrand.types import Body

Lines = AsyncGenerator[list[LogLine], None]
#: Seconds to wait for lines when the log is followed, and the lines of a moment that are sent
#: together.
_FOLLOWED = Patience(20, 0.2)
#: The same for what there is now: a node needs a moment for the first line, and sends the rest at
#: once.
_NOW = Patience(10, 1)
_OVER = Patience(30, 30)
#: Lines that are collected before they are sent.
_TOGETHER = 1000


async def read_log(request: web.Request) -> web.StreamResponse:
    query = parse_query(request, LogQuery)
    follows, stamps = query.follow == "true", query.timestamps == "true"
    if follows and query.tail_lines is not None:
        raise NotAcceptable("tailLines: only the log of now has an end; leave out follow")
    body, runs = await find_run(request, Verb.READ_LOG), request.app[RUNS]
    lines = _choose_lines(runs, body, query, follows=follows)
    if query.since_seconds is not None:
        lines = _since(lines, query.since_seconds)
    if query.tail_lines is not None:
        lines = _tail(lines, query.tail_lines)
    with request.app[HELD].hold(run_uuid(body), request[CALLER].name):
        async with contextlib.aclosing(lines):
            return await _send(request, lines, stamps=stamps)


def _choose_lines(runs: Runs, body: Body, query: LogQuery, *, follows: bool) -> Lines:
    newest = current_attempt(body)
    if is_pipeline(body):
        if query.attempt:
            raise NotAcceptable("attempt: a pipeline has none; ask for the log of one of its runs")
        return _read_pipeline(runs, body, follows=follows)
    attempt = newest if query.attempt is None else query.attempt
    if attempt > newest:
        raise NotAcceptable(f"attempt: there are attempts 0 to {newest}")
    if follows:
        return _follow(runs, body, attempt)
    return _read_now(runs, body, attempt, query)


async def _follow(runs: Runs, body: Body, attempt: int) -> Lines:
    """Every line from this attempt on. An empty list where none came for a while."""
    cursor = Cursor(attempt)
    while True:
        chunk = await read_chunk(runs, body, cursor, _FOLLOWED)
        yield chunk.lines
        if chunk.is_complete:
            return
        cursor = chunk.cursor
        body = await runs.get(body["metadata"]["namespace"], run_uuid(body))


async def _read_now(runs: Runs, body: Body, attempt: int, query: LogQuery) -> Lines:
    """The lines of one attempt that there are, until none comes for a moment: at least those that
    the query wants.
    """
    patience = _OVER if is_final(body) or attempt < current_attempt(body) else _NOW
    begins = [] if query.since_seconds is None else [_begin(query.since_seconds)]
    if query.tail_lines is not None:
        tail = await runs.find_tail(body, attempt, query.tail_lines)
        begins += [tail] if tail else []
    lines, seconds = runs.log(body, attempt, max(begins, default=None)), patience.first
    found: list[LogLine] = []
    async with contextlib.aclosing(lines):
        with contextlib.suppress(TimeoutError, StopAsyncIteration):
            while True:
                async with asyncio.timeout(seconds):
                    found.append(await anext(lines))
                seconds = patience.more
                if len(found) >= _TOGETHER:
                    yield found
                    found = []
    yield found


async def _read_pipeline(runs: Runs, body: Body, *, follows: bool) -> Lines:
    cursor = FamilyCursor()
    patience = _OVER if is_final(body) else _FOLLOWED if follows else _NOW
    while True:
        chunk = await read_family(runs, body, cursor, patience)
        yield [said.line for said in chunk.lines]
        if chunk.is_complete or not (follows or chunk.lines):
            return
        cursor = chunk.cursor


async def _since(lines: Lines, seconds: int) -> Lines:
    """The lines from then on; a node's own message has no time, and is shown."""
    begin = _begin(seconds)
    async for part in lines:
        yield [line for line in part if not line.at or line.at[:19] >= begin[:19]]


def _begin(seconds: int) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _tail(lines: Lines, most: int) -> Lines:
    kept: deque[LogLine] = deque(maxlen=most)
    async for part in lines:
        kept.extend(part)
    yield list(kept)


async def _send(request: web.Request, lines: Lines, *, stamps: bool) -> web.StreamResponse:
    """Send the lines as they come. What fails before the first of them is an answer of its own;
    later, the connection ends without the end of the text, so that a client sees that it is cut.
    """
    answer = web.StreamResponse(headers={"X-Content-Type-Options": "nosniff"})
    answer.content_type, answer.charset = "text/plain", "utf-8"
    while (part := await wait_with(request, anext(lines, None))) is not None:
        if not answer.prepared:
            await answer.prepare(request)
        if part:
            await answer.write(_write_lines(part, stamps=stamps))
    if not answer.prepared:
        await answer.prepare(request)
    await answer.write_eof()
    return answer


def _write_lines(lines: Iterable[LogLine], *, stamps: bool) -> bytes:
    texts = (f"{line.at} {line.text}\n" if stamps else f"{line.text}\n" for line in lines)
    return "".join(texts).encode(errors="replace")
