"""An HTTP session to one API server, with the caller's own credentials.

Owns how credentials are found (the official package does it: kubeconfig, exec plugins, the service
account of the Pod) and how they are renewed. Must not know any resource. kopf gets the same
session, so that both share connections and tokens.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from opstrand.errors import PlatformError
from opstrand.kube.contexts import list_kubeconfigs, name_contexts, read_kubeconfig
from opstrand.kube.credentials import (
    SERVICE_HOST_ENV_NAME,
    ConfigException,
    Configuration,
    keep_login_errors,
    load_incluster_config,
    load_kube_config,
)
from opstrand.kube.proxy import find_proxy, read_proxy
from opstrand.text import suggest

#: Seconds between two calls of an exec plugin. A plugin that gave its token an expiry is called
#: again only shortly before that.
_LOGIN_INTERVAL = 60.0

OnAnswer = Callable[[str, str, int, float], None]


@dataclass
class Session:
    """An open session to the API server.

    `server` is its URL without a trailing slash; `namespace` is that of the context.
    """

    server: str
    namespace: str
    http: aiohttp.ClientSession
    _refresher: asyncio.Task[None] | None = field(default=None, repr=False)
    _open: Callable[[int], aiohttp.ClientSession] | None = field(default=None, repr=False)

    def open_pool(self, connections: int) -> Session:
        """The same credentials over a separate connection pool, which requests of this session
        cannot exhaust. The caller closes it.
        """
        assert self._open is not None, "made by open_session"
        return Session(self.server, self.namespace, self._open(connections), _open=self._open)

    async def close(self) -> None:
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
        await self.http.close()

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def open_session(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    connections: int = 32,
    on_answer: OnAnswer | None = None,
) -> Session:
    """Open the session that the environment asks for: an explicit file or context, else
    $KUBECONFIG, else the service account of the Pod, else ~/.kube/config.

    `connections` limits the requests in flight. `on_answer` is called with method, URL, HTTP status
    and seconds of each request. Raises PlatformError if no usable credentials are found.
    """
    configuration = Configuration()
    inside = SERVICE_HOST_ENV_NAME in os.environ and not (
        kubeconfig or context or os.environ.get("KUBECONFIG")
    )
    loader: Any = None
    namespace = "default"
    try:
        if inside:
            load_incluster_config(client_configuration=configuration)
            namespace = _own_namespace()
        else:
            files = _find_kubeconfigs(kubeconfig)
            with keep_login_errors() as login_errors:
                loader = await _load(files, context or _find_context(files), configuration)
            namespace = loader.current_context.get("context", {}).get("namespace") or "default"
            _validate(loader, configuration, login_errors)
        tls = _tls(configuration)
        configuration.proxy = _choose_proxy(configuration)
    except ssl.SSLError as error:
        raise _refuse(f"a certificate or key cannot be read ({error})") from error
    except (_LoginFailed, _NoContext) as error:
        raise _refuse(str(error), error.advice) from error
    except Exception as error:
        # The package does not validate a kubeconfig: an invalid one can raise any exception.
        raise _refuse(
            str(error)
            if isinstance(error, (ConfigException, OSError))
            else f"the kubeconfig cannot be read ({error})"
        ) from error

    def open_http(limit: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=limit),
            trace_configs=[_trace(on_answer)] if on_answer else [],
            middlewares=(_authorize(configuration),),
            proxy=configuration.proxy,
            headers={"User-Agent": "opstrand"},
            timeout=aiohttp.ClientTimeout(total=None, connect=10, sock_connect=10),
        )

    refresher = None
    if loader is not None and "exec" in (loader._user or {}):
        refresher = asyncio.create_task(_log_in_again(loader, configuration, tls))
    return Session(
        configuration.host.rstrip("/"), namespace, open_http(connections), refresher, open_http
    )


def _trace(on_answer: OnAnswer) -> aiohttp.TraceConfig:
    """Report each request once its answer begins."""
    trace = aiohttp.TraceConfig()

    async def begin(_: Any, context: Any, __: Any) -> None:
        context.since = time.monotonic()

    async def end(_: Any, context: Any, found: aiohttp.TraceRequestEndParams) -> None:
        seconds = time.monotonic() - context.since
        on_answer(found.method, str(found.url), found.response.status, seconds)

    trace.on_request_start.append(begin)
    trace.on_request_end.append(end)
    return trace


class _LoginFailed(Exception):
    """The login command of the kubeconfig failed."""

    advice = "Run that command by hand, log in again, or choose another --context."


class _NoContext(Exception):
    """The kubeconfig has no context of this name."""

    advice = "Choose one of them by --context, or another file by --kubeconfig or $KUBECONFIG."


def _refuse(message: str, advice: str = "") -> PlatformError:
    return PlatformError(
        f"no usable Kubernetes credentials: {message}", reason="ClusterUnreachable", advice=advice
    )


def _find_kubeconfigs(given: str | None) -> list[str]:
    """The non-empty ones of the given files, which colons separate. The error names the missing
    file: the package would only complain about its contents.
    """
    paths = list_kubeconfigs(given)
    there = [path for path in paths if os.path.exists(path)]
    if not there:
        raise ConfigException(f"there is no kubeconfig at {' or '.join(paths)}")
    filled = [path for path in there if os.path.getsize(path) or Path(path).is_fifo()]
    if not filled:
        raise ConfigException(f"the kubeconfig {there[0]} is empty")
    return filled


def _find_context(files: list[str]) -> str | None:
    """The context of the first of several files that names one, as in kubectl; the package would
    use the last.
    """
    if len(files) == 1:
        return None
    return next(
        (str(name) for file in files if (name := read_kubeconfig(file).get("current-context"))),
        None,
    )


async def _load(files: list[str], context: str | None, configuration: Configuration) -> Any:
    try:
        return await load_kube_config(
            config_file=os.pathsep.join(files), context=context, client_configuration=configuration
        )
    except ConfigException:
        # Read again only now: a large kubeconfig takes long.
        _require_context(files, context)
        raise


def _require_context(files: list[str], context: str | None) -> None:
    """Raise _NoContext with the names that there are: the package shows none of them."""
    if any(Path(file).is_fifo() for file in files):  # it can be read only once
        return
    found = [read_kubeconfig(file) for file in files]
    names = name_contexts(found)
    wanted = context or next((one.get("current-context") for one in found), None)
    if names and wanted not in names:
        what = f"there is no context {wanted!r} in" if wanted else "there is no current-context in"
        hint = suggest(str(wanted or ""), names)
        raise _NoContext(f"{what} the kubeconfig {' or '.join(files)}{hint}")


def _validate(loader: Any, configuration: Configuration, login_errors: Sequence[str]) -> None:
    """Check what the package does not. Raises ConfigException for a server without a scheme, and
    for a login command that failed: the package only logs that, and goes on without credentials.
    """
    if not configuration.host.lower().startswith(("https://", "http://")):
        raise ConfigException(
            f"the kubeconfig's server {configuration.host!r} is no address: expected "
            "https://HOST:PORT"
        )
    login = loader._user.safe_get("exec") if loader._user else None
    if login and not (configuration.api_key or configuration.cert_file):
        why = f": {'; '.join(login_errors)}" if login_errors else ""
        raise _LoginFailed(f"the kubeconfig's command {login['command']!r} gave none{why}")


async def _log_in_again(
    loader: Any, configuration: Configuration, tls: ssl.SSLContext | bool
) -> None:
    """Renew the token or certificate of a login command before it expires. The package logs the
    failures of the command.
    """
    while True:
        await asyncio.sleep(_LOGIN_INTERVAL)
        await loader.load_from_exec_plugin()
        if hasattr(loader, "token"):
            configuration.api_key["BearerToken"] = loader.token
        elif isinstance(tls, ssl.SSLContext):
            tls.load_cert_chain(loader.cert_file, keyfile=loader.key_file)


def _authorize(configuration: Configuration) -> Any:
    async def authorize(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # Read for each request: the kubelet rotates the mounted token, and the configuration
        # re-reads it.
        token = await configuration.get_api_key_with_prefix("BearerToken", "authorization")
        if token and "Authorization" not in request.headers:
            request.headers["Authorization"] = token
        request.server_hostname = configuration.tls_server_name
        return await handler(request)

    return authorize


def _tls(configuration: Configuration) -> ssl.SSLContext | bool:
    if not configuration.host.startswith("https"):
        return True
    context = ssl.create_default_context(
        cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data
    )
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # Certificates of clusters set up by hand often lack key identifiers, which Python 3.13 refuses
    # by default.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags.VERIFY_DEFAULT)
    return context


def _choose_proxy(configuration: Configuration) -> str | None:
    """The proxy of the kubeconfig's cluster, else that of the environment, as in kubectl."""
    try:
        if configuration.proxy:
            return read_proxy(configuration.proxy, "the kubeconfig's proxy-url")
        return find_proxy(configuration.host, os.environ)
    except ValueError as error:
        raise ConfigException(str(error)) from error


def _own_namespace() -> str:
    try:
        with open(
            "/var/run/secrets/kubernetes.io/serviceaccount/namespace", encoding="utf-8"
        ) as file:
            return file.read().strip()
    except OSError:
        return "default"
