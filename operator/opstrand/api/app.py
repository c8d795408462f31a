"""The aiohttp application: routes, who asks, and how errors look.

Owns the middlewares and the wiring of `Runs` and `Auth` into requests. Must not answer anything
itself: that is `routes/`' business. The surface, where P is /api/v1/OWNER/PROJECT and R is
P/runs/UUID (who may: public, a run's own token, or the RBAC verb on operations):

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

from collections.abc import Awaitable, Callable

from aiohttp import web

from opstrand.api.auth.callers import Auth, parse_token
from opstrand.api.contents import Contents
from opstrand.api.failures import answer_detail, answer_error
from opstrand.api.limits import (
    Held,
    IsProven,
    Limits,
    TokenGate,
    make_body_turns,
    nothing_is_proven,
)
from opstrand.api.published import control, health, lineage, logs, projects, runs, statuses
from opstrand.api.published.request import (
    AUTH,
    BODY_TURNS,
    CALLER,
    CONTENTS,
    HELD,
    LIMITS,
    OWNER,
    READ_CATALOG,
    RUNS,
    TOKEN_GATE,
    VALIDATION,
    WATCHERS,
)
from opstrand.api.validation import Validation
from opstrand.core.planning.connections import Catalog
from opstrand.runs.protocols import Runs
from opstrand.runs.watchers import Watchers

#: A polyaxonfile with its scripts, or 256 KiB of outputs with room to spare; more is refused before
#: it is read.
BODY_BYTES = 2 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    runs_keeper: Runs,
    auth: Auth,
    *,
    owner: str = "default",
    validation: Validation | None = None,
    contents: Contents | None = None,
    read_catalog: Callable[[], Catalog | None] = lambda: None,
    limits: Limits = Limits(),  # noqa: B008
    is_proven: IsProven = nothing_is_proven,
) -> web.Application:
    """The API over whoever keeps the runs. `owner` is the one owner that paths may name (and
    `default`).

    `validation` says where sent files are validated, `contents` where those of runs are compiled to
    be shown. `read_catalog` gives the connections that runs may name, None where that is not known.
    `limits` bounds what one client may use; `is_proven` says without asking anyone that a token is
    no one's invention.
    """
    app = web.Application(middlewares=[answer_errors, identify], client_max_size=BODY_BYTES)
    app[RUNS], app[AUTH], app[OWNER] = runs_keeper, auth, owner
    app[WATCHERS], app[VALIDATION], app[READ_CATALOG] = (
        Watchers(),
        validation or Validation(),
        read_catalog,
    )
    app[CONTENTS] = contents or Contents()
    app[LIMITS], app[HELD], app[BODY_TURNS] = limits, Held(limits), make_body_turns()
    app[TOKEN_GATE] = TokenGate(limits, is_proven)
    for routes in (health, projects, runs, statuses, lineage, control, logs):
        app.add_routes(routes.ROUTES)
    return app


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every path but the few public ones needs a token that proves somebody."""
    if request.match_info.http_exception is None and not health.is_public(request):
        token = parse_token(request.headers.getall("Authorization", []))
        request[CALLER] = await request.app[TOKEN_GATE].identify(
            request.app[AUTH].identify, token, request.remote or ""
        )
    return await handler(request)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is JSON with a `detail`; a bug is logged once with its traceback and says no more
    than that it is one.
    """
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:  # the published client knows no 413
        return answer_detail(
            400,
            f"the body is more than the {request.client_max_size:,} bytes that are read; fetch "
            "large files with init",
        )
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return answer_detail(error.status, "No such path." if error.status == 404 else error.reason)
    except Exception as error:
        return answer_error(request, error)
