"""One object of a bucket as the answer to a request: whole or a range, only if it changed, or not.

Owns what the conditions of HTTP mean for it. What is sent was read in blocks, so that a slow client
costs no memory and holds no connection to the bucket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import ETag, web

from opstrand.artifacts.stored_object import StoredObject

#: Bytes that are read at a time.
_BLOCK = 2 * 1024 * 1024


async def answer_object(
    request: web.Request, found: StoredObject, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Answer as `web.FileResponse` does for a file. Raises MissingFile."""
    tag = found.tag.strip('"')
    conditional = _check(request, found, tag)
    if conditional is not None:
        return conditional
    start, end = 0, found.size
    status = 200
    try:
        asked = request.http_range
        is_part = asked.start is not None or asked.stop is not None
        if is_part and _may_continue(request, found, tag):
            start, end, _ = asked.indices(found.size)
            status = 206 if start < end else 416
    except ValueError:
        status = 416
    if status == 416:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{found.size}"})
    response = web.StreamResponse(status=status, headers=headers)
    if tag:
        response.etag = tag
    response.last_modified = found.modified
    response.content_length = end - start
    response.headers["Accept-Ranges"] = "bytes"
    if status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
    # The first block before the head: what cannot be read is an error with a status.
    is_read = request.method != "HEAD" and start < end
    block = await _read(found, start, end) if is_read else b""
    await response.prepare(request)
    if is_read:
        await _send(response, found, start, end, block)
    return response


def _check(request: web.Request, found: StoredObject, tag: str) -> web.Response | None:
    """The answer where a condition of the request forbids to send the content."""
    if request.if_match is not None and not _matches(tag, request.if_match):
        return web.Response(status=412)
    if request.if_none_match is not None:
        is_known = _matches(tag, request.if_none_match)
    else:
        since = request.if_modified_since
        is_known = since is not None and found.modified <= since
    if not is_known:
        return None
    answer = web.Response(status=304)
    answer.etag, answer.last_modified = tag or None, found.modified
    return answer


def _may_continue(request: web.Request, found: StoredObject, tag: str) -> bool:
    """Whether a part of this content goes on what the client has of it, as it says in `If-Range`:
    otherwise it would join two versions.
    """
    given = request.headers.get("If-Range")
    if given is None:
        return True
    if is_tag(given):
        return bool(tag) and given == f'"{tag}"'
    return request.if_range is not None and found.modified <= request.if_range


def is_tag(if_range: str) -> bool:
    """Whether the value of `If-Range` is an ETag, and not a date. A weak one matches nothing."""
    return if_range.startswith(('"', "W/"))


def _matches(tag: str, wanted: tuple[ETag, ...]) -> bool:
    return any(one.value in ("*", tag) for one in wanted)


async def _read(found: StoredObject, start: int, end: int) -> bytes:
    return await asyncio.to_thread(found.read, start, min(start + _BLOCK, end))


async def _send(
    response: web.StreamResponse,
    found: StoredObject,
    start: int,
    end: int,
    block: bytes,
) -> None:
    while True:
        await response.write(block)
        start += len(block)
        if start >= end:
            break
        block = await _read(found, start, end)
    await response.write_eof()
