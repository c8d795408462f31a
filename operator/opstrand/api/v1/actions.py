"""What may be asked of a run: which actions there are for this caller now, and one of them.

Owns the answer to "why not?". What an action means is carried out by the operator, and who may take
it is a right on the run's Operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from opstrand.api.auth.callers import Verb
from opstrand.api.published.cloning import Clone, create_clone
from opstrand.api.published.control import order_to_resume, remove_run
from opstrand.api.published.request import AUTH, CALLER, RUNS, NotAcceptable, parse_body
from opstrand.api.v1.answers import answer_json
from opstrand.api.v1.models import Action, ActionList, ActionResult
from opstrand.api.v1.request import find_run, require
from opstrand.core.lifecycle.resume import describe_obstacle
from opstrand.core.phase import Phase
from opstrand.runs.bodies import is_final, phase, run_uuid
from opstrand.runs.protocols import Control
from opstrand.types import Body

_ENDED = "The run has ended."
#: Phases in which a run has not started.
_BEFORE = (Phase.CREATED, Phase.WAITING, Phase.QUEUED)


@dataclass(frozen=True)
class _Kind:
    """An action: the right that it needs on operations, and why a run refuses it now, or None."""

    verb: Verb
    refuse: Callable[[Body], str | None]
    control: Control | None = None


def _refuse_ended(body: Body) -> str | None:
    return _ENDED if is_final(body) else None


def _refuse_started(body: Body) -> str | None:
    if is_final(body):
        return _ENDED
    return None if phase(body) in _BEFORE else "The run has started."


def _refuse_unasked(body: Body) -> str | None:
    if is_final(body):
        return _ENDED
    is_asked = (body.get("spec") or {}).get("isApproved") is False
    return None if is_asked else "The run waits for no approval."


def _refuse_resume(body: Body) -> str | None:
    return describe_obstacle(body) or None


def _refuse_nothing(body: Body) -> str | None:
    return None


_KINDS = {
    "approve": _Kind(Verb.CONTROL, _refuse_unasked, Control(is_approved=True)),
    "skip": _Kind(Verb.CONTROL, _refuse_started, Control({"skip": True})),
    "stop": _Kind(Verb.CONTROL, _refuse_ended, Control({"stop": True})),
    "resume": _Kind(Verb.CONTROL, _refuse_resume),
    "restart": _Kind(Verb.CREATE, _refuse_nothing),
    "delete": _Kind(Verb.DELETE, _refuse_nothing),
}


async def list_actions(request: web.Request) -> web.Response:
    body = await find_run(request, Verb.GET_RUN)
    caller, project = request[CALLER], body["metadata"]["namespace"]
    items = []
    for name, kind in _KINDS.items():
        refusal = kind.refuse(body)
        if refusal is None and not await request.app[AUTH].may(caller, kind.verb, project):
            refusal = f"You need the right to {kind.verb.value} operations in {project}."
        items.append(Action(name=name, is_allowed=refusal is None, refusal=refusal))
    return answer_json(request, ActionList(items=items).as_json())


async def order_action(request: web.Request) -> web.Response:
    """Do it. Raises `NotAcceptable` where the run refuses it now."""
    body = await find_run(request, Verb.GET_RUN)
    name, project = request.match_info["action"], body["metadata"]["namespace"]
    kind = _KINDS.get(name)
    if kind is None:
        raise NotAcceptable(f"action: {name[:40]!r} is none: expected {', '.join(_KINDS)}")
    await require(request, kind.verb, project)
    if refusal := kind.refuse(body):
        raise NotAcceptable(f"{name}: {refusal}")
    orders, uuid = request.app[RUNS].on_behalf_of(request[CALLER]), run_uuid(body)
    made = None
    if kind.control is not None:
        await orders.control(project, uuid, kind.control)
    elif name == "resume":
        await order_to_resume(request, body)
    elif name == "restart":
        asked = await parse_body(request, Clone)
        created, _ = await create_clone(request, project, body, asked, {})
        made = run_uuid(created)
    else:
        await remove_run(request, body)
    return answer_json(request, ActionResult(name=name, uuid=made).as_json())
