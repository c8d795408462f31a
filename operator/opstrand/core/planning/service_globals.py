"""`globals.ports`, `base_url` and `base_urls`: values that only a service's templates read.

Owns the default port and the paths under which a gateway shows a service. Must not know the
Kubernetes objects of a service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.identity import Identity
from opstrand.core.limits import PORTS

KIND = "service"
#: The port of the published `base_url`, used if no port is given.
DEFAULT_PORT = 80
#: The first part of the path under which a gateway shows a service, by isExternal and rewritePath.
_LOCATIONS = {
    (False, False): "services",
    (False, True): "rewrite-services",
    (True, False): "external",
    (True, True): "rewrite-external",
}


def render_service_globals(identity: Identity, run: Mapping[str, Any]) -> dict[str, Any]:
    """Render `globals.ports`, `base_url` and `base_urls` as the published package does."""
    ports = run.get("ports")
    known = ports if isinstance(ports, list) and ports else [DEFAULT_PORT]
    location = _LOCATIONS[run.get("isExternal") is True, run.get("rewritePath") is True]
    root = (
        f"/{location}/v1/{identity.project}/{identity.owner}/{identity.project}"
        f"/runs/{identity.uuid}"
    )
    urls = [f"{root}/{port}" for port in known[:PORTS]]
    return {"ports": ports, "base_url": urls[0], "base_urls": urls}
