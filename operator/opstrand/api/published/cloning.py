"""New runs of an operation that ran before: restart and copy.

Owns what of a run its clone gets: the operation, which stands alone if a pipeline made the run; a
copy gets files too. Also of runs whose Operation is gone: their record has all of it. Must not
change the original.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from opstrand.api.auth.callers import Verb
from opstrand.api.published.request import (
    CALLER,
    RUNS,
    NotAcceptable,
    find_project,
    find_run,
    parse_body,
    parse_content,
    view_whole,
)
from opstrand.api.published.warnings import warn
from opstrand.api.submission import Submitted, new_operation
from opstrand.core.compiling.standalone import stand_alone
from opstrand.core.identity import read_copied
from opstrand.core.names import COPIED, PLATFORM_RETRIES, RESTART_OF
from opstrand.runs.bodies import run_kind, run_uuid
from opstrand.types import Body

#: Kinds of runs that have no Pod, and so no files of their own.
_WITHOUT_FILES = ("dag", "matrix", "schedule")


class CopiedArtifacts(BaseModel):
    """Files and folders of the original, each after its uuid."""

    model_config = ConfigDict(extra="ignore")

    files: list[str] | None = None
    dirs: list[str] | None = None


class CloneFacts(BaseModel):
    """What the published client says beside the content.

    `recompile`: the content is a whole file, and not merged over the original's.
    """

    model_config = ConfigDict(extra="ignore")

    copy_artifacts: CopiedArtifacts | None = None
    recompile: bool = False


class Clone(BaseModel):
    """The body of POST restart, copy and resume; without `content` the run's own file is used."""

    model_config = ConfigDict(extra="ignore")

    content: str | None = None
    name: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    meta_info: CloneFacts | None = None


async def restart(request: web.Request) -> web.Response:
    """Create a new run of the same operation."""
    body = await find_run(request, Verb.READ)
    return await _clone(request, body, await parse_body(request, Clone), {})


async def copy(request: web.Request) -> web.Response:
    """Create a new run of the same operation with files of the original in its folder."""
    body = await find_run(request, Verb.READ)
    asked = await parse_body(request, Clone)
    kind = run_kind(body)
    if kind in _WITHOUT_FILES:
        raise NotAcceptable(f"a run of kind {kind} has no files of its own to copy: restart it")
    return await _clone(request, body, asked, {COPIED: json.dumps(_read_parts(asked, body))})


def _read_parts(asked: Clone, body: Body) -> dict[str, list[str]]:
    """Return the paths to copy, in the original's folder; none: all of it."""
    given = asked.meta_info and asked.meta_info.copy_artifacts
    named = {"files": given.files, "dirs": given.dirs} if given else {}
    parts = {key: [_strip(path, body) for path in paths] for key, paths in named.items() if paths}
    annotations = {RESTART_OF: run_uuid(body), COPIED: json.dumps(parts)}
    read_copied({"annotations": annotations})  # raises for what the operator would refuse
    return parts


def _strip(path: str, body: Body) -> str:
    uuid, _, rest = path.partition("/")
    if uuid != run_uuid(body):
        raise NotAcceptable(
            f"copy_artifacts: expected a path after the run's uuid {run_uuid(body)}, found "
            f"{path[:80]!r}"
        )
    return rest.strip("/")


async def _clone(
    request: web.Request, body: Body, asked: Clone, notes: Mapping[str, str]
) -> web.Response:
    project = await find_project(request, Verb.CREATE)
    created, submitted = await create_clone(request, project, body, asked, notes)
    return warn(web.json_response(await view_whole(request, created), status=201), submitted.notes)


async def create_clone(
    request: web.Request,
    project: str,
    body: Body,
    asked: Clone,
    notes: Mapping[str, str],
) -> tuple[Body, Submitted]:
    """Create a new run of a run's operation. The caller must have the right."""
    submitted = await _submit(request, project, body, asked)
    before = body["metadata"].get("annotations") or {}
    kept = {key: before[key] for key in (PLATFORM_RETRIES,) if key in before}
    made = _annotate(submitted.body, {**kept, RESTART_OF: run_uuid(body), **notes})
    created = await request.app[RUNS].on_behalf_of(request[CALLER]).create(project, made)
    return created, submitted


async def _submit(request: web.Request, project: str, body: Body, asked: Clone) -> Submitted:
    given = {"name": asked.name, "description": asked.description, "tags": asked.tags}
    is_whole = asked.meta_info is not None and asked.meta_info.recompile
    if asked.content is not None and is_whole:
        return await parse_content(request, project, asked.content, **given)
    spec = stand_alone(body)
    if asked.content is not None:
        return await parse_content(request, project, asked.content, over=spec, **given)
    return Submitted(
        new_operation({**spec, **{key: value for key, value in given.items() if value is not None}})
    )


def _annotate(made: dict[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
    annotations = {**(made["metadata"].get("annotations") or {}), **notes}
    return {**made, "metadata": {**made["metadata"], "annotations": annotations}}
