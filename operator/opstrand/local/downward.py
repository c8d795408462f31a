"""The downward API: the fields of a Pod and the resources of a container that a variable may read.

Owns the paths and resources that Kubernetes offers there, and their values on a laptop. Must not
know variables.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from opstrand.spec.kubernetes.names import parse_quantity

#: The node name that a local Pod reports.
NODE = "local"
_ADDRESS = "127.0.0.1"
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
#: Kubernetes counts CPUs in thousandths, both in a container's amount and in the divisor.
_MILLI = Fraction(1, 1000)


def read_field(pod: Mapping[str, Any], path: str) -> str | None:
    """Return the value of a `fieldRef`; None for a path that Kubernetes does not offer there."""
    metadata, spec = pod["metadata"], pod["spec"]
    if found := _SUBSCRIPT.fullmatch(path):
        return str((metadata.get(found[1]) or {}).get(found[2], ""))
    match path:
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(metadata.get(path.removeprefix("metadata."), ""))
        case "spec.nodeName":
            return NODE
        case "spec.serviceAccountName":
            return str(spec.get("serviceAccountName") or "default")
        case "status.hostIP" | "status.hostIPs" | "status.podIP" | "status.podIPs":
            return _ADDRESS
        case _:
            return None


def read_resource(container: Mapping[str, Any], source: Mapping[str, Any]) -> str | None:
    """Return the value of a `resourceFieldRef`: whole units, rounded up.

    Returns None for a resource that Kubernetes does not offer in a variable. As on a node, a limit
    that is not set is the capacity of the machine, and a request that is not set is the limit, if
    there is one.
    """
    kind, _, name = str(source.get("resource")).partition(".")
    if kind not in ("limits", "requests") or name not in ("cpu", "memory", "ephemeral-storage"):
        return None
    given = container.get("resources") or {}
    amount = (given.get(kind) or {}).get(name)
    if amount is None:
        amount = _machine(name) if kind == "limits" else (given.get("limits") or {}).get(name, 0)
    size, divisor = _number(amount), _number(source.get("divisor")) or Fraction(1)
    if name == "cpu":
        size, divisor = _round_up(size / _MILLI), _round_up(divisor / _MILLI)
    return str(_round_up(size / divisor))


def _number(value: Any) -> Fraction:
    return Fraction(parse_quantity(value) or 0)


def _round_up(number: Fraction) -> Fraction:
    return Fraction(math.ceil(number))


def _machine(name: str) -> int:
    """Return the machine's capacity of a resource: a number of CPUs, or bytes."""
    match name:
        case "cpu":
            return os.cpu_count() or 1
        case "memory":
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        case _:
            return shutil.disk_usage(os.sep).total
