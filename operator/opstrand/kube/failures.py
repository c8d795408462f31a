"""Why a request got no answer, or was refused, as an error with words and advice.

Must not raise, and knows no resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from opstrand.kube.depth import read_json
from opstrand.kube.errors import BY_STATUS, AlreadyExists, ApiError, Unreachable, Untrusted

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


def read_status_object(raw: bytes) -> Mapping[str, Any]:
    """The Status in the answer to a request that was refused; its text as a message otherwise."""
    try:
        body = read_json(raw)
        return body if isinstance(body, dict) else {"message": str(body)}
    except ValueError:
        return {"message": raw.decode(errors="replace").strip()}


def refusal(
    status: int, body: Mapping[str, Any], what: str, retry_after: str | None = None
) -> ApiError:
    """The error for a request (`could not WHAT`) that was refused with an HTTP status."""
    message = f"could not {what}: {body.get('message') or f'HTTP {status}'}"
    kind: type[ApiError] = BY_STATUS.get(status, ApiError)
    if status == 409 and body.get("reason") == "AlreadyExists":
        kind = AlreadyExists
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    return kind(message, status=status, body=body, retry_after=seconds)
