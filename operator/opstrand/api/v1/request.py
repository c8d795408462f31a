"""What every route does first: check the caller's right on the path, and find its run.

Must not answer.
"""

from __future__ import annotations

import re
from typing import TypeVar

from aiohttp import web

from opstrand.api.auth.callers import Forbidden, Verb
from opstrand.api.published.request import AUTH, CALLER, RUNS, NotAcceptable, validate
from opstrand.api.v1.models import Model
from opstrand.core.names import is_namespace
from opstrand.runs.protocols import ProjectNotFound, RunNotFound
from opstrand.types import Body

_UUID = re.compile(r"[0-9a-f]{32}")
#: Right -> what a person without it may not do.
_WORDS = {
    Verb.LIST_RUNS: "list runs",
    Verb.GET_RUN: "get runs",
    Verb.DELETE_RUN: "delete runs",
    Verb.DELETE: "delete operations",
    Verb.READ_LOG: "read the logs of runs",
    Verb.READ_ARTIFACTS: "read the artifacts of runs",
    Verb.WRITE_ARTIFACTS: "add to the artifacts of runs",
    Verb.DELETE_ARTIFACTS: "delete artifacts of runs",
    Verb.CREATE: "create operations",
    Verb.CONTROL: "patch operations",
}
Query = TypeVar("Query", bound=Model)


def parse_query(request: web.Request, model: type[Query]) -> Query:
    """The parameters; those that the model does not have are ignored, as in Kubernetes.

    Raises `NotAcceptable`, also for one that was sent twice.
    """
    known = {field.alias or name for name, field in model.model_fields.items()}
    twice = [name for name in known if len(request.query.getall(name, [])) > 1]
    if twice:
        raise NotAcceptable(f"{twice[0]}: it was sent more than once")
    return validate(model, dict(request.query))


async def require(request: web.Request, verb: Verb, project: str) -> None:
    """Raises `Forbidden` unless the caller has the right in the project ("": in every one).

    It says the same whether there is such a project and run or not.
    """
    caller = request[CALLER]
    if not await request.app[AUTH].may(caller, verb, project):
        where = f"in {project}" if project else "in every project"
        raise Forbidden(f"{caller.name} may not {_WORDS[verb]} {where}.")


async def find_project(request: web.Request, verb: Verb) -> str:
    """The project of the path, if the caller has the right in it."""
    project = request.match_info["namespace"]
    if not is_namespace(project):
        raise ProjectNotFound(project)
    await require(request, verb, project)
    return project


async def find_run(request: web.Request, verb: Verb) -> Body:
    """The run of the path, by its uuid or as the newest of this name. Raises `RunNotFound`."""
    project, name = await find_project(request, verb), request.match_info["name"]
    runs, uuid = request.app[RUNS], name.replace("-", "").lower()
    if _UUID.fullmatch(uuid):
        try:
            return await runs.get(project, uuid)
        except RunNotFound:
            # Texts of this form are names too.
            pass
    return await runs.named(project, name)
