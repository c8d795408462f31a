"""The aiohttp application: routes, authentication, and the shape of errors.

Owns the middlewares, and passes `Runs` and `Auth` to the requests. Must not answer anything itself:
the modules of `published` do.

The routes, where P is /api/v1/OWNER/PROJECT, R is P/runs/UUID, and S is
/streams/v1/NAMESPACE/OWNER/PROJECT/runs/UUID. The last column says who may call: everyone (public),
a run with its own token (the run itself), or a caller with the RBAC verb on operations. "get*" is
get, or the token of a run for itself, its upstreams and its pipeline:

    GET    /healthz /readyz /api/v1/installation /api/v1/compatibility/...   public
    GET    /ui/...                                                           public
    GET    /api/v1/OWNER/projects/list, P, P/runs                            list, get
    POST   /api/v1/OWNER/projects/create, P/runs                             create
    GET    R, R/statuses, R/namespace                                        get*
    GET    R/lineage/{artifacts, artifacts/NAME, artifacts/names}            get*
    GET    R/lineage/{upstream, downstream, clones}                          get*
    PATCH  R                                                                 the run itself; patch
    POST   R/statuses, R/lineage/artifacts                                   the run itself; patch
    POST   R/{stop, skip, approve, invalidate, resume}                       patch
    POST   R/restart                                                         get and create
    DELETE R                                                                 delete
    GET    S/logs                                                            get* on pods/log
    GET    S/{artifact, artifacts, artifacts/tree}                           get* on pods/log
    GET    S/{events/KIND, resources}, and runs/multi/events/KIND            get* on pods/log
    PUT    S/{artifact, artifacts}                                           the run itself; patch
    POST   S/{artifact, artifacts}                                           the run itself; patch
    DELETE S/{artifact, artifacts}                                           the run itself; patch

    POST   /operator/v1/namespaces/NAMESPACE/runs (api.stored)               get, list

P/runs accepts the parameters query, sort, limit and offset. `api.v1` describes its own paths, below
/apis and /openapi; who may read them is a right on the resources of its own group. `api.pages` are
the pages for a browser, which ask `api.v1`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Middleware

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
from opstrand.api.published import (
    artifacts,
    control,
    events,
    health,
    lineage,
    logs,
    projects,
    runs,
    statuses,
    uploads,
)
from opstrand.api.published.archives import ARCHIVES, Archives
from opstrand.api.published.files import FILES, KeptFiles
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
from opstrand.api.published.transfers import Transfers
from opstrand.api.published.uploads import TRANSFERS
from opstrand.api.validation import Validation
from opstrand.core.planning.connections import Catalog
from opstrand.runs.protocols import Runs
from opstrand.runs.watchers import Watchers

#: Maximum bytes of a body: enough for a polyaxonfile with its scripts, or for 256 KiB of outputs. A
#: larger body is refused before it is read.
BODY_BYTES = 2 * 1024 * 1024

#: Where the paths of `api.v1` begin.
_RESOURCES = ("/apis", "/openapi")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: Whether the head of a request's answer was sent.
_STARTED: web.RequestKey[bool] = web.RequestKey("started", bool)


def new_application(*middlewares: Middleware) -> web.Application:
    """An application without routes, whose errors are answered by `answer_errors`."""
    app = web.Application(middlewares=(answer_errors, *middlewares), client_max_size=BODY_BYTES)
    app.on_response_prepare.append(_note_start)
    return app


async def _note_start(request: web.Request, response: web.StreamResponse) -> None:
    request[_STARTED] = True


def create_app(
    runs_keeper: Runs,
    auth: Auth,
    *,
    owner: str = "default",
    validation: Validation | None = None,
    contents: Contents | None = None,
    read_catalog: Callable[[], Catalog | None] = lambda: None,
    files: KeptFiles | None = None,
    limits: Limits = Limits(),  # noqa: B008
    is_proven: IsProven = nothing_is_proven,
    resources: Iterable[web.RouteDef] = (),
) -> web.Application:
    """The API over a store of runs.

    `owner` is the one owner that paths may name (besides `default`). `validation` validates
    submitted files; `contents` compiles the files of runs to show them. `read_catalog` returns the
    connections that runs may name, or None if they are not known. `files` are those of
    runs, if the API keeps any. `limits` bounds what one client may use. `is_proven` says
    without a TokenReview whether a token is genuine. `resources` are the routes of `api.v1` and of
    `api.pages`; a local run, which must start quickly, has none.
    """
    app = new_application(identify)
    app[RUNS], app[AUTH], app[OWNER] = runs_keeper, auth, owner
    app[WATCHERS], app[VALIDATION], app[READ_CATALOG] = (
        Watchers(),
        validation or Validation(),
        read_catalog,
    )
    app[CONTENTS] = contents or Contents()
    app[LIMITS], app[HELD], app[BODY_TURNS] = limits, Held(limits), make_body_turns()
    app[TOKEN_GATE] = TokenGate(limits, is_proven)
    app[FILES], app[TRANSFERS], app[ARCHIVES] = files, Transfers(), Archives()
    app.on_cleanup.append(app[ARCHIVES].close)
    for routes in (health, projects, runs, statuses, lineage, control, logs):
        app.add_routes(routes.ROUTES)
    for more in (artifacts, uploads, events):
        app.add_routes(more.ROUTES)
    app.add_routes(resources)
    return app


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Require a token that identifies a caller on every path except the public ones."""
    if request.match_info.http_exception is None and not health.is_public(request):
        token = parse_token(request.headers.getall("Authorization", []))
        request[CALLER] = await request.app[TOKEN_GATE].identify(
            request.app[AUTH].identify, token, request.remote or ""
        )
    return await handler(request)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as JSON with a `detail`, or as a Status of Kubernetes where `api.v1` is.

    A bug is logged once with its traceback, and its answer says no more than that it is a bug.
    After the head of another answer, the connection is cut instead: half a file, archive or log
    must not look like a whole one.
    """
    try:
        return await handler(request)
    except Exception as error:
        answer = _answer_error(request, error)
        if _STARTED in request and request.transport is not None:
            request.transport.abort()
        return _as_status(answer) if request.path.startswith(_RESOURCES) else answer


def _as_status(answer: web.Response) -> web.Response:
    from opstrand.api.v1.answers import as_status

    return as_status(answer)


def _answer_error(request: web.Request, error: Exception) -> web.Response:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        # The published client does not know status 413.
        return answer_detail(
            400,
            f"the body is more than the {request.client_max_size:,} bytes that are read; fetch "
            "large files with init",
        )
    if isinstance(error, web.HTTPException):
        if error.status < 400:
            raise error
        return answer_detail(error.status, "No such path." if error.status == 404 else error.reason)
    return answer_error(request, error)
