"""Stand in for the `polyaxon` package in images that have only Python; a real installation wins.

The init step copies this package into the folder of a run's scripts, which is first on their path.
Python therefore finds it before an installed package, and it hands over to that one. `_opstrand/`
beside this file holds the client.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec

__version__ = "0"


def _find_installed() -> ModuleSpec | None:
    """Locate the real package: on the rest of the path, or by a finder of an editable installation.

    Returns None if there is none.
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
    """Whether this is a package with code of its own, and not another copy of this shim."""
    if spec is None or spec.loader is None or not spec.origin:
        return False
    return not os.path.isdir(os.path.join(os.path.dirname(spec.origin), "_opstrand"))


def _hand_over(spec: ModuleSpec) -> None:
    """Put the real package in place as `polyaxon`, so that the current import returns it too."""
    module = importlib.util.module_from_spec(spec)
    sys.modules["polyaxon"] = module
    if spec.loader is not None:
        spec.loader.exec_module(module)


_installed = _find_installed()
if _installed is not None:
    _hand_over(_installed)
