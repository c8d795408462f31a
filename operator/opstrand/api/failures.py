"""Errors on the wire: JSON with a `detail`, and a status that the published client knows.

Owns which errors are the caller's fault, and what is logged: a client's mistake is one line now and
then, a bug is logged with its traceback. Must not raise.
"""

from __future__ import annotations

import errno
import logging
from typing import Any

from aiohttp import web

from opstrand.api.auth.callers import Forbidden, Unauthenticated
from opstrand.api.limits import Busy, TooSlow
from opstrand.api.published.files import NoFiles
from opstrand.api.published.request import NotAcceptable
from opstrand.api.validation import TooManyRequests
from opstrand.artifacts.archive import BadArchive
from opstrand.artifacts.names import BadPath, MissingFile
from opstrand.artifacts.receiving import Mismatch
from opstrand.errors import PlatformError, SpecError
from opstrand.logs import Sparse
from opstrand.runs.protocols import ProjectNotFound, Refused, RunNotFound
from opstrand.runs.status_edits import TooLarge

logger = logging.getLogger(__name__)
_sparse = Sparse(logger)

#: Seconds after which a client may retry after a failure on our side; the published client retries
#: reads three times.
_TRY_AGAIN = 5.0
#: The caller's mistakes: answered with 400, since the published client does not know 422.
_MISTAKES = (
    SpecError,
    Refused,
    TooLarge,
    NotAcceptable,
    BadPath,
    BadArchive,
    web.RequestPayloadError,
)


def answer_error(request: web.Request, error: Exception) -> web.Response:
    """The answer for an exception that a route raised."""
    match error:
        case MissingFile() | NoFiles() | Mismatch() | OSError(errno=errno.ENOSPC | errno.EDQUOT):
            answer = _answer_about_files(request, error)
        case RunNotFound() | ProjectNotFound():
            answer = answer_detail(404, "Not found.")
        case Unauthenticated() | Forbidden():
            answer = _answer_about_rights(error)
        case Busy():
            _sparse.info("refused: more than one client's share", **_about(request), why=str(error))
            answer = _try_again(429, str(error), error.retry_after)
        case TooSlow():
            _sparse.info("closed: a body did not come in time", **_about(request))
            answer = answer_detail(408, str(error))
            answer.force_close()
        case TooManyRequests():
            answer = _try_again(429, error.message, error.retry_after or _TRY_AGAIN)
        case PlatformError():
            answer = _try_again(503, error.message, error.retry_after or _TRY_AGAIN)
        case ConnectionError() if request.transport is None:
            # The client hung up: that is not an error of ours, and this answer reaches no one.
            answer = answer_detail(400, "The connection was closed.")
        case SpecError(suggestions=(suggestion, *_)):
            answer = answer_detail(400, f"{error}\nAs a component it is:\n{suggestion}")
        case _ if isinstance(error, _MISTAKES):
            answer = answer_detail(400, str(error))
        case _:
            logger.error("a bug in %s %s", request.method, request.path, exc_info=error)
            answer = answer_detail(500, "This is a bug of opstrand; the API's log has the details.")
    return answer


def _answer_about_rights(error: Exception) -> web.Response:
    if isinstance(error, Unauthenticated):
        return answer_detail(401, str(error), {"WWW-Authenticate": "Bearer"})
    return answer_detail(403, str(error))


def _answer_about_files(request: web.Request, error: Exception) -> web.Response:
    if isinstance(error, OSError):
        _sparse.info("the volume is full", **_about(request))
        return answer_detail(507, "The volume on which the API keeps files is full.")
    # Only our collector sends announced files: the published client does not know 409.
    return answer_detail(409 if isinstance(error, Mismatch) else 404, str(error))


def answer_detail(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"detail": detail}, status=status, headers=headers)


def _try_again(status: int, detail: str, seconds: float) -> web.Response:
    return answer_detail(status, detail, {"Retry-After": str(max(1, round(seconds)))})


def _about(request: web.Request) -> dict[str, Any]:
    return {"method": request.method, "path": request.path, "peer": request.remote}
