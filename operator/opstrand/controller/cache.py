"""What the operator knows of the cluster, fed by events, lists and the answers to its own writes.

Owns the newest body of every Operation, Component and Pod of ours, the index by uuid, and who waits
for whom. kopf gives events, not a cache: what is missing from a later list is asked for and then
dropped by `handlers.sync`. Must not do I/O.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass
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
from opstrand.types import Key, Manifest

#: Gone objects that are remembered, so that the loss of a Pod is known without a GET, and no late
#: list brings anything back.
_TOMBSTONES = 8192


@dataclass(frozen=True)
class Subject:
    """Something that a run can wait for: an Operation by name or by uuid, or a Component by
    name.
    """

    kind: str
    namespace: str
    name: str


class Cache:
    """Bodies by (namespace, name).

    Every change returns the keys of the runs that should look again.
    """

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[Key, Manifest]] = {
            OPERATIONS: {},
            COMPONENTS: {},
            PODS: {},
            DEPLOYMENTS: {},
        }
        self._by_uuid: dict[tuple[str, str], Key] = {}
        self._waiters: dict[Subject, set[Key]] = defaultdict(set)
        self._waits: dict[Key, frozenset[Subject]] = {}
        #: The Pods of services by (namespace, uuid of the run): their names are Kubernetes' own.
        self._replicas: dict[tuple[str, str], set[Key]] = defaultdict(set)
        #: The uids of Pods and Deployments that this process made, or has compared with what it
        #: would make.
        self._own: dict[tuple[Resource, Key], str] = {}
        #: Names of Pods and Deployments, and uids of everything, that are gone.
        self._gone: OrderedDict[Key | str, None] = OrderedDict()

    def operation(self, key: Key) -> Manifest | None:
        return self._objects[OPERATIONS].get(key)

    def is_final(self, key: Key) -> bool:
        """The run has ended, or there is none."""
        body = self.operation(key)
        return body is None or parse_phase(read_status(body)).is_final

    def component(self, namespace: str, name: str) -> Manifest | None:
        return self._objects[COMPONENTS].get((namespace, name))

    def pod(self, namespace: str, name: str) -> Manifest | None:
        return self._objects[PODS].get((namespace, name))

    def find_named(self, namespace: str, name: str) -> Manifest | None:
        """What `ops.NAME` means outside a pipeline: the Operation of that name."""
        return self.operation((namespace, name))

    def find_by_uuid(self, namespace: str, uuid: str) -> Manifest | None:
        """The run of this uuid, in this namespace and nowhere else: another project's run is a run
        not found.
        """
        key = self._by_uuid.get((namespace, uuid))
        return None if key is None else self.operation(key)

    def operations(self, namespace: str | None = None) -> list[Manifest]:
        return [
            body for key, body in self._objects[OPERATIONS].items() if namespace in (None, key[0])
        ]

    def deployment(self, namespace: str, name: str) -> Manifest | None:
        """As it was when it was made or asked for: nobody watches Deployments."""
        return self._objects[DEPLOYMENTS].get((namespace, name))

    def replicas(self, namespace: str, uuid: str) -> list[Manifest]:
        """The Pods of a service."""
        keys = self._replicas.get((namespace, uuid), set())
        return [self._objects[PODS][key] for key in sorted(keys)]

    def own(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """This object is what a run asked for, and no other of its name."""
        self._own[resource, key_of(body)] = body["metadata"]["uid"]

    def own_uid(self, resource: Resource, key: Key) -> str | None:
        """The uid of the object that is known to be what a run asked for; None where that is not
        known yet.
        """
        return self._own.get((resource, key))

    def was_seen(self, namespace: str, name: str) -> bool:
        """A Pod or Deployment of this name existed and is gone."""
        return (namespace, name) in self._gone

    def count(self, resource: Resource) -> int:
        return len(self._objects[resource])

    def version(self, resource: Resource, key: Key) -> str | None:
        """The resourceVersion of what is known of it."""
        known = self._objects[resource].get(key)
        return None if known is None else _version(known)

    def put(self, resource: Resource, body: Mapping[str, Any]) -> set[Key]:
        """Take this body unless a newer one is known. Returns whom it concerns; empty if it says
        nothing new.

        A list that was asked for before a deletion and is read after it still holds the object:
        what is gone stays gone.
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
        """Another object has taken the name: the known one was deleted unnoticed.

        Returns those that wait for that very run.
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
        """Forget an object that is gone.

        A body older than what is known (the name was taken again) drops nothing.
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
        """The Deployment of this name is gone, whether or not it was known."""
        self._objects[DEPLOYMENTS].pop(key, None)
        self._own.pop((DEPLOYMENTS, key), None)
        self._bury(key)

    def keys(self, resource: Resource, namespace: str | None = None) -> frozenset[Key]:
        """The names of all that is known of a kind, in one namespace or in all."""
        return frozenset(key for key in self._objects[resource] if namespace in (None, key[0]))

    def missing(
        self, resource: Resource, known: frozenset[Key], present: Set[Key]
    ) -> list[Manifest]:
        """What was known when a full list was asked for, and is not in it: perhaps deleted while
        the watch was down. Ask before believing it. What came after that is newer than the list.
        """
        return [
            body
            for key in known - present
            if (body := self._objects[resource].get(key)) is not None
        ]

    def wait(self, key: Key, subjects: frozenset[Subject]) -> None:
        """From now on wake `key` when one of these changes; the empty set ends its waiting."""
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
    """The run whose label a Pod has: enough to look at it.

    Anyone can write a label, so it is no proof.
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
    """The body without what is never read: with 5,000 finished runs present, most of the memory."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    slim = {**body, "metadata": metadata}
    if resource is OPERATIONS and parse_phase(read_status(body)).is_final:
        spec = body.get("spec") or {}
        slim["spec"] = {
            key: spec[key]
            for key in ("name", "control", "termination", "patchStrategy")
            if key in spec
        }
        slim["spec"] |= slim_component(spec) | slim_plugins(spec)
    if resource in (OPERATIONS, COMPONENTS):
        return pack(slim)
    if resource is PODS:
        # What the user asked for in annotations may be a quarter of a megabyte, and is not read
        # here.
        if annotations := metadata.get("annotations"):
            metadata["annotations"] = {
                key: value for key, value in annotations.items() if key.startswith(names.GROUP)
            }
        spec = body.get("spec") or {}
        kept = ("activeDeadlineSeconds", "nodeName", "schedulingGates")
        slim["spec"] = {
            **{key: spec[key] for key in kept if key in spec},
            "containers": [_slim_container(c) for c in spec.get("containers") or ()],
            "initContainers": [_slim_container(c) for c in spec.get("initContainers") or ()],
        }
    return slim


def _slim_container(container: Mapping[str, Any]) -> Manifest:
    """What diagnosing reads: and the secrets given as plain variables, so that they can be kept out
    of what is shown.
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
