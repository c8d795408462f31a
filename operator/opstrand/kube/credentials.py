"""The parts of the official package that find credentials, without the rest of the package.

`import kubernetes` also loads the synchronous client, its informers and validators, which takes
half a second of CPU in every command and is not used here. So empty modules replace the two outer
packages while the parts are imported; a later `import kubernetes` still loads the whole package.
"""

from __future__ import annotations

import ast
import importlib.util
import logging
import os
import re
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

#: How the package quotes what a login command wrote to stderr: as Python shows bytes.
_RAW_BYTES = re.compile(r"b'(?:[^'\\]|\\.)*'|b\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_EXIT_CODE = re.compile(r"exec: process returned (-?\d+)")


class _LoginWords(logging.Filter):
    """Makes what the package logs of a failed login command readable, and keeps it for the caller
    while there is one that reports it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[str] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR:
            return True
        record.msg, record.args = read_login_error(record.getMessage()), ()
        if self.kept is None:
            return True
        self.kept.append(record.msg)
        return False


def read_login_error(text: str) -> str:
    """Return the package's message with the command's own words as text, on one line."""
    text = _EXIT_CODE.sub(r"exit code \1", text).removeprefix("exec: ").replace(". b", ": b", 1)
    return _RAW_BYTES.sub(_decode, text)


def _decode(found: re.Match[str]) -> str:
    message = ast.literal_eval(found[0]).decode(errors="replace")
    return "; ".join(line.strip() for line in message.splitlines() if line.strip())


_words = _LoginWords()
logging.getLogger("kubernetes.aio.config.kube_config").addFilter(_words)


@contextmanager
def keep_login_errors() -> Iterator[list[str]]:
    """Collect what the package would only log of a failed login command."""
    before = _words.kept
    kept: list[str] = []
    _words.kept = kept
    try:
        yield kept
    finally:
        _words.kept = before


#: The package has types for only some of its functions.
load_kube_config: Any = kube_config.load_kube_config
load_incluster_config: Any = incluster_config.load_incluster_config
SERVICE_HOST_ENV_NAME: str = incluster_config.SERVICE_HOST_ENV_NAME

__all__ = [
    "SERVICE_HOST_ENV_NAME",
    "ConfigException",
    "Configuration",
    "keep_login_errors",
    "load_incluster_config",
    "load_kube_config",
]
