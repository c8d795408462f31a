"""The files that the API keeps of a run: what is in a folder, and one file with its ranges.

Must not know where they are kept, nor which names a file may have.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.artifacts import answer_file
from opstrand.api.published.files import open_files
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.models import ArtifactFile, ArtifactList, FolderQuery
from opstrand.api.v1.request import find_run, parse_query
from opstrand.artifacts.folder import RunFiles
from opstrand.runs.bodies import run_uuid


async def list_artifacts(request: web.Request) -> web.Response:
    query = parse_query(request, FolderQuery)
    tree = await asyncio.to_thread((await _find_files(request)).list_tree, query.path)
    files = [ArtifactFile(name=name, size=size) for name, size in tree.files.items()]
    return answer_json(request, ArtifactList(files=files, folders=tree.folders).as_json())


async def read_artifact(request: web.Request) -> web.StreamResponse:
    return await answer_file(await _find_files(request), request.match_info["path"])


async def _find_files(request: web.Request) -> RunFiles:
    body = await find_run(request, Verb.READ_ARTIFACTS)
    return await open_files(request, body["metadata"]["namespace"], run_uuid(body))
