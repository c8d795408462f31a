"""The errors that user code can see."""


class ClientError(Exception):
    """The base of every error that this package raises."""


class NotManaged(ClientError):
    """The environment does not say which run this is."""


class NotSupported(ClientError, NotImplementedError):
    """The published client can do this, and this one cannot. The text says what to do instead."""


class ApiError(ClientError):
    """The API answered with a refusal. `detail` is the API's own sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class Unreachable(ClientError):
    """The API did not answer in time, or only answered that it cannot serve now."""
