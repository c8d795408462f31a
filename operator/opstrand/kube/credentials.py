"""The parts of the official package that find credentials, without the rest of it.

`import kubernetes` brings the synchronous client, its informers and validators along, half a second
of CPU in every command, and none of it is used here. So the two packages above the parts are stood
in for while these are imported, and whoever imports `kubernetes` afterwards gets the whole.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


@contextmanager
def _without_their_contents(*names: str) -> Iterator[None]:
    """Packages of these names, outermost first, that only say where their modules lie.

    Those that are imported already stay.
    """
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = _make_empty(name)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _make_empty(name: str) -> ModuleType:
    outer, _, last = name.rpartition(".")
    found = PathFinder.find_spec(
        last if not outer else name, sys.modules[outer].__path__ if outer else None
    )
    if found is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    empty = ModuleSpec(name, None, is_package=True)
    empty.submodule_search_locations = found.submodule_search_locations
    return importlib.util.module_from_spec(empty)


if os.path.expanduser("~") == "~":
    # A user whom the machine does not know: the package asks for a home as soon as it is imported.
    # As container runtimes have it.
    os.environ["HOME"] = "/"
with _without_their_contents("kubernetes", "kubernetes.aio"):
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.config import incluster_config, kube_config
    from kubernetes.aio.config.config_exception import ConfigException

#: The package has types for some of its functions only.
load_kube_config: Any = kube_config.load_kube_config
load_incluster_config: Any = incluster_config.load_incluster_config
SERVICE_HOST_ENV_NAME: str = incluster_config.SERVICE_HOST_ENV_NAME

__all__ = [
    "SERVICE_HOST_ENV_NAME",
    "ConfigException",
    "Configuration",
    "load_incluster_config",
    "load_kube_config",
]
