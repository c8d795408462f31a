"""The parts of the official package that find credentials, without the rest of the package.

`import kubernetes` also loads the synchronous client, its informers and validators, which takes
half a second of CPU in every command and is not used here. So empty modules replace the two outer
packages while the parts are imported; a later `import kubernetes` still loads the whole package.
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
    """Replace the packages of these names, outermost first, by empty ones that only know their
    search path.

    Packages that are imported already are kept.
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
    # The user id has no entry in the passwd file, and the package reads the home folder at import.
    # Container runtimes set "/" in this case too.
    os.environ["HOME"] = "/"
with _without_their_contents("kubernetes", "kubernetes.aio"):
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.config import incluster_config, kube_config
    from kubernetes.aio.config.config_exception import ConfigException

#: The package has types for only some of its functions.
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
