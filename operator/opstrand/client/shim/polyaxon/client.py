"""`from polyaxon.client import RunClient`."""

from polyaxon._opstrand import (
    ApiError,
    ClientError,
    NotManaged,
    NotSupported,
    RunClient,
    Unreachable,
)

__all__ = ["ApiError", "ClientError", "NotManaged", "NotSupported", "RunClient", "Unreachable"]
