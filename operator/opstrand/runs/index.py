"""The API's own view of every Operation, kept up to date by a watch, and the wake-up of requests
that wait for one.

Owns the newest body by (namespace, name) and by uuid. Bodies come from the watch, from lists and
from the responses to our own writes, in any order: the newest wins. Must not do I/O.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opstrand.core.names import key_of
from opstrand.core.names import run_uuid as uuid_of
from opstrand.core.packed import is_large, pack, unpack
from opstrand.kube.versions import version_of
from opstrand.runs.bodies import read_beside
from opstrand.runs.protocols import Listed
from opstrand.types import Body, Key


class Index:
    """The newest known body of every Operation: an older body never replaces a newer one."""

    def __init__(self) -> None:
        self._bodies: dict[Key, Body] = {}
        #: For large bodies: the fields that lists are sorted by and that the heads lack.
        self._beside: dict[Key, Mapping[str, Any]] = {}
        self._keys: dict[Key, Key] = {}
        self._waiting: defaultdict[Key, set[asyncio.Event]] = defaultdict(set)

    def find(self, project: str, uuid: str) -> Body | None:
        key = self._keys.get((project, uuid))
        body = None if key is None else self._bodies.get(key)
        return None if body is None else unpack(body)

    def list(self, project: str) -> list[Listed]:
        """The runs of a project, none of them unpacked."""
        return [
            Listed(body, self._beside.get(key, {}))
            for key, body in self._bodies.items()
            if key[0] == project
        ]

    def put(self, body: Body) -> Body:
        """Store the body unless a newer one of the same object is known; returns the newest."""
        return body if self.take(body) else unpack(self._bodies[key_of(body)])

    def take(self, body: Body) -> bool:
        """Store the body as `put` does; returns only whether it was new.

        Half of what a watch sends is known already, and this does not unpack it.
        """
        key, known = key_of(body), self._bodies.get(key_of(body))
        if (
            known is not None
            and known["metadata"]["uid"] == body["metadata"]["uid"]
            and version_of(known) >= version_of(body)
        ):
            return False
        if known is not None:
            self._keys.pop(_uuid_key(known), None)
        self._keep(key, body)
        self._keys[_uuid_key(body)] = key
        self._wake(body)
        return True

    def _keep(self, key: Key, body: Body) -> None:
        kept = self._bodies[key] = pack(body)
        self._beside.pop(key, None)
        if is_large(kept):
            self._beside[key] = read_beside(unpack(body))

    def drop(self, body: Body) -> None:
        """Forget this very object; a newer object of the same name stays."""
        known = self._bodies.get(key_of(body))
        if known is not None and known["metadata"]["uid"] == body["metadata"]["uid"]:
            del self._bodies[key_of(body)]
            self._beside.pop(key_of(body), None)
            self._keys.pop(_uuid_key(body), None)
        self._wake(body)

    def replace(self, bodies: Iterable[Body], version: str, project: str | None = None) -> None:
        """Store a full list of one project, or of all.

        Drops every body that is not in the list and not newer than it.
        """
        listed = list(bodies)
        for body in listed:
            self.take(body)
        present = {_uuid_key(body) for body in listed}
        for body in list(self._bodies.values()):
            is_inside = project in (None, body["metadata"]["namespace"])
            if is_inside and _uuid_key(body) not in present and version_of(body) <= int(version):
                self.drop(body)

    @contextmanager
    def changes(self, project: str, uuid: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever this run changes; the caller clears it."""
        event, waiting = asyncio.Event(), self._waiting[project, uuid]
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop((project, uuid), None)

    async def wait(
        self, project: str, uuid: str, until: Callable[[Body], bool], seconds: float
    ) -> Body | None:
        """The run as soon as `until` holds, or as it is after `seconds`; None once it is gone."""
        deadline = asyncio.get_running_loop().time() + seconds
        with self.changes(project, uuid) as changed:
            while True:
                changed.clear()
                body = self.find(project, uuid)
                if body is None or until(body):
                    return body
                try:
                    async with asyncio.timeout_at(deadline):
                        await changed.wait()
                except TimeoutError:
                    return self.find(project, uuid)

    def _wake(self, body: Body) -> None:
        for event in self._waiting.get(_uuid_key(body), ()):
            event.set()


def _uuid_key(body: Body) -> Key:
    return body["metadata"]["namespace"], uuid_of(body["metadata"]["uid"])
