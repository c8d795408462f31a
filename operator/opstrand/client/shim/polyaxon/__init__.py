"""Stands in for the `polyaxon` package in images that have nothing but Python, and steps aside for
a real installation.

Laid by the init step into the folder of a run's scripts, which is first on their path: so it is
found before an installed package, and hands over to it. `_opstrand/` beside this file holds the
client.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec

__version__ = "0"


def _find_installed() -> ModuleSpec | None:
    """Where the real package is, or None: on the rest of the path, or known to a finder of an
    editable installation.
    """
    own = os.path.realpath(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for entry in sys.path:
        if os.path.realpath(entry or os.curdir) != own:
            spec = importlib.machinery.PathFinder.find_spec("polyaxon", [entry])
            if _is_real(spec):
                return spec
    for finder in sys.meta_path:
        if finder is not importlib.machinery.PathFinder and hasattr(finder, "find_spec"):
            spec = finder.find_spec("polyaxon", None)
            if _is_real(spec):
                return spec
    return None


def _is_real(spec: ModuleSpec | None) -> bool:
    """A package with code of its own, and no other copy of this one."""
    if spec is None or spec.loader is None or not spec.origin:
        return False
    return not os.path.isdir(os.path.join(os.path.dirname(spec.origin), "_opstrand"))


def _hand_over(spec: ModuleSpec) -> None:
    """Make the real package be `polyaxon` from here on; whoever is importing us gets it."""
    module = importlib.util.module_from_spec(spec)
    sys.modules["polyaxon"] = module
    if spec.loader is not None:
        spec.loader.exec_module(module)


_installed = _find_installed()
if _installed is not None:
    _hand_over(_installed)
