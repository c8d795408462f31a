"""What the operator knows of the cluster, fed by events, lists and the responses to its own writes.

Owns the newest body of every Operation, Component and object of a run, the indexes by uuid, by the
run's label and by the controlling run, and which run waits for which. kopf delivers events and
keeps no cache: `controller.sync` looks up an object that a later list lacks, and then drops it.
Must not do I/O.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any

from opstrand.controller.results import Results
from opstrand.controller.slim import slim
from opstrand.core import names
from opstrand.core.phase import Phase, is_frozen, parse_phase
from opstrand.core.recorded import read_status
from opstrand.kube.resources import COMPONENTS, DEPLOYMENTS, OPERATIONS, PODS, Resource
from opstrand.kube.versions import is_newer
from opstrand.types import Key, Manifest, OperationBody, Pod, key_of

#: Kinds whose changes are delivered as events. The others are known as last created or read.
WATCHED = (OPERATIONS, COMPONENTS, PODS)
_KEPT = (*WATCHED, DEPLOYMENTS)
#: Phases in which a pipeline wants its runs no more; those that run read it from there.
_ENDING = (Phase.STOPPING, Phase.PROCESSING)
#: Deleted objects that are remembered, so that a lost Pod is noticed without a GET and no late list
#: restores a deleted object.
_TOMBSTONES = 8192
#: Runs of pipelines that ended and are gone, of which the last body is remembered.
_ENDED = 1024
#: Newest objects among which a similar name is searched.
_SEARCHED = 1000


@dataclass(frozen=True)
class Subject:
    """What a run can wait for: an Operation by name or by uuid, or a Component by name."""

    kind: str
    namespace: str
    name: str


class Cache:
    """Bodies by (namespace, name).

    Every change returns the keys of the runs to reconcile.
    """

    def __init__(self) -> None:
        #: By their kind; the accessors say which shape each kind has.
        self._objects: dict[Resource, dict[Key, Any]] = {resource: {} for resource in _KEPT}
        self._by_uuid: dict[tuple[str, str], Key] = {}
        self._waiters: dict[Subject, set[Key]] = defaultdict(set)
        self._waits: dict[Key, frozenset[Subject]] = {}
        #: Objects by kind, namespace and the uuid of the run that their label names.
        self._labelled: dict[tuple[Resource, str, str], set[Key]] = defaultdict(set)
        #: Operations by namespace and the uid of the run that controls them.
        self._children: dict[tuple[str, str], set[Key]] = defaultdict(set)
        #: The uids of Pods and Deployments that this process created, or compared with what it
        #: would create.
        self._own: dict[tuple[Resource, Key], str] = {}
        #: Deleted objects: names of the objects of runs, and uids of every kind.
        self._gone: OrderedDict[tuple[Resource, Key] | str, None] = OrderedDict()
        self._ended: OrderedDict[Key, Manifest] = OrderedDict()
        #: The runs whose result another run may take.
        self.results = Results()

    def operation(self, key: Key) -> OperationBody | None:
        return self._objects[OPERATIONS].get(key)

    def is_final(self, key: Key) -> bool:
        """Whether the run has ended or does not exist."""
        body = self.operation(key)
        return body is None or parse_phase(body.get("status")).is_final

    def component(self, namespace: str, name: str) -> Manifest | None:
        return self._objects[COMPONENTS].get((namespace, name))

    def pod(self, namespace: str, name: str) -> Pod | None:
        return self._objects[PODS].get((namespace, name))

    def keeps(self, resource: Resource) -> bool:
        """Whether objects of this kind are kept at all."""
        return resource in self._objects

    def find(self, resource: Resource, key: Key) -> Manifest | None:
        """The newest known object of this name; None also for a kind that is not kept."""
        return self._objects.get(resource, {}).get(key)

    def find_named(self, namespace: str, name: str) -> OperationBody | None:
        """What `ops.NAME` means outside a pipeline: the Operation of that name."""
        return self.operation((namespace, name))

    def find_by_uuid(self, namespace: str, uuid: str) -> OperationBody | None:
        """The run of this uuid in this namespace. A run of another project counts as not found."""
        key = self._by_uuid.get((namespace, uuid))
        return None if key is None else self.operation(key)

    def operations(self, namespace: str | None = None) -> list[OperationBody]:
        return [
            body for key, body in self._objects[OPERATIONS].items() if namespace in (None, key[0])
        ]

    def recent_names(self, resource: Resource, namespace: str) -> list[str]:
        """Some names of this namespace, newest first: for a suggestion, so not all are searched."""
        recent = islice(reversed(self._objects[resource]), _SEARCHED)
        return [name for where, name in recent if where == namespace]

    def labelled(self, resource: Resource, namespace: str, uuid: str) -> tuple[Manifest, ...]:
        """The objects whose label names this run, by name."""
        keys = self._labelled.get((resource, namespace, uuid), set())
        return tuple(self._objects[resource][key] for key in sorted(keys))

    def children(self, namespace: str, uid: str) -> tuple[OperationBody, ...]:
        """The Operations that this run controls, by name."""
        keys = self._children.get((namespace, uid), set())
        return tuple(self._objects[OPERATIONS][key] for key in sorted(keys))

    def own(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Record that this object is the one that a run asked for."""
        self._own[resource, key_of(body)] = body["metadata"]["uid"]

    def own_uid(self, resource: Resource, key: Key) -> str | None:
        """The uid of the object that is known to be what a run asked for; None if that is not known
        yet.
        """
        return self._own.get((resource, key))

    def was_seen(self, resource: Resource, key: Key) -> bool:
        """Whether an object of a run, of this name, existed and is gone."""
        return (resource, key) in self._gone

    def last_of(self, resource: Resource, key: Key) -> Manifest | None:
        """The last body of a run of a pipeline that had ended and is gone; None if not known.

        The pipeline may not have written down yet how it ended.
        """
        return self._ended.get(key) if resource is OPERATIONS else None

    def _remember_end(self, body: Manifest | None) -> None:
        is_final = body is not None and parse_phase(body.get("status")).is_final
        if body is None or not is_final or _controller_of(body) is None:
            return
        self._ended[key_of(body)] = body
        while len(self._ended) > _ENDED:
            self._ended.popitem(last=False)

    def count(self, resource: Resource) -> int:
        return len(self._objects[resource])

    def version(self, resource: Resource, key: Key) -> str | None:
        """The resourceVersion of the cached object."""
        known = self._objects[resource].get(key)
        return None if known is None else _version(known)

    def put(self, resource: Resource, body: Mapping[str, Any]) -> set[Key]:
        """Store this body unless a newer one is known; returns the runs that it concerns.

        Empty if the body says nothing new. A list that was requested before a deletion and is read
        after it still contains the object, so a deleted object is never restored.
        """
        key = key_of(body)
        known = self._objects[resource].get(key)
        if body["metadata"]["uid"] in self._gone or (
            known is not None and not is_newer(body, known)
        ):
            return set()
        replaced = self._replace(resource, known, body)
        kept = slim(resource, body)
        if known is not None:
            self._unindex(resource, key, known)
        self._objects[resource][key] = kept
        if resource is COMPONENTS:
            return set(self._waiters.get(Subject("component", *key), ()))
        if resource is not OPERATIONS:
            self._gone.pop((resource, key), None)
            return self._add_object(resource, key, kept)
        self._by_uuid[(key[0], names.run_uuid(kept["metadata"]["uid"]))] = key
        if controller := _controller_of(kept):
            self._children[controller].add(key)
        self.results.add(kept)
        concerned = self._concerned_by(kept) if _concerns_others(known, kept) else set()
        return {key} | replaced | concerned

    def _add_object(self, resource: Resource, key: Key, body: Mapping[str, Any]) -> set[Key]:
        """Index an object of a run; returns the run that it concerns, if it is watched."""
        owner, run = _owner_key(body), _run_of(body)
        if run:
            self._labelled[resource, *run].add(key)
        return (owner or self._find_run(run)) if resource in WATCHED else set()

    def _remove_object(self, resource: Resource, key: Key, body: Mapping[str, Any]) -> set[Key]:
        self._unindex(resource, key, body)
        run = _run_of(body)
        return (_owner_key(body) or self._find_run(run)) if resource in WATCHED else set()

    def _unindex(self, resource: Resource, key: Key, body: Mapping[str, Any]) -> None:
        """Remove an object from the indexes by what it refers to."""
        if run := _run_of(body):
            _discard(self._labelled, (resource, *run), key)
        if resource is not OPERATIONS:
            return
        self.results.remove(body)
        if controller := _controller_of(body):
            _discard(self._children, controller, key)

    def _find_run(self, run: tuple[str, str] | None) -> set[Key]:
        key = None if run is None else self._by_uuid.get(run)
        return set() if key is None else {key}

    def _replace(
        self, resource: Resource, known: Manifest | None, body: Mapping[str, Any]
    ) -> set[Key]:
        """Handle a new object under a known name: the known object was deleted unnoticed.

        Returns the runs that wait for the known one.
        """
        if known is None or known["metadata"]["uid"] == body["metadata"]["uid"]:
            return set()
        self._remember_deleted(known["metadata"]["uid"])
        if resource is not OPERATIONS:
            return set()
        return self._remove_run(key_of(known), known)

    def _remove_run(self, key: Key, body: Mapping[str, Any]) -> set[Key]:
        """Remove a run from the indexes; returns the runs that it concerns."""
        self._by_uuid.pop((key[0], names.run_uuid(body["metadata"]["uid"])), None)
        self._unindex(OPERATIONS, key, body)
        return self._concerned_by(body)

    def _remember_deleted(self, gone: tuple[Resource, Key] | str) -> None:
        self._gone[gone] = None
        while len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)

    def drop(self, resource: Resource, body: Mapping[str, Any]) -> set[Key]:
        """Forget a deleted object.

        A body older than the cached one (whose name was reused) drops nothing.
        """
        key = key_of(body)
        known = self._objects[resource].get(key)
        self._remember_deleted(body["metadata"]["uid"])
        if (
            known is not None
            and known["metadata"]["uid"] != body["metadata"]["uid"]
            and not is_newer(body, known)
        ):
            return set()
        last = self._objects[resource].pop(key, None)
        if self._own.get((resource, key)) == body["metadata"]["uid"]:
            del self._own[resource, key]
        if resource is OPERATIONS:
            self.wait(key, frozenset())
            self._remember_end(last)
            if last is not None:
                self.results.remove(last)
            return self._remove_run(key, body)
        if resource is COMPONENTS:
            return set()
        self._remember_deleted((resource, key))
        return self._remove_object(resource, key, body)

    def mark_gone(self, resource: Resource, key: Key) -> None:
        """Record that the object of this name is gone, whether or not it was known."""
        known = self._objects.get(resource, {}).pop(key, None)
        if known is not None:
            self._remove_object(resource, key, known)
        self._own.pop((resource, key), None)
        self._remember_deleted((resource, key))

    def keys(self, resource: Resource, namespace: str | None = None) -> frozenset[Key]:
        """The names of all cached objects of a kind, in one namespace or in all."""
        return frozenset(key for key in self._objects[resource] if namespace in (None, key[0]))

    def missing(
        self, resource: Resource, known: frozenset[Key], present: Set[Key]
    ) -> list[Manifest]:
        """Objects that were cached when a full list was requested, and that are not in it.

        They may have been deleted while the watch was down: verify before dropping them. Objects
        cached after the request are newer than the list and are not in `known`.
        """
        return [
            body
            for key in known - present
            if (body := self._objects[resource].get(key)) is not None
        ]

    def wait(self, key: Key, subjects: frozenset[Subject]) -> None:
        """Wake `key` whenever one of these subjects changes; the empty set ends its wait."""
        for subject in self._waits.pop(key, frozenset()) - subjects:
            waiting = self._waiters.get(subject)
            if waiting is not None:
                waiting.discard(key)
                if not waiting:
                    del self._waiters[subject]
        for subject in subjects:
            self._waiters[subject].add(key)
        if subjects:
            self._waits[key] = subjects

    def wait_too(self, key: Key, subject: Subject) -> None:
        """Wake `key` when this subject changes, too."""
        self.wait(key, self._waits.get(key, frozenset()) | {subject})

    def _concerned_by(self, body: Mapping[str, Any]) -> set[Key]:
        """The runs that look at this one: those that wait for it, its controller, its children."""
        return self._waiters_on(body) | self._controlling(body) | self._controlled(body)

    def _controlling(self, body: Mapping[str, Any]) -> set[Key]:
        controller = _controller_of(body)
        return set() if controller is None else self._find_run_of(*controller)

    def _find_run_of(self, namespace: str, uid: str) -> set[Key]:
        return self._find_run((namespace, names.run_uuid(uid)))

    def _controlled(self, body: Mapping[str, Any]) -> set[Key]:
        """The children of a run that ends or is being deleted: they end with it."""
        metadata, phase = body["metadata"], parse_phase(body.get("status"))
        is_ending = phase.is_final or phase in _ENDING or "deletionTimestamp" in metadata
        known = self._children.get((metadata["namespace"], metadata["uid"]))
        return set(known) if known and is_ending else set()

    def _waiters_on(self, body: Mapping[str, Any]) -> set[Key]:
        namespace, name = key_of(body)
        uuid = names.run_uuid(body["metadata"]["uid"])
        by_name = self._waiters.get(Subject("operation", namespace, name), set())
        by_uuid = self._waiters.get(Subject("run", namespace, uuid), set())
        return by_name | by_uuid


def _version(body: Mapping[str, Any]) -> str:
    version: str = body["metadata"]["resourceVersion"]
    return version


def _owner_key(pod: Mapping[str, Any]) -> set[Key]:
    owner = names.owner_name(pod)
    return {(pod["metadata"]["namespace"], owner)} if owner else set()


def _controller_of(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """The namespace and uid of the run that controls this Operation."""
    uid = names.controller_uid(body)
    return (body["metadata"]["namespace"], uid) if uid else None


def _discard(index: dict[Any, set[Key]], at: Any, key: Key) -> None:
    if at in index:
        index[at].discard(key)
        if not index[at]:
            del index[at]


def _run_of(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    """The run that an object's label names: enough to reconcile that run.

    Anyone can write a label, so it proves nothing.
    """
    uuid = (pod["metadata"].get("labels") or {}).get(names.UUID_LABEL)
    return (pod["metadata"]["namespace"], str(uuid)) if uuid else None


def _concerns_others(known: Mapping[str, Any] | None, body: Mapping[str, Any]) -> bool:
    """Whether a waiting run could see a difference: the run appeared, froze its inputs, ended, or
    is being deleted.
    """
    if known is None:
        return True
    return _outside(known) != _outside(body)


def _outside(body: Mapping[str, Any]) -> tuple[Any, ...]:
    status = read_status(body)
    return is_frozen(status), parse_phase(status), "deletionTimestamp" in body["metadata"]
