"""`run`: the kinds of runtimes and the choice between them.

Owns the list of kinds. A section is imported by name when a file uses it: a dag contains
operations, which contain runtimes again, and a component without `run` needs none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache

from opstrand.spec.section import ByKind, Section

#: Kind -> (module of `opstrand.spec`, section in it).
_SECTIONS = {
    "job": ("job", "Job"),
    "service": ("service", "Service"),
    "dag": ("dag", "Dag"),
    "mpijob": ("distributed", "MPIJob"),
    "tfjob": ("distributed", "TFJob"),
    "pytorchjob": ("distributed", "PytorchJob"),
    "raycluster": ("distributed", "RayCluster"),
    "daskcluster": ("distributed", "DaskCluster"),
}


@cache
def runtimes() -> Mapping[str, type[Section]]:
    """Kind -> section of every runtime of the format."""
    return {kind: _load(*place) for kind, place in _SECTIONS.items()}


def _load(module: str, name: str) -> type[Section]:
    section: type[Section] = getattr(importlib.import_module(f"opstrand.spec.{module}"), name)
    return section


RUNTIME = ByKind("runtime", runtimes)
