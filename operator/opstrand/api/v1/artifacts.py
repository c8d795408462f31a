"""The files that the API keeps of a run: what is in a folder, one file with its ranges, a new file
in parts, and what is deleted.

Must not know where they are kept, nor which names a file may have.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.artifacts import answer_file
from opstrand.api.published.files import open_files
from opstrand.api.published.uploads import append_part
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.models import ArtifactFile, ArtifactList, Deleted, FolderQuery, PartQuery
from opstrand.api.v1.request import find_run, parse_query
from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.receiving import Announced
from opstrand.runs.bodies import files_uuid, run_uuid


async def list_artifacts(request: web.Request) -> web.Response:
    query = parse_query(request, FolderQuery)
    tree = await asyncio.to_thread(
        (await _find_files(request, Verb.READ_ARTIFACTS)).list_tree, query.path
    )
    files = [ArtifactFile(name=name, size=size) for name, size in tree.files.items()]
    return answer_json(request, ArtifactList(files=files, folders=tree.folders).as_json())


async def read_artifact(request: web.Request) -> web.StreamResponse:
    files = await _find_files(request, Verb.READ_ARTIFACTS)
    return await answer_file(request, files, request.match_info["path"])


async def write_artifact(request: web.Request) -> web.Response:
    query = parse_query(request, PartQuery)
    files = await _find_files(request, Verb.WRITE_ARTIFACTS)
    announced = Announced(request.match_info["path"], query.size, query.sha256)
    return await append_part(request, files, announced, query.offset)


async def delete_artifact(request: web.Request) -> web.Response:
    files = await _find_files(request, Verb.DELETE_ARTIFACTS)
    path = request.match_info["path"]
    await asyncio.to_thread(files.delete, path)
    return web.json_response(Deleted(message=f"{path!r} is deleted").as_json())


async def delete_artifacts(request: web.Request) -> web.Response:
    files = await _find_files(request, Verb.DELETE_ARTIFACTS)
    await asyncio.to_thread(files.delete_all)
    return web.json_response(Deleted(message="the run has no files any more").as_json())


async def _find_files(request: web.Request, verb: Verb) -> RunFiles:
    body = await find_run(request, verb)
    # A run that took a result shows the files of another one, which are not its own to change.
    uuid = files_uuid(body) if verb is Verb.READ_ARTIFACTS else run_uuid(body)
    return await open_files(request, body["metadata"]["namespace"], uuid)
