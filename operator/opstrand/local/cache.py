"""The engine's cache for the shared runs, which also indexes a run by the name in its file.

Owns that second index. Must not do I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.controller.cache import Cache, Subject
from opstrand.kube.resources import OPERATIONS, Resource
from opstrand.local.named import creation_order, names_of
from opstrand.types import Key, OperationBody, key_of


class NamedCache(Cache):
    """A cache that also knows a run by the name that its file gives it."""

    def __init__(self) -> None:
        super().__init__()
        #: Kept apart from the bodies, because the cache drops the component of a run that has
        #: ended.
        self._written: dict[Key, frozenset[str]] = {}

    def put(self, resource: Resource, body: Mapping[str, Any]) -> set[Key]:
        if resource is OPERATIONS:
            self._written[key_of(body)] = names_of(body)
        return super().put(resource, body)

    def find_named(self, namespace: str, name: str) -> OperationBody | None:
        exact = super().find_named(namespace, name)
        named = (
            body
            for body in self.operations(namespace)
            if name in self._written.get(key_of(body), ())
        )
        return exact or max(named, key=creation_order, default=None)

    def recent_names(self, resource: Resource, namespace: str) -> list[str]:
        names = super().recent_names(resource, namespace)
        if resource is not OPERATIONS:
            return names
        written = (self._written.get((namespace, name), frozenset()) for name in names)
        return list(dict.fromkeys([*names, *(name for some in written for name in sorted(some))]))

    def _waiters_on(self, body: Mapping[str, Any]) -> set[Key]:
        key = key_of(body)
        others = (
            self._waiters.get(Subject("operation", key[0], name), set())
            for name in self._written.get(key, ())
        )
        return super()._waiters_on(body).union(*others)
