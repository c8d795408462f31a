"""The files of a run, as the published client lists, downloads, uploads and deletes them.

Owns the client's protocol (measured, 2.18.0): a folder comes as an archive whose name ends in
`.tar.gz"`, by which the client knows that it must unpack it; a single file must not have such a
name. What a run wrote may be a page with scripts: no browser shows it as a part of this API.
Uploads are in `uploads`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from opstrand.api.auth.callers import Verb
from opstrand.api.published.archives import ARCHIVES
from opstrand.api.published.files import find_files, find_own_files, refuse_connection
from opstrand.api.published.objects import answer_object, is_tag
from opstrand.api.published.request import STREAM
from opstrand.artifacts.archive import write_archive
from opstrand.artifacts.folder import RunFiles

_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
    "Cache-Control": "private, no-cache",
}


async def read_file(request: web.Request) -> web.StreamResponse:
    """One file, or the ranges of it that were asked for."""
    files = await find_files(request)
    return await answer_file(request, files, request.query.get("path", ""))


async def answer_file(request: web.Request, files: RunFiles, path: str) -> web.StreamResponse:
    """One file as something to save, and not to show. Raises BadPath and MissingFile."""
    found = await asyncio.to_thread(files.find_stored, path)
    # Not the quoted form of the name: the client would unpack what is named "x.tar.gz".
    name = f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"
    headers = {**_SAFE, "Content-Disposition": name, "Content-Type": "application/octet-stream"}
    if isinstance(found, Path):
        return _PlainFile(found, headers=headers)
    return await answer_object(request, found, headers)


class _PlainFile(web.FileResponse):
    """A file as it is: for `a`, aiohttp would send `a.gz` to a client that reads gzip, which is
    another file of the run.
    """

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        headers = request.headers.copy()
        headers.popall("Accept-Encoding", None)
        given = headers.get("If-Range", "")
        # aiohttp knows a date there, and would continue another version of the file.
        if is_tag(given) and given != await asyncio.to_thread(self._read_tag):
            headers.popall("Range", None)
        return await super().prepare(request.clone(headers=headers))

    def _read_tag(self) -> str | None:
        """The ETag that aiohttp gives to the file."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'


async def read_archive(request: web.Request) -> web.StreamResponse:
    """A folder as tar.gz; with `check_path`, a file as it is. Raises `Busy`."""
    files, path = await find_files(request), request.query.get("path", "").rstrip("/")
    is_checked = request.query.get("check_path", "").lower() in ("1", "true")
    if is_checked and path and await asyncio.to_thread(files.is_file, path):
        return await answer_file(request, files, path)
    await asyncio.to_thread(files.check_folder, path)
    name = (
        (path.rpartition("/")[2] or request.match_info.get("uuid", "files"))
        .encode("ascii", "replace")
        .decode()
        .replace('"', "_")
        .replace("?", "_")
    )
    response = web.StreamResponse(
        headers={
            **_SAFE,
            "Content-Type": "application/gzip",
            "Content-Disposition": f'attachment; filename="{name}.tar.gz"',
        }
    )
    archives = request.app[ARCHIVES]
    with archives.hold():
        await response.prepare(request)
        await archives.send(response, partial(write_archive, files, path))
    await response.write_eof()
    return response


async def read_tree(request: web.Request) -> web.Response:
    """What is directly in a folder of the run."""
    files = await find_files(request)
    tree = await asyncio.to_thread(files.list_tree, request.query.get("path", ""))
    answer: dict[str, Any] = {"files": tree.files, "dirs": tree.folders}
    return web.json_response(answer, headers=_SAFE)


async def delete(request: web.Request) -> web.Response:
    """Delete a file or a folder."""
    refuse_connection(request.query.get("connection"))
    files = await find_own_files(request, Verb.CONTROL)
    await asyncio.to_thread(files.delete, request.query.get("path", ""))
    return web.Response(status=204)


ROUTES = [
    web.get(STREAM + "/artifact", read_file),
    web.get(STREAM + "/artifacts", read_archive),
    web.get(STREAM + "/artifacts/tree", read_tree),
    web.delete(STREAM + "/artifact", delete),
    web.delete(STREAM + "/artifacts", delete),
]
