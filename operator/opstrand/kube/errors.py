"""What an API server's refusals are called.

Every failure of a request is an `ApiError` that names verb and object. Must not know who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opstrand.errors import PlatformError

if TYPE_CHECKING:  # finding credentials is half of a laptop's start, which needs none
    pass


class ApiError(PlatformError):
    """The API server refused.

    `status` is the HTTP code (0: no answer), `body` its Status object.
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
    def words(self) -> str:
        """The server's own sentence, without our context."""
        return str(self.body.get("message") or self.message)


class NotFound(ApiError):
    """404: the object, its namespace or its whole kind is not there."""


class Conflict(ApiError):
    """409: somebody else changed the object since it was read."""


class AlreadyExists(ApiError):
    """409 of a create: the name is taken."""


class Invalid(ApiError):
    """400, 413 or 422: the object itself is wrong, or too large."""


class Forbidden(ApiError):
    """403: rights, quota, admission or Pod security; `words` tells which."""


class Unauthorized(ApiError):
    """401: who we are was not accepted."""


class Unreachable(ApiError):
    """No answer: refused, reset, timed out."""


class Expired(ApiError):
    """410: the resourceVersion is too old; list again."""
