"""Files that are sent to a run: by the published client as a form, by our collector in parts.

Owns both protocols. A body is read as it arrives and never held in memory; it may take long, but
not stop. Must not decide who may send: `files` does.

The collector's: `PUT artifact?path=P&size=N&sha256=H&offset=O` with a part of the file as its body.
The answer is `{"offset": n, "isComplete": b}`: what is there now. A part at another offset is not
read, so an empty part asks where to go on. Many small files come together: `PUT
artifacts?size=N&sha256=H` with a tar archive of them as its body.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

from aiohttp import BodyPartReader, web
from pydantic import BaseModel, ConfigDict

from opstrand.api.limits import Busy, TooSlow
from opstrand.api.published.files import find_reported_files, refuse_connection
from opstrand.api.published.request import (
    LIMITS,
    STREAM,
    NotAcceptable,
    parse_json,
    validate,
)
from opstrand.api.published.transfers import Transfers
from opstrand.artifacts.archive import unpack
from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.names import MissingFile, check_path
from opstrand.artifacts.receiving import Announced, Mismatch, Receiver, Scratch

TRANSFERS: web.AppKey[Transfers] = web.AppKey("transfers")
#: Bytes that are written at a time, and of the form's field that describes the upload.
_BLOCK = 1024 * 1024
_MOST_DESCRIPTION = 64 * 1024
#: Bytes of an archive of small files.
_MOST_BATCH = 16 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


async def receive_part(request: web.Request) -> web.Response:
    """Append a part to an announced file."""
    files = await find_reported_files(request)
    announced = _read_announced(request)
    return await append_part(request, files, announced, _parse_size(request, "offset"))


async def append_part(
    request: web.Request, files: RunFiles, announced: Announced, offset: int
) -> web.Response:
    """Append the body to an announced file, if that has arrived up to `offset`."""
    receiver, transfers = Receiver(files, announced), request.app[TRANSFERS]
    if receiver.place in transfers.running:
        raise Busy(f"{announced.path!r} is being received already.", retry_after=1.0)
    transfers.running.add(receiver.place)
    try:
        if transfers.is_remembered(files, announced) and await asyncio.to_thread(receiver.is_kept):
            there, is_complete = announced.size, True
        else:
            there, is_complete = await _receive(request, receiver, announced, offset)
        if is_complete:
            transfers.remember(files, announced)
    finally:
        transfers.running.discard(receiver.place)
    return web.json_response({"offset": there, "isComplete": is_complete})


async def _receive(
    request: web.Request, receiver: Receiver, announced: Announced, offset: int
) -> tuple[int, bool]:
    """Return how many bytes have arrived, and whether the file is the run's."""
    there = await asyncio.to_thread(receiver.find_offset)
    if there == offset:
        async for block in _read_blocks(request):
            await asyncio.to_thread(receiver.append, block)
        there = await asyncio.to_thread(receiver.find_offset)
    if there < announced.size:
        return there, False
    async with request.app[TRANSFERS].turn_of(announced.size):
        if await asyncio.to_thread(receiver.finish):
            return announced.size, True
    return await asyncio.to_thread(receiver.find_offset), False


async def receive_batch(request: web.Request) -> web.Response:
    """Store the files of a small archive."""
    files, size = await find_reported_files(request), _parse_size(request, "size")
    transfers = request.app[TRANSFERS]
    if size > _MOST_BATCH:
        raise NotAcceptable(f"size: expected at most {_MOST_BATCH} bytes, found {size}")
    sha256, arrived = hashlib.sha256(), 0
    scratch = await asyncio.to_thread(Scratch, files)
    try:
        async for block in _read_blocks(request):
            sha256.update(block)
            arrived += len(block)
            if arrived <= size:
                await asyncio.to_thread(scratch.write, block)
        if arrived != size or sha256.hexdigest() != request.query.get("sha256"):
            raise Mismatch("the archive changed while it was sent")
        await asyncio.to_thread(scratch.close)
        async with transfers.turn_of_archive():
            count = await asyncio.to_thread(unpack, scratch.place, files, "")
    finally:
        transfers.forget(files)
        await asyncio.to_thread(scratch.__exit__, None, None, None)
    return web.json_response({"files": count})


def _read_announced(request: web.Request) -> Announced:
    sha256 = request.query.get("sha256", "")
    if not _SHA256.fullmatch(sha256):
        raise NotAcceptable(f"sha256: expected 64 hex digits, found {sha256[:80]!r}")
    return Announced(request.query.get("path", ""), _parse_size(request, "size"), sha256)


def _parse_size(request: web.Request, name: str) -> int:
    text = request.query.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise NotAcceptable(f"{name}: expected a number of bytes, found {text[:40]!r}")
    return int(text)


async def _read_blocks(request: web.Request) -> AsyncIterator[bytes]:
    """The body in blocks. Raises `TooSlow` if it stops arriving."""
    waiting = bytearray()
    while chunk := await _in_time(request, request.content.readany()):
        waiting += chunk
        if len(waiting) >= _BLOCK:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


async def _in_time(request: web.Request, reading: Awaitable[bytes]) -> bytes:
    seconds = request.app[LIMITS].body_seconds
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except TimeoutError:
        raise TooSlow(f"Nothing of the body came for {seconds:.0f} s.") from None


class Description(BaseModel):
    """The field `json` of the published client's form."""

    model_config = ConfigDict(extra="ignore")

    untar: bool = False
    path: str = ""
    overwrite: bool = True
    connection: str | None = None


async def receive_form(request: web.Request) -> web.Response:
    """Store one uploaded file, or what is in an uploaded archive."""
    files = await find_reported_files(request)
    if not request.content_type.startswith("multipart/"):
        raise NotAcceptable(f"body: expected a form, found {request.content_type[:80]!r}")
    description, name, is_there = Description(), "", False
    transfers = request.app[TRANSFERS]
    scratch = await asyncio.to_thread(Scratch, files)
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise NotAcceptable("body: a form in a form")
            if part.name == "json":
                description = validate(Description, parse_json(await _read_short(part)))
            elif part.name == "upload_file":
                name, is_there = part.filename or "", True
                while block := await _in_time(request, part.read_chunk(_BLOCK)):
                    await asyncio.to_thread(scratch.write, block)
        if not is_there:
            raise NotAcceptable("upload_file: the form has no such field")
        await asyncio.to_thread(scratch.close)
        size = await asyncio.to_thread(lambda: scratch.place.stat().st_size)
        turn = transfers.turn_of_archive() if description.untar else transfers.turn_of(size)
        async with turn:
            await asyncio.to_thread(_store, files, scratch.place, name, description)
    finally:
        transfers.forget(files)
        await asyncio.to_thread(scratch.__exit__, None, None, None)
    return web.Response()


async def _read_short(part: BodyPartReader) -> bytes:
    data = await part.read_chunk(_MOST_DESCRIPTION)
    if len(data) >= _MOST_DESCRIPTION:
        raise NotAcceptable(f"json: expected fewer than {_MOST_DESCRIPTION} bytes")
    while more := await part.read_chunk(_MOST_DESCRIPTION):
        data += more
        if len(data) >= _MOST_DESCRIPTION:
            raise NotAcceptable(f"json: expected fewer than {_MOST_DESCRIPTION} bytes")
    return data


def _store(files: RunFiles, place: Path, name: str, description: Description) -> None:
    refuse_connection(description.connection)
    path = check_path(description.path)
    if description.untar:
        unpack(place, files, path)
        return
    target = _choose_target(files, path, name, is_folder=description.path.endswith("/"))
    if not description.overwrite and _exists(files, target):
        raise NotAcceptable(f"path: {target!r} exists, and the request is not to overwrite it")
    files.keep(place, target)


def _choose_target(files: RunFiles, path: str, name: str, *, is_folder: bool) -> str:
    """Where one file goes: to the path, or into it where that is a folder."""
    base = name.replace("\\", "/").rpartition("/")[2]
    if path and not is_folder and not _is_folder(files, path):
        return path
    return f"{path}/{base}" if path else base


def _exists(files: RunFiles, path: str) -> bool:
    try:
        files.is_file(path)
    except MissingFile:
        return False
    return True


def _is_folder(files: RunFiles, path: str) -> bool:
    try:
        return not files.is_file(path)
    except MissingFile:
        return False


ROUTES = [
    web.put(STREAM + "/artifact", receive_part),
    web.put(STREAM + "/artifacts", receive_batch),
    web.post(STREAM + "/artifact", receive_form),
    web.post(STREAM + "/artifacts", receive_form),
]
