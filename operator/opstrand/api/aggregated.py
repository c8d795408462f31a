"""The port behind the API server's aggregation layer: its certificate, the front proxy that it
trusts, and the authority in our APIService by which the API server trusts it.

Owns that all three are current, and that the port opens once they are known. Whatever is missing
is logged and tried again: runs need the API's other port in any case. Must not answer requests:
`api.v1` does.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from opstrand.api.app import Handler, new_application
from opstrand.api.auth import front_proxy
from opstrand.api.auth.front_proxy import FrontProxy, read_trust
from opstrand.api.connections import ConnectionLimits, Runner
from opstrand.api.own_certificate import OwnCertificate
from opstrand.api.published.files import FILES
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
    VALIDATION,
)
from opstrand.api.published.uploads import TRANSFERS
from opstrand.api.v1 import discovery
from opstrand.errors import PlatformError, SpecError
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import API_SERVICES, CONFIG_MAPS
from opstrand.kube.resources import RUNS as RUNS_RESOURCE
from opstrand.settings import Settings
from opstrand.types import Manifest

logger = logging.getLogger(__name__)

API_SERVICE = f"{RUNS_RESOURCE.version}.{RUNS_RESOURCE.group}"
#: Seconds between two looks, and between two tries until the port is open.
_INTERVAL, _SOON = 60.0, 5.0
_BACKLOG = 128


def create_aggregated_app(beside: web.Application, front_proxy: FrontProxy) -> web.Application:
    """What the API server's aggregation layer may ask: `api.v1` alone, over the same runs, rights
    and limits as the API `beside` it. Its port must be served with the front proxy's TLS.
    """

    @web.middleware
    async def identify_by_proxy(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.get_extra_info("ssl_object")
        request[CALLER] = front_proxy.identify(connection, request.headers)
        return await handler(request)

    app = new_application(identify_by_proxy)
    app[RUNS], app[AUTH], app[OWNER] = beside[RUNS], beside[AUTH], beside[OWNER]
    app[HELD], app[LIMITS] = beside[HELD], beside[LIMITS]
    app[CONTENTS], app[VALIDATION] = beside[CONTENTS], beside[VALIDATION]
    app[BODY_TURNS] = beside[BODY_TURNS]
    app[FILES], app[READ_CATALOG] = beside[FILES], beside[READ_CATALOG]
    app[TRANSFERS] = beside[TRANSFERS]
    app.add_routes(discovery.ROUTES)
    return app


@dataclass(frozen=True)
class Trusted:
    """What both sides need to trust each other, as it is in the cluster."""

    kube: KubeApi
    secret: str
    proxy: FrontProxy

    async def refresh(self) -> None:
        """Use the front proxy and the certificate that there are now, and publish our authority.

        Raises ApiError, PlatformError and SpecError; what was used before stays.
        """
        service = await self.kube.get(API_SERVICES, None, API_SERVICE)
        known = await self.kube.get(CONFIG_MAPS, front_proxy.NAMESPACE, front_proxy.CONFIG_MAP)
        trust = read_trust(known.get("data") or {})
        own = self.kube.session.namespace
        issued = await OwnCertificate(self.kube, own, self.secret, [_host(service)]).read()
        self.proxy.use(trust, issued)
        await self._publish(service, issued.authority)

    async def _publish(self, service: Manifest, authority: str) -> None:
        bundle = base64.b64encode(authority.encode()).decode()
        if service["spec"].get("caBundle") != bundle:
            ops = [{"op": "add", "path": "/spec/caBundle", "value": bundle}]
            await self.kube.json_patch(API_SERVICES, None, API_SERVICE, ops)
            logger.info("the authority was written to the APIService")


def _host(service: Manifest) -> str:
    """The name that the API server expects in the certificate."""
    place = service["spec"].get("service") or {}
    if not (place.get("name") and place.get("namespace")):
        raise PlatformError(f"the APIService {API_SERVICE} names no Service of ours")
    return f"{place['name']}.{place['namespace']}.svc"


@asynccontextmanager
async def open_port(
    beside: web.Application,
    kube: KubeApi,
    settings: Settings,
    *,
    host: str,
    limits: ConnectionLimits,
    cut_off: float,
) -> AsyncIterator[None]:
    """Serve the aggregation layer with the runs of the application `beside`, if the settings name a
    port for it.
    """
    if not settings.api_aggregated_port:
        yield
        return
    proxy = FrontProxy()
    app = create_aggregated_app(beside, proxy)
    runner = Runner(app, limits=limits, shutdown_timeout=cut_off, tls=proxy.read_context)
    await runner.setup()
    trusted = Trusted(kube, settings.api_aggregated_secret, proxy)
    site = web.TCPSite(runner, host, settings.api_aggregated_port, backlog=_BACKLOG)
    keeping = asyncio.create_task(_keep(trusted, site), name="aggregated")
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await runner.cleanup()


async def _start(site: web.TCPSite) -> None:
    """Raises OSError; then it can be started again."""
    try:
        await site.start()
    except OSError:
        await site.stop()
        raise


async def _keep(trusted: Trusted, site: web.TCPSite) -> None:
    """Open the port once everything is known, and keep it current, for ever."""
    is_open = False
    while True:
        try:
            await trusted.refresh()
            if not is_open:
                await _start(site)
                is_open = True
                logger.info("serving the aggregation layer", extra={"url": site.name})
        except (PlatformError, SpecError, OSError) as error:
            what = "the last state stays" if is_open else "its port stays closed"
            logger.warning("aggregation layer: %s; %s", error, what)
        await asyncio.sleep(_INTERVAL if is_open else _SOON)
