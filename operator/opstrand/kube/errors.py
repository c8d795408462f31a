"""The errors of requests to an API server.

Every failure of a request is an `ApiError` that names verb and object. Must not know the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.errors import PlatformError


class ApiError(PlatformError):
    """The API server refused the request, or did not answer.

    `status` is the HTTP code (0: no answer), `body` the Status object of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        body: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status
        self.body = dict(body or {})

    @property
    def server_message(self) -> str:
        """The message of the server itself, without our context."""
        return str(self.body.get("message") or self.message)


class NotFound(ApiError):
    """404: the object, its namespace or its whole kind does not exist."""


class Conflict(ApiError):
    """409: another client changed the object after it was read."""


class AlreadyExists(ApiError):
    """409 on create: the name is taken."""


class Invalid(ApiError):
    """400, 413 or 422: the object is invalid or too large."""


class Forbidden(ApiError):
    """403: rights, quota, admission or Pod security; `server_message` says which."""


class Unauthorized(ApiError):
    """401: the credentials were not accepted."""


class Unreachable(ApiError):
    """No answer (refused, reset, timed out), or one that is not of a Kubernetes API server."""


class Untrusted(Unreachable):
    """The server's certificate is not one that the kubeconfig trusts."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=0)
        self.advice = (
            "Is this the right --context, and has the kubeconfig the cluster's own "
            "certificate-authority-data? Get the kubeconfig of this cluster again. Where the "
            "certificate is for another name, tls-server-name says which."
        )


class Expired(ApiError):
    """410: the resourceVersion is too old; list again."""


#: HTTP status -> the error of a request that was refused with it; ApiError for the others.
BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    413: Invalid,
    422: Invalid,
}
