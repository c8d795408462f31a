"""The log of one attempt, read from its Pod through the API server.

Owns the wait for a container to start and the parsing of Kubernetes timestamps. Must not know who
reads the log.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from opstrand.core import names
from opstrand.core.names import MAIN_CONTAINER
from opstrand.core.phase import Phase
from opstrand.core.recorded import read_status
from opstrand.kube.errors import Invalid, NotFound
from opstrand.runs.bodies import is_final, phase, run_uuid
from opstrand.runs.log_tail import current_attempt
from opstrand.runs.protocols import LogLine
from opstrand.types import Body

Follow = Callable[..., AsyncGenerator[bytes, None]]
Wait = Callable[[str, str, Callable[[Body], bool], float], Awaitable[Body]]

#: Bytes: a longer line is cut, and the cut says how much is missing.
LONGEST_LINE = 1024 * 1024
#: Seconds between two checks of a Pod whose container has not started; a change of the run ends the
#: wait earlier.
_LOOK_AGAIN = 0.5
#: Characters.
_LONGEST_STAMP = len("2026-01-02T03:04:05.123456789+00:00")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


async def follow_pod(
    follow: Follow, wait: Wait, body: Body, attempt: int, since: str | None
) -> AsyncGenerator[LogLine, None]:
    """Every line of the main container, from the whole second of `since` on, until the container
    has ended.

    Yields nothing if the Pod is gone.
    """
    namespace, uuid = body["metadata"]["namespace"], run_uuid(body)
    while True:
        try:
            pod = attempt_pod(body, attempt)
            if pod:
                async with aclosing(read_pod(follow, namespace, pod, since)) as lines:
                    async for line in lines:
                        yield line
                return
        except (NotFound, Invalid):
            # Invalid (HTTP 400): the container has not started yet, or never will.
            if is_final(body) or current_attempt(body) > attempt:
                return
        if not pod and is_final(body):
            return
        was = phase(body)
        body = await wait(namespace, uuid, lambda now, was=was: phase(now) is not was, _LOOK_AGAIN)  # type: ignore[misc]


async def read_pod(
    read: Follow, namespace: str, pod: str, since: str | None, longest: int = LONGEST_LINE
) -> AsyncGenerator[LogLine, None]:
    """Every line of the main container, from the whole second of `since` on; of a line, `longest`
    bytes.

    Raises NotFound if the Pod is gone, and Invalid if its container has not started.
    """
    query: dict[str, Any] = {
        "container": MAIN_CONTAINER,
        "timestamps": True,
        "longest": longest,
    }
    if since:
        # The API server counts whole seconds.
        query["sinceTime"] = since[:19] + "Z"
    async with aclosing(leave_out_rest(read(namespace, pod, **query), since)) as lines:
        async for raw in lines:
            yield parse_line(raw)


def attempt_pod(body: Body, attempt: int) -> str:
    """The name of an attempt's Pod. Empty before the freeze."""
    is_waiting = phase(body) is Phase.WAITING and attempt == 0
    return "" if is_waiting else names.attempt_pod(read_status(body), attempt)


async def leave_out_rest(
    lines: AsyncGenerator[bytes, None], since: str | None
) -> AsyncGenerator[bytes, None]:
    """The lines of a reading from `since` on, without the rest of a line that began before it.

    A node keeps a long line in pieces, each with its own time. It sends the pieces from `since` on,
    and no time before them (seen with a kubelet 1.36). A line without a time that no line with one
    follows is the node's own message.
    """
    held = b""
    is_first = since is not None
    async with aclosing(lines):
        async for raw in lines:
            if is_first or held:
                has_time = _STAMP.match(raw[:_LONGEST_STAMP].decode(errors="replace"))
                if is_first and not has_time:
                    is_first, held = False, raw
                    continue
                if held and not has_time:
                    yield held
                is_first, held = False, b""
            yield raw
    if held:
        yield held


def parse_line(raw: bytes) -> LogLine:
    """Parse `TIME TEXT`; bytes that are not UTF-8 are replaced.

    A line without a time is the node's own message instead of a log.
    """
    line = raw.decode(errors="replace").removesuffix("\n")
    stamp, _, text = line.partition(" ")
    if not _STAMP.fullmatch(stamp):
        return LogLine("", line)
    return LogLine(in_utc(stamp), text, is_whole=raw.endswith(b"\n"))


def in_utc(stamp: str) -> str:
    """The same moment with nine decimals and a Z.

    A node may use another time zone, and cursors compare these as text.
    """
    if stamp.endswith("Z"):
        moment, _, fraction = stamp[:-1].partition(".")
        return f"{moment}.{fraction:0<9}Z"
    moment, sign, zone = stamp[:19], stamp[-6:-5], stamp[-5:]
    seconds = datetime.fromisoformat(f"{moment}{sign}{zone}").astimezone(UTC)
    return f"{seconds:%Y-%m-%dT%H:%M:%S}.{stamp[20:-6]:0<9}Z"
