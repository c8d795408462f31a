"""The Components of the namespace that runs name by `hubRef`, and those that a pipeline froze.

Owns which Component a `hubRef` means, and that a pipeline contains itself by none of them. Must not
look anything up: the shell does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opstrand.core.operation import Node
from opstrand.core.recorded import read_status
from opstrand.errors import Problem, SpecError
from opstrand.spec.scalars import is_template
from opstrand.text import shorten
from opstrand.types import Body

#: The key of the status with what a pipeline froze.
FROZEN = "components"
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def component_name(hub_ref: str, path: str = "hubRef") -> str:
    """Return the name of the Component that a hubRef names.

    `echo` is `echo`, `echo:v2` is `echo.v2`. Raises SpecError for a hubRef that cannot be the name
    of an object.
    """
    name = hub_ref.replace(":", ".", 1)
    if not _is_name(name):
        expected = "expected NAME or NAME:TAG, in lower-case letters, digits, dashes and dots"
        raise SpecError(
            "InvalidSpec",
            f"no Component can be named {shorten(repr(hub_ref), 80)}; {expected}",
            path,
        )
    return name


def _is_name(name: str) -> bool:
    return len(name) <= 253 and _OBJECT_NAME.fullmatch(name) is not None


def find_hub_ref(spec: Mapping[str, Any]) -> str | None:
    """Return the `hubRef` by which a written operation gets its component."""
    found = spec.get("hubRef")
    is_used = isinstance(found, str) and spec.get("component") is None and not is_template(found)
    return found if is_used else None


def list_hub_refs(nodes: Mapping[str, Node], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, Component) for each operation of a pipeline that names one.

    Those of pipelines that are written inside it are among them. A hubRef that names no object is
    for its own run, or `check`, to report.
    """
    for node in nodes.values():
        if node.compiled is not None:
            yield from list_hub_refs(node.compiled.nodes, f"{prefix}{node.path}.")
            continue
        found, path = find_hub_ref(node.written), f"{prefix}{node.path}.hubRef"
        name = "" if found is None else found.replace(":", ".", 1)
        if _is_name(name):
            yield path, name


def find_itself(nodes: Mapping[str, Node], name: str) -> Iterator[Problem]:
    """Yield a problem for each operation of the Component of this name that is this Component."""
    for path, used in list_hub_refs(nodes):
        if used == name:
            message = f"the Component '{name}' would contain itself: it would run without an end"
            yield Problem("RefToItself", message, path)


def check_above(name: str, above: Iterable[Body]) -> None:
    """Refuse a run of this Component if a pipeline above it is one.

    `above`: the runs that made it, the nearest first; a schedule is no pipeline that contains its
    runs. Raises SpecError RefToItself.
    """
    for body in above:
        if "schedule" in read_status(body):
            continue
        found = find_hub_ref(body.get("spec") or {})
        if found is not None and found.replace(":", ".", 1) == name:
            message = (
                f"the Component '{name}' would contain itself: the run "
                f"'{body['metadata']['name']}' above this one is one of it"
            )
            raise SpecError("RefToItself", message, "hubRef")


def freeze_components(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the status keeps of the Components that a pipeline's operations name."""
    return {
        name: {"digest": _digest(spec), "spec": dict(spec)} for name, spec in sorted(found.items())
    }


def find_frozen(body: Body, name: str) -> Mapping[str, Any] | None:
    """Return the spec of this Component as a pipeline froze it; None if it did not."""
    frozen = read_status(body).get(FROZEN)
    entry = frozen.get(name) if isinstance(frozen, Mapping) else None
    spec = entry.get("spec") if isinstance(entry, Mapping) else None
    return spec if isinstance(spec, Mapping) else None


def _digest(spec: Mapping[str, Any]) -> str:
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
