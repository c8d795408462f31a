"""The client for user code in Pods: `RunClient` and `tracking`. Python 3.9 is all that it needs.

Owns the names below and nothing else. Imports inside this package are relative, because the init
step copies the same files into images without the package, below the `polyaxon` import shim.

    ClientError             every error that this package raises
    ├── NotManaged          the environment does not say which run this is
    ├── NotSupported        the published client can do it, this one cannot
    ├── ApiError            the API answered with a refusal (`status`, `detail`)
    └── Unreachable         the API did not answer in time
"""

from . import tracking
from .errors import ApiError, ClientError, NotManaged, NotSupported, Unreachable
from .run import RunClient

__all__ = [
    "ApiError",
    "ClientError",
    "NotManaged",
    "NotSupported",
    "RunClient",
    "Unreachable",
    "tracking",
]
