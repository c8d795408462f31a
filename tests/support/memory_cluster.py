"""The whole operator in one process: gather, decide and apply over a cluster in memory, whose clock
and Pods the test moves.

It has what a pipeline needs of a real cluster: versions, events, and a garbage collector that runs
when the test says so. `restart` is the death of the operator: the next one knows only what is
stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from opstrand.controller.cache import WATCHED, Cache
from opstrand.controller.decision_job import MODULE
from opstrand.controller.gather import World
from opstrand.controller.reconcile import reconcile
from opstrand.core import names
from opstrand.kube.resources import COMPONENTS, DEPLOYMENTS, OPERATIONS, PODS, SERVICES, Resource
from opstrand.local.kube import MemoryKube
from opstrand.settings import Settings
from opstrand.types import Key, Manifest, key_of
from opstrand.workers.pool import Pool

NAMESPACE = "demo"
#: Reconciles after which a test gives up: a run that never settles would loop.
_MOST = 5_000


class MemoryCluster:
    """A cluster with one namespace, and its operator; a context manager."""

    def __init__(self, **settings: Any) -> None:
        self.kube = MemoryKube(self._observe)
        self.passed = timedelta()
        self._settings, self._pool = Settings(**settings), Pool(modules=(MODULE,))
        self._waiting: dict[Key, None] = {}
        self.world = self._start()

    def __enter__(self) -> MemoryCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def _start(self) -> World:
        return World(self.kube, Cache(), self._settings, self._pool)

    async def restart(self) -> None:
        """Let the operator die, and another one list what is there."""
        self._waiting.clear()
        self.world = self._start()
        for resource in WATCHED:
            for body in (await self.kube.list(resource))[0]:
                self._observe(resource, "ADDED", body)

    def _observe(self, resource: Resource, kind: str, body: Manifest) -> None:
        if resource not in WATCHED:
            return
        cache = self.world.cache
        concerned = cache.drop(resource, body) if kind == "DELETED" else cache.put(resource, body)
        self._waiting.update(dict.fromkeys(concerned))

    def wake(self, keys: Iterable[Key]) -> None:
        """Reconcile these runs with the next `settle`."""
        self._waiting.update(dict.fromkeys(keys))

    # -- time --------------------------------------------------------------------------------------

    def _clock(self) -> datetime:
        return datetime.now(UTC) + self.passed

    async def settle(self) -> None:
        """Reconcile until nothing is left to do now."""
        for _ in range(_MOST):
            if not self._waiting:
                return
            key = next(iter(self._waiting))
            del self._waiting[key]
            await self._reconcile(key)
        raise AssertionError(f"it never settles: {list(self._waiting)}")

    async def _reconcile(self, key: Key) -> None:
        outcome = await reconcile(key, world=self.world, clock=self._clock)
        if outcome.parked:
            outcome = await reconcile(key, world=self.world, clock=self._clock, is_parked=True)
        if outcome.trouble is not None:
            raise outcome.trouble
        self._waiting.update(dict.fromkeys(outcome.wake))
        if outcome.again == 0:
            self._waiting[key] = None

    async def wait(self, seconds: float = 10.0) -> None:
        """Let this time pass, look at every run, and settle."""
        self.passed += timedelta(seconds=seconds)
        bodies, _ = await self.kube.list(OPERATIONS)
        self._waiting.update(dict.fromkeys(map(key_of, bodies)))
        await self.settle()

    # -- runs --------------------------------------------------------------------------------------

    async def create(self, name: str, spec: Mapping[str, Any], **metadata: Any) -> Manifest:
        body = {
            "apiVersion": names.API_VERSION,
            "kind": "Operation",
            "metadata": {"name": name, **metadata},
            "spec": dict(spec),
        }
        return await self.kube.create(OPERATIONS, NAMESPACE, body)

    async def edit(self, name: str, key: str, value: Any) -> None:
        """Set a key of the spec."""
        ops = [{"op": "add", "path": f"/spec/{key}", "value": value}]
        await self.kube.json_patch(OPERATIONS, NAMESPACE, name, ops)

    async def put_component(self, name: str, spec: Mapping[str, Any]) -> None:
        """Create or replace a Component."""
        found = self.kube.find(COMPONENTS, NAMESPACE, name)
        metadata = {"name": name, "namespace": NAMESPACE, "uid": f"component-{name}"}
        body = {**(found or {"metadata": metadata}), "kind": "Component", "spec": dict(spec)}
        await self.kube.store(COMPONENTS, body, "MODIFIED" if found else "ADDED")

    def get(self, name: str) -> Manifest:
        found = self.kube.find(OPERATIONS, NAMESPACE, name)
        assert found is not None, f"there is no run '{name}'"
        return found

    def status(self, name: str) -> dict[str, Any]:
        return dict(self.get(name).get("status") or {})

    async def children(self, name: str) -> dict[str, Manifest]:
        """Return the runs that exist of a pipeline, by the label of their operation or index."""
        return await self.children_of(self.get(name))

    async def children_of(self, pipeline: Manifest) -> dict[str, Manifest]:
        uuid = names.run_uuid(pipeline["metadata"]["uid"])
        found = (await self.kube.list(OPERATIONS))[0]
        labels = {key_of(one)[1]: one["metadata"].get("labels") or {} for one in found}
        return {
            labels[key_of(one)[1]][names.OP]: one
            for one in found
            if labels[key_of(one)[1]].get(names.PIPELINE) == uuid
        }

    def find_child(self, pipeline: str, key: str | int) -> str:
        """Return the name of the run of an operation or an index."""
        uuid = names.run_uuid(self.get(pipeline)["metadata"]["uid"])
        return names.child_name(pipeline, uuid, key)

    async def delete(self, name: str) -> None:
        """Delete a run; `collect_garbage` removes what it owned."""
        await self.kube.remove(OPERATIONS, self.get(name))

    async def collect_garbage(self) -> None:
        """Remove everything whose owner is gone."""
        while True:
            found = await self.everything()
            uids = {one["metadata"]["uid"] for _, one in found}
            gone = [pair for pair in found if _is_garbage(pair[1], uids)]
            for resource, one in gone:
                await self.kube.remove(resource, one)
            if not gone:
                return

    async def everything(self) -> list[tuple[Resource, Manifest]]:
        return [
            (resource, one)
            for resource in (OPERATIONS, PODS, DEPLOYMENTS, SERVICES)
            for one in (await self.kube.list(resource))[0]
        ]

    # -- Pods --------------------------------------------------------------------------------------

    async def pods_of(self, name: str) -> list[Manifest]:
        uid = self.get(name)["metadata"]["uid"]
        return [one for one in (await self.kube.list(PODS))[0] if names.is_owned_by(one, uid)]

    async def run_pod(self, name: str, **outputs: Any) -> None:
        """Let the last Pod of a run start; it reports these outputs."""
        pod = (await self.pods_of(name))[-1]
        state = {"running": {"startedAt": self._stamp()}}
        await self._mark(pod, "Running", state)
        for key, value in outputs.items():
            ops = [{"op": "add", "path": f"/status/outputs/{key}", "value": value}]
            await self.kube.json_patch(OPERATIONS, NAMESPACE, name, ops)

    async def end_pod(self, name: str, code: int = 0) -> None:
        """Let the last Pod of a run end with this exit code."""
        await self._end((await self.pods_of(name))[-1], code)

    async def end_stopped_pods(self) -> None:
        """End every Pod that was asked to stop or is being deleted, as a kubelet does."""
        for pod in (await self.kube.list(PODS))[0]:
            if pod["metadata"].get("deletionTimestamp"):
                await self.kube.remove(PODS, pod)
            elif pod["spec"].get("activeDeadlineSeconds") == 1 and not _has_ended(pod):
                await self._end(pod, 143, reason="DeadlineExceeded")

    async def _end(self, pod: Manifest, code: int, **status: Any) -> None:
        times = {"startedAt": self._stamp(), "finishedAt": self._stamp()}
        phase = "Failed" if code else "Succeeded"
        await self._mark(pod, phase, {"terminated": {"exitCode": code, **times}}, **status)

    async def _mark(self, pod: Manifest, phase: str, state: Mapping[str, Any], **own: Any) -> None:
        container = pod["spec"]["containers"][0]["name"]
        statuses = [{"name": container, "ready": phase == "Running", "state": dict(state)}]
        status = {"phase": phase, "containerStatuses": statuses, **own}
        await self.kube.store(PODS, {**pod, "status": status})

    def _stamp(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")


def _has_ended(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _is_garbage(body: Manifest, uids: set[str]) -> bool:
    owners = body["metadata"].get("ownerReferences") or ()
    return any("uid" in one for one in owners) and not any(one.get("uid") in uids for one in owners)
