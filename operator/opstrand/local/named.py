"""What `ops.NAME` means among local runs: an object's name, else the newest run of such a file.

Owns that rule. In a cluster only an object has the name; on a laptop a file that runs again and
again would have none. Imports next to nothing, because commands that only read runs use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from opstrand.core import names

Body = TypeVar("Body", bound=Mapping[str, Any])


def names_of(body: Mapping[str, Any]) -> frozenset[str]:
    """Return every name that a file gives its run: its operation's, else its component's.

    Each is included as written and in the form that an object's name may have. The run of a
    pipeline has its name inside the pipeline only.
    """
    if names.find_controller(body) is not None:
        return frozenset()
    spec = body.get("spec") or {}
    component = spec.get("component")
    written = spec.get("name") or (
        component.get("name") if isinstance(component, Mapping) else None
    )
    return (
        frozenset({written, names.slug(written, names.MAX_RUN_NAME)})
        if isinstance(written, str) and written
        else frozenset()
    )


def find_newest(name: str, bodies: Iterable[Body]) -> Body | None:
    """Return the newest of these runs whose file has the name."""
    return max(
        (body for body in bodies if name in names_of(body)), key=creation_order, default=None
    )


def creation_order(body: Mapping[str, Any]) -> tuple[str, str]:
    """A sort key that grows with the time at which a run was created."""
    metadata = body["metadata"]
    return str(metadata.get("creationTimestamp") or ""), str(metadata["name"])
