"""Why a request got no answer, as an error with words and advice.

Must not raise, and knows no resource.
"""

from __future__ import annotations

import aiohttp

from opstrand.kube.errors import Unreachable, Untrusted

_PROXY_ADVICE = (
    "Is the proxy up? $HTTPS_PROXY or the kubeconfig's proxy-url names it; $NO_PROXY lists the "
    "hosts that are reached without it."
)


def describe_failure(error: Exception, what: str, server: str) -> Unreachable:
    """Return the error for a request (`could not WHAT`) to which no answer came."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        message = getattr(error.certificate_error, "verify_message", "") or error
        return Untrusted(f"could not {what}: the certificate of {server} is not trusted: {message}")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return _blame_proxy(what, server, f"{error.host}:{error.port}: {error.strerror or error}")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _blame_proxy(what, server, f"{error.status} {error.message}")
    return Unreachable(f"could not {what}: {error or type(error).__name__}", status=0)


def _blame_proxy(what: str, server: str, message: str) -> Unreachable:
    failure = Unreachable(
        f"could not {what}: the proxy that leads to {server} did not connect: {message}", status=0
    )
    failure.advice = _PROXY_ADVICE
    return failure
