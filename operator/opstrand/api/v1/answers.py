"""Answers in the shape of Kubernetes: JSON with an ETag, and errors as its Status.

Must not decide what is an error: `api.failures` does.
"""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import Any

from aiohttp import web

from opstrand.api.long_json import dump_long
from opstrand.api.v1.models import Failure
from opstrand.kube.resources import RUNS

#: HTTP status -> the reason by which Kubernetes' clients know it.
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


def answer_json(request: web.Request, value: dict[str, Any]) -> web.Response:
    """The value as JSON, or 304 if the caller has the same already."""
    return _answer(request, json.dumps(value, separators=(",", ":")))


async def answer_long_json(request: web.Request, value: dict[str, Any]) -> web.Response:
    """The same for a value of megabytes."""
    return _answer(request, await dump_long(value))


def _answer(request: web.Request, text: str) -> web.Response:
    tag = hashlib.sha256(text.encode()).hexdigest()[:32]
    if any(one.value in (tag, "*") for one in request.if_none_match or ()):
        answer = web.Response(status=304)
    else:
        answer = web.Response(text=text, content_type="application/json")
    answer.etag = tag
    answer.headers["Cache-Control"] = "no-cache, private"
    return answer


def as_status(answer: web.Response) -> web.Response:
    """An error of `api.failures` as Kubernetes says it; its headers stay."""
    detail = str(json.loads(answer.text or "{}").get("detail", ""))
    failure = Failure(
        message=detail,
        reason=_REASONS.get(answer.status) or HTTPStatus(answer.status).phrase.replace(" ", ""),
        code=answer.status,
        # It separates "no such run" from "no such kind of object".
        details={"group": RUNS.group, "kind": RUNS.plural} if answer.status == 404 else None,
    )
    answer.text = json.dumps(failure.as_json())
    return answer
