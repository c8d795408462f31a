"""Serve the pages on this machine: over the local runs, or over a cluster's with the caller's own
kubeconfig.

Owns the two applications and the port. The API server decides every request of a cluster, as for
kubectl. Must not know what a page shows.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import ClientError, web
from yarl import URL

from opstrand.api.app import create_app, new_application
from opstrand.api.auth.callers import StaticToken
from opstrand.api.pages import routes as pages
from opstrand.api.pages.loopback import Door
from opstrand.api.published.files import KeptFiles
from opstrand.api.v1 import discovery
from opstrand.artifacts.folder import RunFiles
from opstrand.cli.errors import CliError, ExitCode
from opstrand.errors import PlatformError
from opstrand.kube.errors import ApiError, NotFound
from opstrand.kube.resources import RUNS
from opstrand.kube.session import Session
from opstrand.local.records import Records
from opstrand.local.session import LocalSession
from opstrand.settings import Settings

#: The port if none is asked for, and if it is free: browsers keep settings by it.
PORT = 8765
_ROOT = f"/apis/{RUNS.group}"
#: Headers that are passed on.
_ASKED = ("Accept", "Content-Type", "If-None-Match", "If-Range", "Range")
_ANSWERED = (
    *("Content-Type", "Content-Disposition", "Content-Range", "Accept-Ranges", "ETag"),
    *("Cache-Control", "X-Content-Type-Options", "Content-Security-Policy", "Retry-After"),
)
_BLOCK = 64 * 1024
#: The part of a path below which files are, whose size the page must know.
_FILES = "/artifacts/"


class LocalFolders(KeptFiles):
    """The files of local runs, which are in their project's folder."""

    def __init__(self, records: Records) -> None:
        async def read_uid(project: str) -> str:
            return project

        super().__init__(records.folder, read_uid)

    async def open(self, project: str, uuid: str) -> RunFiles:
        return RunFiles.at(Records(self.base).store_of(project) / uuid)


@asynccontextmanager
async def open_local_app(door: Door, say: Callable[[str], None]) -> AsyncIterator[web.Application]:
    """The application over the local runs. A run that is restarted runs here, and ends with it."""
    settings = Settings.from_environment()
    async with LocalSession(
        settings=settings, on_line=lambda path, line: None, on_note=say
    ) as session:
        app = create_app(
            session.runs,
            StaticToken(door.key),
            owner=settings.owner,
            files=LocalFolders(Records()),
            resources=[*door.routes, *discovery.ROUTES, *pages.ROUTES],
        )
        app.middlewares.append(door.guard())
        yield app


def create_cluster_app(door: Door, session: Session) -> web.Application:
    """The application that asks the API behind the API server, with the session's credentials."""

    async def forward(request: web.Request) -> web.StreamResponse:
        door.require_key(request)
        url = _address_of(session.server, request.raw_path)
        headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
        if _FILES in url.path:
            headers["Accept-Encoding"] = "identity"
        try:
            async with session.http.request(
                request.method,
                url,
                headers=headers,
                data=request.content if request.can_read_body else None,
                allow_redirects=False,
            ) as answer:
                kept = {one: answer.headers[one] for one in _ANSWERED if one in answer.headers}
                response = web.StreamResponse(status=answer.status, headers=kept)
                if "Content-Encoding" not in answer.headers:  # else it is the packed size
                    response.content_length = answer.content_length
                await response.prepare(request)
                async for block in answer.content.iter_chunked(_BLOCK):
                    await response.write(block)
                await response.write_eof()
                return response
        except (ClientError, TimeoutError) as error:
            if request.transport is None:
                raise ConnectionResetError from error
            raise PlatformError(f"the API server does not answer: {error}") from error

    app = new_application(door.guard())
    app.add_routes([*door.routes, *pages.ROUTES, web.route("*", f"{_ROOT}/{{rest:.*}}", forward)])
    return app


def _address_of(server: str, raw_path: str) -> URL:
    """The address behind the API server. Raises HTTPNotFound for any other path of the server: what
    sends a request, or a proxy on the way, resolves dot segments that the route does not.
    """
    try:
        base, url = URL(server), URL(server + raw_path)
    except ValueError:
        raise web.HTTPNotFound from None
    above = f"{base.raw_path.rstrip('/')}{_ROOT}/"
    is_below = url.origin() == base.origin() and url.raw_path.startswith(above)
    if not is_below or not {".", ".."}.isdisjoint(url.path.split("/")):
        raise web.HTTPNotFound
    return url


async def require_api(session: Session) -> None:
    """Raises CliError where the API is not behind the API server."""
    from opstrand.kube.client import KubeApi

    try:
        await KubeApi(session).probe(f"{_ROOT}/{RUNS.version}")
    except NotFound:
        raise CliError(
            "the API is not behind the cluster's API server, by which the pages ask it",
            hint="Add the component manifests/aggregated, or forward its port and paste a token: "
            "kubectl -n opstrand port-forward service/opstrand-api 8000; then open "
            "http://127.0.0.1:8000/ui/",
            code=ExitCode.NOT_FOUND,
        ) from None
    except ApiError as error:
        raise PlatformError(f"the API behind the API server does not answer: {error}") from error


@asynccontextmanager
async def listen(
    app: web.Application, door: Door, port: int | None, *, ends_with_reader: bool = False
) -> AsyncIterator[None]:
    """Serve on the loopback: on this port, or else on the usual one or any other.

    `ends_with_reader`: a request that no browser waits for any more is cancelled. A log that is
    passed on would keep its connection to the API server until the run ends.
    """
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=0.2, handler_cancellation=ends_with_reader
    )
    await runner.setup()
    try:
        await _bind(runner, PORT if port is None else port, is_asked=port is not None)
        door.port = int(runner.addresses[0][1])
        yield
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, port: int, *, is_asked: bool) -> None:
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as error:
        if is_asked or error.errno != errno.EADDRINUSE:
            raise CliError(
                f"port {port} cannot be listened on: {error.strerror}",
                hint="Choose another, or leave --port out.",
            ) from None
        await web.TCPSite(runner, "127.0.0.1", 0).start()
