"""What `ops.NAME` means among local runs: the name of an object, else the `name` of a file, of which the newest run counts.

Owns that rule. In a cluster a name is an object's alone; a file that is run again and again on a laptop would have no name there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from opstrand.core import names
from opstrand.core.names import Key, key_of
from opstrand.kube.api import OPERATIONS, Resource
from opstrand.kube.cache import Cache, Manifest, Subject

Body = TypeVar("Body", bound=Mapping[str, Any])


def names_of(body: Mapping[str, Any]) -> frozenset[str]:
    """Every name that a file gives its run: its operation's, else its component's, as it is written and as an object could have it."""
    spec = body.get("spec") or {}
    component = spec.get("component")
    written = spec.get("name") or (component.get("name") if isinstance(component, Mapping) else None)
    return frozenset({written, names.slug(written, names.MAX_RUN_NAME)}) if isinstance(written, str) and written else frozenset()


def find_newest(name: str, bodies: Iterable[Body]) -> Body | None:
    """The newest of these runs whose file has the name."""
    return max((body for body in bodies if name in names_of(body)), key=_created, default=None)


def _created(body: Mapping[str, Any]) -> tuple[str, str]:
    metadata = body["metadata"]
    return str(metadata.get("creationTimestamp") or ""), str(metadata["name"])


class NamedCache(Cache):
    """A cache in which a run is also known by the name that its file gives it."""

    def __init__(self) -> None:
        super().__init__()
        #: Kept apart: of a run that has ended the cache does not keep the component.
        self._written: dict[Key, frozenset[str]] = {}

    def put(self, resource: Resource, body: Mapping[str, Any]) -> set[Key]:
        if resource is OPERATIONS:
            self._written[key_of(body)] = names_of(body)
        return super().put(resource, body)

    def find_named(self, namespace: str, name: str) -> Manifest | None:
        exact = super().find_named(namespace, name)
        named = (body for body in self.operations(namespace) if name in self._written.get(key_of(body), ()))
        return exact or max(named, key=_created, default=None)

    def _waiters_on(self, body: Mapping[str, Any]) -> set[Key]:
        key = key_of(body)
        others = (self._waiters.get(Subject("operation", key[0], name), set()) for name in self._written.get(key, ()))
        return super()._waiters_on(body).union(*others)
