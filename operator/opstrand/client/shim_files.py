"""The files that make `import polyaxon` work in an image that has only Python.

Owns which file goes where: `polyaxon/` is the shim, `polyaxon/_opstrand/` holds this package's
sources.
"""

from __future__ import annotations

import os

_HERE = os.path.dirname(os.path.abspath(__file__))
_SHIM = os.path.join(_HERE, "shim", "polyaxon")


def shim_files() -> dict[str, bytes]:
    """Return relative path -> content. Write them into a folder that is on the scripts' path."""
    files = {f"polyaxon/{name}": content for name, content in _read_sources(_SHIM).items()}
    own = {
        f"polyaxon/_opstrand/{name}": content
        for name, content in _read_sources(_HERE).items()
        if name != os.path.basename(__file__)
    }
    return {**files, **own}


def _read_sources(folder: str) -> dict[str, bytes]:
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                found[name] = file.read()
    return found
