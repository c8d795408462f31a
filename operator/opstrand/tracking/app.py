"""The aiohttp application: routes, who asks, and how errors look.

Owns the middlewares and the wiring of `Runs` and `Auth` into requests. Must not answer anything itself: that is `routes/`' business.
The surface, where P is /api/v1/OWNER/PROJECT and R is P/runs/UUID (who may: public, a run's own token, or the RBAC verb on operations):

    GET    /healthz /readyz /api/v1/installation /api/v1/compatibility/...   public
    GET    /api/v1/OWNER/projects/list, P, P/runs                            list, get; P/runs takes query, sort, limit, offset
    POST   /api/v1/OWNER/projects/create, P/runs                             create
    GET    R, R/statuses, R/namespace                                        get; a run: itself, upstreams, pipeline
    GET    R/lineage/{artifacts, artifacts/NAME, artifacts/names}            get; a run: itself, upstreams, pipeline
    GET    R/lineage/{upstream, downstream, clones}                          get; a run: itself, upstreams, pipeline
    PATCH  R                                                                 the run itself; patch
    POST   R/statuses, R/lineage/artifacts                                   the run itself; patch
    POST   R/{stop, skip, approve, invalidate, resume}                       patch
    POST   R/restart                                                         get and create
    DELETE R                                                                 delete
    GET    /streams/v1/NAMESPACE/OWNER/PROJECT/runs/UUID/logs                get on pods/log; a run: itself, upstreams, pipeline
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from opstrand.core.pods.connections import Catalog
from opstrand.errors import PlatformError, SpecError
from opstrand.tracking.auth import Auth, Forbidden, Unauthenticated, parse_token
from opstrand.tracking.edits import TooLarge
from opstrand.tracking.routes import control, health, lineage, logs, projects, runs, statuses
from opstrand.tracking.routes.request import AUTH, CALLER, OWNER, READ_CATALOG, RUNS, VALIDATION, WATCHERS, NotAcceptable
from opstrand.tracking.runs import ProjectNotFound, Refused, RunNotFound, Runs
from opstrand.tracking.validation import TooManyRequests, Validation
from opstrand.tracking.watchers import Watchers

logger = logging.getLogger(__name__)

#: A polyaxonfile with its scripts, or 256 KiB of outputs with room to spare; more is refused before it is read.
BODY_BYTES = 2 * 1024 * 1024

#: Seconds until somebody who met trouble of ours should ask again: the published client does, three times, for what it reads.
_TRY_AGAIN = 5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    runs_keeper: Runs,
    auth: Auth,
    *,
    owner: str = "default",
    validation: Validation | None = None,
    read_catalog: Callable[[], Catalog | None] = lambda: None,
) -> web.Application:
    """The API over whoever keeps the runs. `owner` is the one owner that paths may name (and `default`).

    `validation` says where sent files are validated. `read_catalog` gives the connections that runs may name, None where that is not known.
    """
    app = web.Application(middlewares=[answer_errors, identify], client_max_size=BODY_BYTES)
    app[RUNS], app[AUTH], app[OWNER] = runs_keeper, auth, owner
    app[WATCHERS], app[VALIDATION], app[READ_CATALOG] = Watchers(), validation or Validation(), read_catalog
    for routes in (health, projects, runs, statuses, lineage, control, logs):
        app.add_routes(routes.ROUTES)
    return app


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every path but the few public ones needs a token that proves somebody."""
    if request.match_info.http_exception is None and not health.is_public(request):
        token = parse_token(request.headers.get("Authorization"))
        request[CALLER] = await request.app[AUTH].identify(token)
    return await handler(request)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is JSON with a `detail`; a bug is logged once with its traceback and says no more than that it is one."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:  # the published client knows no 413
        return _answer(400, f"the body is more than the {request.client_max_size:,} bytes that are read; fetch large files with init")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _answer(error.status, "No such path." if error.status == 404 else error.reason)
    except Exception as error:
        return _answer_exception(request, error)


def _answer_exception(request: web.Request, error: Exception) -> web.Response:
    match error:
        case RunNotFound() | ProjectNotFound():
            return _answer(404, "Not found.")
        case Unauthenticated():
            return _answer(401, str(error), {"WWW-Authenticate": "Bearer"})
        case Forbidden():
            return _answer(403, str(error))
        case SpecError() | Refused() | TooLarge() | NotAcceptable() | web.RequestPayloadError():
            return _answer(400, str(error))
        case PlatformError():
            wait = max(1, round(error.retry_after or _TRY_AGAIN))
            status = 429 if isinstance(error, TooManyRequests) else 503
            return _answer(status, error.message, {"Retry-After": str(wait)})
        case _:
            logger.error("a bug in %s %s", request.method, request.path, exc_info=error)
            return _answer(500, "This is a bug of opstrand; the API's log has the details.")


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"detail": detail}, status=status, headers=headers)
