"""Which living namespace a name means: a name may be given again, and the runs of the one before
must not be shown in it.

Must not know runs but by the time of their creation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from opstrand.kube.errors import NotFound
from opstrand.kube.resources import NAMESPACES, Resource
from opstrand.runs.answers import Memory
from opstrand.types import Body, Manifest

#: Seconds that an answer is used: less than Kubernetes needs to delete a namespace.
_KEPT = 1.0


class Cluster(Protocol):
    """The part of a cluster that is needed here."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...


class Namespaces:
    """The uids of the namespaces of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: Memory[Mapping[str, Any]] = Memory(_KEPT)

    async def uid(self, name: str) -> str | None:
        """The uid of the living namespace of this name; None if there is none."""
        return str((await self._read(name)).get("uid") or "") or None

    async def uid_of(self, body: Body) -> str | None:
        """The uid of the namespace that this object is in; None if that is gone."""
        found, metadata = await self._read(body["metadata"]["namespace"]), body["metadata"]
        if str(found.get("creationTimestamp") or "") > str(
            metadata.get("creationTimestamp") or "~"
        ):
            return None
        return str(found.get("uid") or "") or None

    async def _read(self, name: str) -> Mapping[str, Any]:
        async def ask() -> Mapping[str, Any]:
            try:
                found = await self._cluster.get(NAMESPACES, None, name)
            except NotFound:
                return {}
            metadata: Mapping[str, Any] = found["metadata"]
            return metadata

        return await self._known.get(name, ask)
