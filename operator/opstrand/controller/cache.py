"""What the operator knows of the cluster, fed by events, lists and the responses to its own writes.

Owns the newest body of every Operation, Component and Pod of ours, the index by uuid, and which run
waits for which. kopf delivers events and keeps no cache: `controller.sync` looks up an object that
a later list lacks, and then drops it. Must not do I/O.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any

from opstrand.core import names
from opstrand.core.mask import is_secret_name
from opstrand.core.names import key_of
from opstrand.core.packed import pack
from opstrand.core.phase import is_frozen, parse_phase
from opstrand.core.recorded import read_status
from opstrand.core.resolving.run_values import slim_component, slim_plugins
from opstrand.kube.resources import COMPONENTS, DEPLOYMENTS, OPERATIONS, PODS, Resource
from opstrand.kube.versions import is_newer
from opstrand.types import Deployment, Key, Manifest, OperationBody, Pod

#: Deleted objects that are remembered, so that a lost Pod is noticed without a GET and no late list
#: restores a deleted object.
_TOMBSTONES = 8192
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
        self._objects: dict[Resource, dict[Key, Any]] = {
            OPERATIONS: {},
            COMPONENTS: {},
            PODS: {},
            DEPLOYMENTS: {},
        }
        self._by_uuid: dict[tuple[str, str], Key] = {}
        self._waiters: dict[Subject, set[Key]] = defaultdict(set)
        self._waits: dict[Key, frozenset[Subject]] = {}
        #: The Pods of services by (namespace, uuid of the run): Kubernetes chooses their names.
        self._replicas: dict[tuple[str, str], set[Key]] = defaultdict(set)
        #: The uids of Pods and Deployments that this process created, or compared with what it
        #: would create.
        self._own: dict[tuple[Resource, Key], str] = {}
        #: Deleted objects: names of Pods and Deployments, and uids of every kind.
        self._gone: OrderedDict[Key | str, None] = OrderedDict()

    def operation(self, key: Key) -> OperationBody | None:
        return self._objects[OPERATIONS].get(key)

    def is_final(self, key: Key) -> bool:
        """Whether the run has ended or does not exist."""
        body = self.operation(key)
        return body is None or parse_phase(read_status(body)).is_final

    def component(self, namespace: str, name: str) -> Manifest | None:
        return self._objects[COMPONENTS].get((namespace, name))

    def pod(self, namespace: str, name: str) -> Pod | None:
        return self._objects[PODS].get((namespace, name))

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

    def deployment(self, namespace: str, name: str) -> Deployment | None:
        """The Deployment as last created or read: Deployments are not watched."""
        return self._objects[DEPLOYMENTS].get((namespace, name))

    def replicas(self, namespace: str, uuid: str) -> list[Pod]:
        """The Pods of a service."""
        keys = self._replicas.get((namespace, uuid), set())
        return [self._objects[PODS][key] for key in sorted(keys)]

    def own(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Record that this object is the one that a run asked for."""
        self._own[resource, key_of(body)] = body["metadata"]["uid"]

    def own_uid(self, resource: Resource, key: Key) -> str | None:
        """The uid of the object that is known to be what a run asked for; None if that is not known
        yet.
        """
        return self._own.get((resource, key))

    def was_seen(self, namespace: str, name: str) -> bool:
        """Whether a Pod or Deployment of this name existed and is gone."""
        return (namespace, name) in self._gone

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
        slim = _slim(resource, body)
        self._objects[resource][key] = slim
        if resource is PODS:
            self._gone.pop(key, None)
            return self._take_pod(key, slim)
        if resource is DEPLOYMENTS:
            self._gone.pop(key, None)
            return set()
        if resource is COMPONENTS:
            return set(self._waiters.get(Subject("component", *key), ()))
        self._by_uuid[(key[0], names.run_uuid(slim["metadata"]["uid"]))] = key
        return (
            {key} | replaced | (self._waiters_on(slim) if _concerns_others(known, slim) else set())
        )

    def _take_pod(self, key: Key, pod: Mapping[str, Any]) -> set[Key]:
        owner, run = _owner_key(pod), _run_of(pod)
        if run and names.is_replica(pod):
            self._replicas[run].add(key)
        return owner or self._find_run(run)

    def _leave_pod(self, key: Key, pod: Mapping[str, Any]) -> set[Key]:
        run = _run_of(pod)
        if run in self._replicas:
            self._replicas[run].discard(key)
            if not self._replicas[run]:
                del self._replicas[run]
        return _owner_key(pod) or self._find_run(run)

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
        self._bury(known["metadata"]["uid"])
        if resource is not OPERATIONS:
            return set()
        self._by_uuid.pop(
            (known["metadata"]["namespace"], names.run_uuid(known["metadata"]["uid"])), None
        )
        return self._waiters_on(known)

    def _bury(self, gone: Key | str) -> None:
        self._gone[gone] = None
        while len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)

    def drop(self, resource: Resource, body: Mapping[str, Any]) -> set[Key]:
        """Forget a deleted object.

        A body older than the cached one (whose name was reused) drops nothing.
        """
        key = key_of(body)
        known = self._objects[resource].get(key)
        self._bury(body["metadata"]["uid"])
        if (
            known is not None
            and known["metadata"]["uid"] != body["metadata"]["uid"]
            and not is_newer(body, known)
        ):
            return set()
        self._objects[resource].pop(key, None)
        if self._own.get((resource, key)) == body["metadata"]["uid"]:
            del self._own[resource, key]
        if resource is PODS:
            self._bury(key)
            return self._leave_pod(key, body)
        if resource is not OPERATIONS:
            return set()
        self._by_uuid.pop((key[0], names.run_uuid(body["metadata"]["uid"])), None)
        self.wait(key, frozenset())
        return self._waiters_on(body)

    def mark_gone(self, key: Key) -> None:
        """Record that the Deployment of this name is gone, whether or not it was known."""
        self._objects[DEPLOYMENTS].pop(key, None)
        self._own.pop((DEPLOYMENTS, key), None)
        self._bury(key)

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


def _run_of(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    """The run that a Pod's label names: enough to reconcile that run.

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


def _slim(resource: Resource, body: Mapping[str, Any]) -> Manifest:
    """The body without what is never read.

    With 5,000 finished runs present, the dropped parts would be most of the memory.
    """
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    slim = {**body, "metadata": metadata}
    if resource is OPERATIONS and parse_phase(read_status(body)).is_final:
        slim["spec"] = _slim_operation(body.get("spec") or {})
    if resource in (OPERATIONS, COMPONENTS):
        return pack(slim)
    if resource is PODS:
        # Annotations of the user can take a quarter of a megabyte, and nothing here reads them.
        if annotations := metadata.get("annotations"):
            metadata["annotations"] = {
                key: value for key, value in annotations.items() if key.startswith(names.GROUP)
            }
        slim["spec"] = _slim_pod(body.get("spec") or {})
    return slim


def _slim_operation(spec: Mapping[str, Any]) -> Manifest:
    """Return what is read of the spec of a finished run."""
    kept = ("name", "control", "termination", "patchStrategy")
    own = {key: spec[key] for key in kept if key in spec}
    return own | slim_component(spec) | slim_plugins(spec)


def _slim_pod(spec: Mapping[str, Any]) -> Manifest:
    """Return what is read of the spec of a Pod."""
    kept = ("activeDeadlineSeconds", "nodeName", "schedulingGates")
    return {
        **{key: spec[key] for key in kept if key in spec},
        "containers": [_slim_container(c) for c in spec.get("containers") or ()],
        "initContainers": [_slim_container(c) for c in spec.get("initContainers") or ()],
    }


def _slim_container(container: Mapping[str, Any]) -> Manifest:
    """What `core.diagnosis` reads, and the secrets given as plain variables, so that messages can
    mask them.
    """
    kept = {
        name: container[name]
        for name in ("name", "resources", "restartPolicy")
        if name in container
    }
    secrets = [
        one
        for one in container.get("env") or ()
        if one.get("value") and is_secret_name(str(one.get("name")))
    ]
    return {**kept, "env": secrets} if secrets else kept
