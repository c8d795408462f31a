"""What a run reports about itself, on its way from a request to its status.

Owns how a report is read (a number or character that no store keeps is converted, not refused) and
that the run's status names a report that was too large: the published client sends in the
background, and ignores the answer. Must not know which fields there are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from opstrand.api.published.request import (
    RUNS,
    Wanted,
    find_reporting_run,
    parse_json,
    read_body,
    validate,
)
from opstrand.core.lifecycle.conditions import REPORT_KEPT, get_condition
from opstrand.core.recorded import read_status
from opstrand.runs.bodies import run_uuid
from opstrand.runs.status_edits import Edit, TooLarge, make_storable
from opstrand.types import Body

_FIELDS = ("inputs", "outputs", "artifacts", "meta", "tags", "description", "name")
#: Field of a run -> reason why it was not kept. An error without a field has a reason for the whole
#: report.
_REASONS = {name: f"{name.capitalize()}TooLarge" for name in _FIELDS}


async def read_report(request: web.Request, model: type[Wanted]) -> tuple[Body, Wanted]:
    """The run that the caller may report for, and its report.

    Raises `NotAcceptable` and `TooLarge`.
    """
    body = await find_reporting_run(request)
    try:
        data = await read_body(request)
    except web.HTTPRequestEntityTooLarge:
        error = TooLarge(
            "a report",
            request.content_length or request.client_max_size + 1,
            request.client_max_size,
        )
        await _note(request, body, error)
        raise error from None
    return body, validate(model, make_storable(parse_json(data)))


async def store_report(request: web.Request, body: Body, edit: Edit) -> Body:
    """Store the report; returns the run with it."""
    try:
        return await request.app[RUNS].edit(body["metadata"]["namespace"], run_uuid(body), edit)
    except TooLarge as error:
        await _note(request, body, error)
        raise


async def _note(request: web.Request, body: Body, error: TooLarge) -> None:
    """Note it once: a program that keeps reporting too much must not cost a write each time."""
    known = get_condition(read_status(body).get("conditions"), REPORT_KEPT) or {}
    if known.get("reason") == _reason(error):
        return
    await request.app[RUNS].edit(
        body["metadata"]["namespace"], run_uuid(body), Edit(condition=_not_kept(error))
    )


def _not_kept(error: TooLarge) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts = {"type": REPORT_KEPT, "status": "False", "reason": _reason(error)}
    return {**facts, "message": str(error), "lastTransitionTime": now}


def _reason(error: TooLarge) -> str:
    """One reason per field, so that the condition says which field was noted already."""
    return _REASONS.get(error.field_name, "TooLarge")
