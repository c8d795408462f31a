"""The runs of a project as they change: a list that an informer keeps up to date.

Must not print.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Set

from opstrand.cli.cluster.follow import give_up
from opstrand.kube.client import KubeApi
from opstrand.kube.informer import Informer, Scope
from opstrand.kube.resources import OPERATIONS
from opstrand.kube.versions import is_newer
from opstrand.types import Body, Key, Manifest, key_of


class _ListedRuns:
    """The store of an informer: the newest body of each run, and whether one has changed."""

    def __init__(self, bodies: list[Manifest]) -> None:
        self._bodies = {key_of(body): body for body in bodies}
        self.changed = asyncio.Event()

    def read(self) -> list[Manifest]:
        self.changed.clear()
        return [*self._bodies.values()]

    def keys(self, _: str | None) -> frozenset[Key]:
        return frozenset(self._bodies)

    def missing(self, known: frozenset[Key], present: Set[Key]) -> list[Body]:
        return [self._bodies[key] for key in known - present if key in self._bodies]

    def put(self, body: Manifest) -> None:
        before = self._bodies.get(key_of(body))
        if before is None or is_newer(body, before):
            self._bodies[key_of(body)] = body
            self.changed.set()

    def drop(self, body: Body) -> None:
        before = self._bodies.get(key_of(body))
        if before is not None and before["metadata"]["uid"] == body["metadata"]["uid"]:
            del self._bodies[key_of(body)]
            self.changed.set()


async def iter_lists(
    api: KubeApi, namespace: str | None, labels: str
) -> AsyncIterator[list[Manifest]]:
    """Yield all runs, and all again after each change; never ends.

    Raises ApiError for a list that is refused, or a cluster that does not answer for long.
    """
    listed, version = await api.list(OPERATIONS, namespace, labels=labels)
    store = _ListedRuns(listed)
    yield store.read()
    scope = Scope(OPERATIONS, namespace, labels=labels)
    informer = Informer(api, scope, store, version=version, on_failure=give_up)
    watching = asyncio.ensure_future(informer.run(until=lambda: False))
    try:
        while True:
            changed = asyncio.ensure_future(store.changed.wait())
            await asyncio.wait({watching, changed}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if watching.done():
                watching.result()
                return
            yield store.read()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
