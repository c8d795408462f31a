"""What may be asked of a cluster, real or in memory.

Objects are plain dicts; every method raises ApiError. Must not know how a request is sent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from opstrand.kube.resources import Resource
from opstrand.types import JsonPatch, Manifest


@dataclass(frozen=True)
class Page:
    """Some of the objects of a list, and the resourceVersion of the whole list.

    `more`: the token for the next page; "" on the last one.
    """

    items: list[Manifest]
    version: str
    more: str = ""


class Kube(Protocol):
    """What the controller may request of a cluster, real or in memory.

    Objects are plain dicts. Every method raises ApiError.
    """

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
    ) -> tuple[list[Manifest], str]: ...

    def pages(
        self, resource: Resource, namespace: str | None = None, *, labels: str = ""
    ) -> AsyncIterator[Page]: ...

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> Manifest: ...

    async def preview(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> Manifest: ...

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        ops: JsonPatch,
        *,
        subresource: str | None = None,
    ) -> Manifest: ...

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None: ...


class WatchedKube(Kube, Protocol):
    """A real cluster: it sends changes while it is asked."""

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        since: str = "",
        fields: str = "",
        labels: str = "",
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[tuple[str, Manifest], None]: ...
