"""`Kube` in memory: the loopback API's store holds Operations, and dicts hold Pods and ConfigMaps.

Owns names, uids and resourceVersions, as an API server would set them, and calls a listener with
every change. Must not run anything.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import jsonpatch

from opstrand.core.normalize import as_stored
from opstrand.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from opstrand.kube.protocol import Page
from opstrand.kube.resources import DEPLOYMENTS, EVENTS, OPERATIONS, PODS, Resource
from opstrand.local.limits import refuse_pod
from opstrand.runs.memory import MemoryRuns
from opstrand.types import JsonPatch, Key, Manifest, key_of

#: Called with the resource, the kind of event and the body after each change.
Listener = Callable[[Resource, str, Manifest], None]


class LocalRuns(MemoryRuns):
    """The store of runs of the API.

    Every write of the API or the engine is one event for the listener.
    """

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    async def put(self, body: Mapping[str, Any]) -> Manifest:
        # Plain JSON only, as a cluster would return it.
        stored: Manifest = dict(await super().put(as_stored(json.loads(json.dumps(body)))))
        self._listener(OPERATIONS, "MODIFIED", stored)
        return stored

    async def drop(self, key: Key) -> None:
        body = self.bodies.get(key)
        await super().drop(key)
        if body is not None:
            self._listener(OPERATIONS, "DELETED", dict(body))

    async def add(self, body: Manifest) -> Manifest:
        """Store a new run. Raises AlreadyExists if the name is taken."""
        if key_of(body) in self.bodies:
            raise AlreadyExists(f"Operation {'/'.join(key_of(body))} is there already", status=409)
        return await self.put(body)


class MemoryKube:
    """The verbs that `reconcile` uses.

    It refuses what a laptop cannot run as an API server would: with the path, and for good.
    """

    def __init__(self, listener: Listener, runs: LocalRuns | None = None) -> None:
        self.runs = LocalRuns(listener) if runs is None else runs
        self._listener = listener
        self._objects: dict[tuple[Resource, Key], Manifest] = {}
        self._versions = itertools.count(1_000_000)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        found = self.find(resource, namespace, name)
        if found is None:
            raise NotFound(f"{resource.kind} {namespace}/{name} is not there", status=404)
        return found

    def find(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        key = (namespace or "", name)
        if resource is OPERATIONS:
            body = self.runs.bodies.get(key)
            return None if body is None else dict(body)
        return self._objects.get((resource, key))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
    ) -> tuple[list[Manifest], str]:
        if resource is OPERATIONS:
            return [
                dict(body) for key, body in self.runs.bodies.items() if namespace in (None, key[0])
            ], "0"
        return [
            body
            for (kind, key), body in self._objects.items()
            if kind is resource and namespace in (None, key[0])
        ], "0"

    async def pages(
        self, resource: Resource, namespace: str | None = None, *, labels: str = ""
    ) -> AsyncIterator[Page]:
        yield Page(*await self.list(resource, namespace, labels=labels))

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> Manifest:
        if resource is EVENTS:
            # No Event is stored: the user sees the status of the run in the terminal.
            return dict(body)
        name = (
            body["metadata"].get("name") or body["metadata"]["generateName"] + uuid.uuid4().hex[:5]
        )
        if resource is not OPERATIONS and self.find(resource, namespace, name) is not None:
            raise AlreadyExists(f"{resource.kind} {namespace}/{name} is there already", status=409)
        pod = body if resource is PODS else _make_replica(body) if resource is DEPLOYMENTS else None
        if pod is not None and (refusal := refuse_pod(pod)):
            raise Invalid(refusal, status=422)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        fixed = {
            "uid": str(uuid.uuid4()),
            "creationTimestamp": now,
            **body["metadata"],
            "name": name,
            "namespace": namespace,
        }
        made = {**body, "metadata": fixed}
        stored = await (
            self.runs.add(made) if resource is OPERATIONS else self.store(resource, made, "ADDED")
        )
        if resource is DEPLOYMENTS and pod is not None:
            await self.create(PODS, namespace, pod)
        return stored

    async def preview(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any]
    ) -> Manifest:
        """Return what a create would store: here nothing is added to it."""
        plain: Manifest = as_stored(json.loads(json.dumps(body)))
        return plain

    async def store(
        self, resource: Resource, body: Mapping[str, Any], event: str = "MODIFIED"
    ) -> Manifest:
        """Store this body under a new version, and call the listener.

        Plain JSON only, as a cluster would return it.
        """
        if resource is OPERATIONS:
            return await self.runs.put(body)
        plain: Manifest = as_stored(json.loads(json.dumps(body)))
        plain["metadata"]["resourceVersion"] = str(next(self._versions))
        self._objects[resource, key_of(plain)] = plain
        self._listener(resource, event, plain)
        return plain

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        ops: JsonPatch,
        *,
        subresource: str | None = None,
    ) -> Manifest:
        if resource is not OPERATIONS:
            return await self.store(
                resource, _apply_patch(ops, await self.get(resource, namespace, name))
            )
        try:
            return dict(
                await self.runs.change(
                    (namespace or "", name), lambda body: _apply_patch(ops, body)
                )
            )
        except LookupError:
            raise NotFound(f"Operation {namespace}/{name} is not there", status=404) from None

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None
    ) -> None:
        body = self.find(resource, namespace, name)
        if body is None:
            return
        if resource is PODS and "deletionTimestamp" not in body["metadata"]:
            # As with a kubelet: mark the Pod first, remove it when its process has ended.
            await self.json_patch(
                PODS,
                namespace,
                name,
                [{"op": "add", "path": "/metadata/deletionTimestamp", "value": _now()}],
            )
            return
        await self.remove(resource, body)
        if resource is DEPLOYMENTS:
            await self.delete(PODS, namespace, _make_replica(body)["metadata"]["name"])

    async def remove(self, resource: Resource, body: Manifest) -> None:
        """Remove the object, and call the listener."""
        key = key_of(body)
        if resource is OPERATIONS:
            await self.runs.drop(key)
            return
        self._objects.pop((resource, key), None)
        self._listener(resource, "DELETED", body)


def _apply_patch(ops: JsonPatch, body: Mapping[str, Any]) -> Manifest:
    """Return the object with these changes.

    Raises Conflict if the changes are for another version, Invalid if they do not apply.
    """
    what = f"{body.get('kind')} {'/'.join(key_of(body))}"
    for op in ops:
        if (
            op["path"] == "/metadata/resourceVersion"
            and op["value"] != body["metadata"]["resourceVersion"]
        ):
            raise Conflict(f"{what} has changed", status=409)
    try:
        patched: Manifest = jsonpatch.apply_patch(
            body, [op for op in ops if op["path"] != "/metadata/resourceVersion"]
        )
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise Invalid(f"the patch of {what} does not apply: {error}", status=422) from error
    return patched


def _make_replica(deployment: Mapping[str, Any]) -> Manifest:
    """Make the one Pod that a laptop runs of a Deployment: there is only one of each port."""
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    owners = [
        *metadata["ownerReferences"],
        {"kind": "ReplicaSet", "name": f"{metadata['name']}-local"},
    ]
    made = {
        **template["metadata"],
        "name": f"{metadata['name']}-local-0",
        "ownerReferences": owners,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": template["spec"]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
