"""One run: read it, and write what it reports about itself."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from opstrand.api.auth.callers import Verb
from opstrand.api.published.reports import read_report, store_report
from opstrand.api.published.request import OWNER, RUN, find_run, view_whole
from opstrand.api.published.views import run_view
from opstrand.runs.bodies import run_name
from opstrand.runs.status_edits import Edit, MapEdit, TagsEdit

#: Only the operator writes the frozen inputs, so reported inputs have a field of their own.
_MAPS = {"inputs": "reportedInputs", "outputs": "outputs", "meta_info": "meta"}


class RunPatch(BaseModel):
    """The body of PATCH run.

    With `merge`, keys and tags are added; without it, they replace the stored ones.
    """

    # The published client may send a whole run back.
    model_config = ConfigDict(extra="ignore")

    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    meta_info: dict[str, Any] | None = None
    tags: list[str] | None = Field(default=None, max_length=200)
    name: str | None = Field(default=None, min_length=1, max_length=250)
    description: str | None = None
    readme: str | None = None
    merge: bool = False

    def edit(self) -> Edit:
        """The patch as a change of the status."""
        maps = {
            stored: MapEdit(values, not self.merge)
            for wire, stored in _MAPS.items()
            if (values := getattr(self, wire)) is not None
        }
        if self.readme is not None:
            maps["meta"] = maps.get("meta", MapEdit({})).then(MapEdit({"readme": self.readme}))
        tags = None if self.tags is None else TagsEdit(tuple(self.tags), not self.merge)
        return Edit(maps=maps, tags=tags, description=self.description, name=self.name)


async def get_run(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    return web.json_response(await view_whole(request, body))


async def patch_run(request: web.Request) -> web.Response:
    """Store a report; the answer is sent only once it is stored, so that the container can rely on
    it.
    """
    body, patch = await read_report(request, RunPatch)
    # A client that sends a whole run back does not mean to rename it.
    if patch.name == run_name(body):
        patch.name = None
    edit = patch.edit()
    stored = body if edit.is_empty() else await store_report(request, body, edit)
    return web.json_response(run_view(stored, request.app[OWNER]))


async def get_namespace(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.READ)
    return web.json_response({"namespace": body["metadata"]["namespace"]})


ROUTES = [
    web.get(RUN, get_run),
    web.patch(RUN, patch_run),
    web.get(RUN + "/namespace", get_namespace),
]
