"""The files of a kubeconfig and the names of the contexts in them.

Owns where kubectl looks for them. Must be cheap to import, because completion reads the names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def list_kubeconfigs(given: str | None = None) -> list[str]:
    """Return the given files, which colons separate, else those that kubectl would read."""
    names = given or os.environ.get("KUBECONFIG") or "~/.kube/config"
    return [os.path.expanduser(name) for name in names.split(os.pathsep) if name]


def read_kubeconfig(path: str) -> dict[str, Any]:
    """Return a kubeconfig; empty if it is no mapping."""
    with open(path, encoding="utf-8") as file:
        found = yaml.load(file, Loader=_Loader)
    return found if isinstance(found, dict) else {}


def name_contexts(kubeconfigs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of all contexts, in the order of the files."""
    contexts = [entry for one in kubeconfigs for entry in one.get("contexts") or ()]
    return [str(one["name"]) for one in contexts if isinstance(one, dict) and one.get("name")]
