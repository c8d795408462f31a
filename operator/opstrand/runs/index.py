"""The API's own view of every Operation, kept up to date by a watch, and the wake-up of requests
that wait for one.

Owns the newest body by (namespace, name) and by uuid. Bodies come from the watch, from lists and
from the responses to our own writes, in any order: the newest wins. Must not do I/O.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, Protocol

from opstrand.core import names
from opstrand.core.names import run_uuid as uuid_of
from opstrand.core.packed import is_large, pack, unpack
from opstrand.kube.versions import is_newer
from opstrand.runs.bodies import read_beside
from opstrand.runs.protocols import Listed
from opstrand.types import Body, Key, key_of

#: Deleted objects that are remembered, so that no late list restores one.
_TOMBSTONES = 8192


class Observer(Protocol):
    """Is called with every change of an index, at once; it must not wait."""

    def changed(self, body: Body) -> None:
        """`body` is the newest of its object; a large one is packed."""

    def dropped(self, body: Body) -> None:
        """The object is gone; `body` is the last that is known of it."""


class Index:
    """The newest known body of every Operation: an older body never replaces a newer one, and a
    deleted object never returns.

    It is the store of an informer (`kube.informer.Store`).
    """

    def __init__(self) -> None:
        self.observers: list[Observer] = []
        self._bodies: dict[Key, Body] = {}
        #: The uids of deleted objects.
        self._gone: OrderedDict[str, None] = OrderedDict()
        #: For large bodies: the fields that lists are sorted by and that the heads lack.
        self._beside: dict[Key, Mapping[str, Any]] = {}
        self._keys: dict[Key, Key] = {}
        #: The keys of the runs that a pipeline made, by its namespace and uid, and the number of
        #: the last change of one of them.
        self._made: defaultdict[Key, set[Key]] = defaultdict(set)
        self._versions: dict[Key, int] = {}
        self._numbers = itertools.count(1)
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

    def heads(self) -> Sequence[Body]:
        """The runs of all projects, none of them unpacked."""
        return list(self._bodies.values())

    def made_by(self, project: str, uid: str) -> Sequence[Listed]:
        """The runs that the Operation of this uid made, none of them unpacked."""
        keys = self._made.get((project, uid), ())
        return [Listed(self._bodies[key], self._beside.get(key, {})) for key in keys]

    def version_below(self, project: str, uid: str) -> int:
        """A number that changes with each change of these runs; 0 if there is none."""
        return self._versions.get((project, uid), 0)

    def _include(self, key: Key, body: Body) -> None:
        """Index the run under the pipeline that made it, if there is one."""
        if uid := names.controller_uid(body):
            self._made[key[0], uid].add(key)
            self._versions[key[0], uid] = next(self._numbers)

    def _exclude(self, key: Key, body: Body) -> None:
        family = key[0], names.controller_uid(body)
        if family not in self._made:
            return
        self._made[family].discard(key)
        self._versions[family] = next(self._numbers)
        if not self._made[family]:
            del self._made[family], self._versions[family]

    def put_newest(self, body: Body) -> Body:
        """Store the body as `put` does; returns the newest body of this object."""
        if self.put(body):
            return body
        known = self._bodies.get(key_of(body))
        return body if known is None or _is_other(known, body) else unpack(known)

    def put(self, body: Body) -> bool:
        """Store the body unless the object was deleted or a newer body is known; returns whether it
        was stored.

        Half of what a watch sends is known already, and this does not unpack it.
        """
        key, known = key_of(body), self._bodies.get(key_of(body))
        if body["metadata"]["uid"] in self._gone or (
            known is not None and not is_newer(body, known)
        ):
            return False
        if known is not None:
            self._keys.pop(_uuid_key(known), None)
            self._exclude(key, known)
            if _is_other(known, body):
                self._remember_deleted(known)
        self._keep(key, body)
        self._keys[_uuid_key(body)] = key
        self._include(key, body)
        for observer in self.observers:
            observer.changed(self._bodies[key])
        self._wake(body)
        return True

    def _keep(self, key: Key, body: Body) -> None:
        kept = self._bodies[key] = pack(body)
        self._beside.pop(key, None)
        if is_large(kept):
            self._beside[key] = read_beside(unpack(body))

    def drop(self, body: Body) -> None:
        """Forget this very object, which is gone; a newer object of the same name stays."""
        self._remember_deleted(body)
        self.forget(body)

    def forget(self, body: Body) -> None:
        """Forget this very object until it is read again: a finalizer may still hold it."""
        known = self._bodies.get(key_of(body))
        if known is not None and not _is_other(known, body):
            del self._bodies[key_of(body)]
            self._beside.pop(key_of(body), None)
            self._keys.pop(_uuid_key(body), None)
            self._exclude(key_of(body), known)
        self._wake(body)

    def _remember_deleted(self, body: Body) -> None:
        for observer in self.observers:
            observer.dropped(body)
        self._gone[body["metadata"]["uid"]] = None
        while len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)

    def keys(self, project: str | None = None) -> frozenset[Key]:
        """The keys of all runs, in one project or in all."""
        return frozenset(key for key in self._bodies if project in (None, key[0]))

    def missing(self, known: frozenset[Key], present: Set[Key]) -> Sequence[Body]:
        """The runs of those `known` that are still in the index and not `present`."""
        return [body for key in known - present if (body := self._bodies.get(key)) is not None]

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


def _is_other(known: Body, body: Body) -> bool:
    """Whether these are two objects, of which one took the other's name."""
    return bool(known["metadata"]["uid"] != body["metadata"]["uid"])


def _uuid_key(body: Body) -> Key:
    return body["metadata"]["namespace"], uuid_of(body["metadata"]["uid"])
