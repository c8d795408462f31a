"""What `ops.NAME` means among local runs: the name of an object, else the `name` of a file, of
which the newest run counts.

Owns that rule. In a cluster a name is an object's alone; a file that is run again and again on a
laptop would have no name there. Imports next to nothing: commands that only look use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from opstrand.core import names

Body = TypeVar("Body", bound=Mapping[str, Any])


def names_of(body: Mapping[str, Any]) -> frozenset[str]:
    """Every name that a file gives its run: its operation's, else its component's, as it is written
    and as an object could have it.
    """
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
    """The newest of these runs whose file has the name."""
    return max(
        (body for body in bodies if name in names_of(body)), key=creation_order, default=None
    )


def creation_order(body: Mapping[str, Any]) -> tuple[str, str]:
    """Grows with the time at which a run was created."""
    metadata = body["metadata"]
    return str(metadata.get("creationTimestamp") or ""), str(metadata["name"])
