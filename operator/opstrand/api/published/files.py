"""Find the files that a request is about, if its caller may read or write them.

Owns that files outlive their run's object: a person who may read the logs of a project may read the
files of a run that is gone, and a run those of its upstreams. Must not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from opstrand.api.auth.access import authorize, is_upstream_of
from opstrand.api.auth.callers import Verb
from opstrand.api.published.request import (
    AUTH,
    CALLER,
    READ_CATALOG,
    RUNS,
    NotAcceptable,
    find_reporting_run,
    find_run,
    parse_project,
    parse_uuid,
)
from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.log_chunks import delete_logs, run_folder
from opstrand.runs.bodies import files_uuid, list_restarts, run_uuid
from opstrand.runs.protocols import RunNotFound
from opstrand.types import Body


@dataclass(frozen=True)
class KeptFiles:
    """The files of all runs: a folder on the API's volume, and a bucket where there is one.

    `read_uid` returns the uid of the living namespace of a name, which an earlier one of that name
    did not have; None if there is none. `of_run` returns the files of one run, by this folder, the
    uid of its namespace and its uuid.
    """

    base: Path
    read_uid: Callable[[str], Awaitable[str | None]]
    of_run: Callable[[Path, str, str], RunFiles] = RunFiles

    async def open(self, project: str, uuid: str) -> RunFiles:
        """The files of one run. Raises `RunNotFound` where the project is gone."""
        uid = await self.read_uid(project)
        if uid is None:
            raise RunNotFound(uuid)
        return self.of_run(self.base, uid, uuid)

    async def delete(self, project_uid: str, uuid: str) -> None:
        """Delete all files of a run, its logs too; there may be none."""
        if project_uid:
            await asyncio.to_thread(self.of_run(self.base, project_uid, uuid).delete_all)
            await asyncio.to_thread(delete_logs, run_folder(self.base, project_uid, uuid))


#: None where this API keeps no files.
FILES: web.AppKey[KeptFiles | None] = web.AppKey("files")


class NoFiles(LookupError):
    """The API does not keep the files of runs. The text says where they are."""


async def find_files(request: web.Request, given: str | None = None) -> RunFiles:
    """The files of the run that the path names, or of the run of the given uuid, to read.

    Raises `RunNotFound`, and `NoFiles` where the API keeps none.
    """
    refuse_connection(request.query.get("connection"))
    try:
        body = await find_run(request, Verb.LOGS, given)
    except RunNotFound:
        return await _find_files_left(request, parse_uuid(request, given))
    return await open_run_files(request, body)


async def _find_files_left(request: web.Request, uuid: str) -> RunFiles:
    """The files of a run whose Operation is gone."""
    project, caller = parse_project(request), request[CALLER]
    is_known = caller.is_run_of(project) and await is_upstream_of(request.app[RUNS], caller, uuid)
    if not is_known:
        await authorize(request.app[AUTH], caller, Verb.LOGS, project)
    files = await _open(request, uuid)
    if not await asyncio.to_thread(files.exists):
        raise RunNotFound(uuid)
    return files


async def find_reported_files(request: web.Request) -> RunFiles:
    """The files of the run that the path names, to add to them: its own token may, and people who
    may control it.
    """
    return await _open(request, run_uuid(await find_reporting_run(request)))


async def find_own_files(request: web.Request, verb: Verb) -> RunFiles:
    """The files of the run that the path names, if the caller may do `verb` to it or is the run."""
    if request[CALLER].is_run:
        return await find_reported_files(request)
    project, uuid = parse_project(request), parse_uuid(request)
    await authorize(request.app[AUTH], request[CALLER], verb, project)
    return await _open(request, uuid)


async def _open(request: web.Request, uuid: str) -> RunFiles:
    return await open_files(request, parse_project(request), uuid)


async def open_files(request: web.Request, project: str, uuid: str) -> RunFiles:
    """The files of a run that the caller may read. Raises `NoFiles` where the API keeps none."""
    kept = request.app[FILES]
    if kept is None:
        raise NoFiles(_explain_absence(request, uuid))
    return await kept.open(project, uuid)


async def open_run_files(request: web.Request, body: Body) -> RunFiles:
    """The files of a run to read: those of an earlier run, if it took that one's result. Raises
    `NoFiles`.
    """
    files = await open_files(request, body["metadata"]["namespace"], files_uuid(body))
    files.restarts = list_restarts(body)
    return files


async def delete_files(request: web.Request, project: str, uuid: str) -> None:
    """Delete all files of a run that was deleted."""
    kept = request.app[FILES]
    if kept is not None:
        await asyncio.to_thread((await kept.open(project, uuid)).delete_all)


def _explain_absence(request: web.Request, uuid: str) -> str:
    catalog = request.app[READ_CATALOG]()
    store = catalog.store if catalog else None
    if store is None:
        return "This API keeps no files of runs: OPSTRAND_DATA names no folder."
    return (
        f"The files of this run are in the store {store.name!r} ({store.kind}), in its folder "
        f"{uuid}; this API does not read that store."
    )


def refuse_connection(name: str | None) -> None:
    """Raise NotAcceptable for a request about another store than the run's own."""
    if name:
        raise NotAcceptable(f"connection: this API reads only its own store, not {name[:80]!r}")
