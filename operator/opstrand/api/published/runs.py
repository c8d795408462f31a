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

#: The frozen inputs are the operator's alone.
_MAPS = {"inputs": "reportedInputs", "outputs": "outputs", "meta_info": "meta"}


class RunPatch(BaseModel):
    """What PATCH run takes.

    With `merge` keys and tags are added, without it they replace what was there.
    """

    model_config = ConfigDict(extra="ignore")  # the published client may send a whole run back

    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    meta_info: dict[str, Any] | None = None
    tags: list[str] | None = Field(default=None, max_length=200)
    name: str | None = Field(default=None, min_length=1, max_length=250)
    description: str | None = None
    readme: str | None = None
    merge: bool = False

    def edit(self) -> Edit:
        """The same as a change of the status."""
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
    """Answered once it is stored: what a container was told is kept, is kept."""
    body, patch = await read_report(request, RunPatch)
    if patch.name == run_name(body):  # a client that sends a whole run back changes nothing of it
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
