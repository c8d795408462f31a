"""An object under one of our names exists already: it is adopted if it is exactly what would be
made, and otherwise ends the run.

Labels, annotations and owner references are copied into every foreign object here: any user who may
make a Pod can write them.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import gzip
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from opstrand.controller.cache import Cache
from opstrand.controller.decision_job import MODULE
from opstrand.controller.gather import World
from opstrand.controller.reconcile import reconcile
from opstrand.core.normalize import as_stored
from opstrand.core.pods.adoption import find_difference
from opstrand.kube.errors import Forbidden
from opstrand.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    OPERATIONS,
    PODS,
    SERVICES,
    Resource,
)
from opstrand.local.kube import MemoryKube
from opstrand.settings import Settings
from opstrand.types import Manifest
from opstrand.workers.pool import Pool

KEY = ("ns", "a")
LONG = [{"file": {"filename": "big.txt", "content": "line of text\n" * 20_000}}]
STARTED = {"startedAt": "2026-01-01T00:00:01Z"}
POOL = Pool(modules=(MODULE,))
RUNNING = {
    "phase": "Running",
    "containerStatuses": [{"name": "main", "state": {"running": STARTED}}],
}
DONE = {"exitCode": 0, **STARTED, "finishedAt": "2026-01-01T00:00:02Z"}
SUCCEEDED = {
    "phase": "Succeeded",
    "containerStatuses": [{"name": "main", "state": {"terminated": DONE}}],
}


@pytest.fixture(scope="module", autouse=True)
async def workers() -> AsyncIterator[None]:
    """Close the workers while the loop still runs: it watches their sockets."""
    yield
    POOL.close()
    await asyncio.sleep(0.1)


class Cluster(MemoryKube):
    """A cluster in memory, without a kubelet and without Deployment controllers.

    The operator dies just before, or after, it makes such an object.
    """

    def __init__(self) -> None:
        super().__init__(lambda *_: None)
        self.dies_before: Resource | None = None
        self.dies_after: Resource | None = None
        self.refuses_previews = False
        self.previews = 0

    async def create(self, resource: Resource, namespace: str | None, body: Any) -> Manifest:
        if resource is self.dies_before:
            raise KeyboardInterrupt
        made = await self._create(resource, namespace, body)
        if resource is self.dies_after:
            raise KeyboardInterrupt
        return made

    async def _create(self, resource: Resource, namespace: str | None, body: Any) -> Manifest:
        if resource is DEPLOYMENTS:
            fixed = {
                "uid": f"d-{id(body)}",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                **body["metadata"],
            }
            return await self._create_plain(resource, namespace, {**body, "metadata": fixed})
        return await super().create(resource, namespace, body)

    async def _create_plain(
        self, resource: Resource, namespace: str | None, body: Manifest
    ) -> Manifest:
        name = body["metadata"]["name"]
        if self.find(resource, namespace, name) is not None:
            return await super().create(resource, namespace, body)
        return await self.store(resource, body, "ADDED")

    async def preview(self, resource: Resource, namespace: str | None, body: Any) -> Manifest:
        self.previews += 1
        if self.refuses_previews:
            raise Forbidden("exceeded quota", status=403, body={"message": "exceeded quota"})
        return await super().preview(resource, namespace, body)

    async def status(self) -> dict[str, Any]:
        return dict((await self.get(OPERATIONS, *KEY)).get("status") or {})

    async def only(self, resource: Resource) -> Manifest:
        (found,) = (await self.list(resource))[0]
        return found


class Operator:
    """One life of an operator: it knows what it made, and sees what `see` shows it."""

    def __init__(self, kube: Cluster, **settings: Any) -> None:
        self.kube = kube
        self.world = World(kube, Cache(), Settings(**settings), POOL)

    async def look(self, now: str = "2026-01-01T00:00:00+00:00") -> dict[str, Any]:
        for resource in (OPERATIONS, PODS):
            for body in (await self.kube.list(resource))[0]:
                self.world.cache.put(resource, body)
        clock = datetime.fromisoformat(now).astimezone(UTC)
        outcome = await reconcile(KEY, world=self.world, clock=lambda: clock)
        if outcome.parked:  # a large body is decided in a worker
            await reconcile(KEY, world=self.world, clock=lambda: clock, is_parked=True)
        return await self.kube.status()


async def begin(kind: str = "job", init: Any = None, **spec: Any) -> Cluster:
    kube = Cluster()
    run = {
        "kind": kind,
        "container": {"image": "busybox", "command": ["true"]},
        **({"init": init} if init else {}),
    }
    await kube.create(
        OPERATIONS, "ns", {"metadata": {"name": "a"}, "spec": {"component": {"run": run}, **spec}}
    )
    return kube


async def die_before(kube: Cluster, resource: Resource) -> None:
    """Run an operator that freezes the run and dies before it makes the object."""
    kube.dies_before = resource
    with pytest.raises(KeyboardInterrupt):
        await Operator(kube).look()
    kube.dies_before = None


async def die_after(kube: Cluster, resource: Resource) -> None:
    kube.dies_after = resource
    with pytest.raises(KeyboardInterrupt):
        await Operator(kube).look()
    kube.dies_after = None


async def would_make(resource: Resource, kind: str = "job", init: Any = None) -> Manifest:
    """Return what another cluster has after the same operation; only the name is the same."""
    kube = await begin(kind, init)
    await Operator(kube).look()
    return await kube.only(resource)


async def plant(kube: Cluster, resource: Resource, made: Manifest) -> Manifest:
    """Create the same object, forged to be the run's by its owner, its labels and its names."""
    body = await kube.get(OPERATIONS, *KEY)
    status = body["status"]
    text = copy.deepcopy(made)
    uuid = status["uuid"]
    old = made["metadata"]["labels"]["opstrand.dev/uuid"]
    forged: Manifest = _rename(text, {old: uuid, old[:8]: uuid[:8]})
    for reference in forged["metadata"]["ownerReferences"]:
        reference["uid"] = body["metadata"]["uid"]
    forged["metadata"] |= {"uid": "planted", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return await kube.store(resource, forged, "ADDED")


def _rename(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: item if key == "binaryData" else _rename(item, names)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_rename(item, names) for item in value]
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
    return value


def other_program(pod: Manifest) -> None:
    pod["spec"]["containers"][0]["command"] = ["steal"]


def another_container(pod: Manifest) -> None:
    pod["spec"]["containers"].append({**pod["spec"]["containers"][0], "name": "beside"})


def another_init_container(pod: Manifest) -> None:
    pod["spec"]["initContainers"].insert(0, {"name": "before", "image": "evil"})


def another_variable(pod: Manifest) -> None:
    pod["spec"]["containers"][0]["env"].append({"name": "LD_PRELOAD", "value": "/evil.so"})


def another_image_of_ours(pod: Manifest) -> None:
    pod["spec"]["initContainers"][0]["image"] = "evil"


def another_account(pod: Manifest) -> None:
    pod["spec"]["serviceAccountName"] = "admin"


def another_hook(pod: Manifest) -> None:
    pod["spec"]["containers"][0]["lifecycle"] = {"postStart": {"exec": {"command": ["steal"]}}}


def another_volume(pod: Manifest) -> None:
    pod["spec"]["volumes"].append({"name": "root", "hostPath": {"path": "/"}})


FORGERIES = [
    other_program,
    another_container,
    another_init_container,
    another_variable,
    another_image_of_ours,
    another_account,
    another_hook,
    another_volume,
]


@pytest.mark.parametrize("refuses_previews", [False, True])
@pytest.mark.parametrize("state", [None, RUNNING, SUCCEEDED])
@pytest.mark.parametrize("forge", FORGERIES)
async def test_a_foreign_pod_is_never_adopted(
    forge: Any, state: Any, refuses_previews: bool
) -> None:
    kube = await begin()
    await die_before(kube, PODS)
    pod = await plant(kube, PODS, await would_make(PODS))
    forge(pod)
    await kube.store(PODS, {**pod, **({"status": state} if state else {})})
    kube.refuses_previews = refuses_previews
    status = await Operator(kube).look()
    assert (status["phase"], status["reason"]) == ("Failed", "NameConflict")
    assert "was not made for this run: it differs at spec." in status["message"]


@pytest.mark.parametrize("refuses_previews", [False, True])
async def test_the_pod_of_the_operator_before_this_one_is_adopted(refuses_previews: bool) -> None:
    kube = await begin()
    await Operator(kube).look()
    pod = await kube.only(PODS)
    spec = {**pod["spec"], "nodeName": "n1", "tolerations": [{"key": "a", "operator": "Exists"}]}
    await kube.store(PODS, {**pod, "spec": spec, "status": RUNNING})
    kube.refuses_previews = refuses_previews
    status = await Operator(kube).look()
    assert (status["phase"], status["pod"]["uid"], status["pod"]["node"]) == (
        "Running",
        pod["metadata"]["uid"],
        "n1",
    )
    # From now on its uid is in the status: it is not compared again.
    asked = kube.previews
    await Operator(kube).look()
    assert kube.previews == asked


async def test_who_made_the_pod_does_not_ask_what_it_is() -> None:
    kube = await begin()
    operator = Operator(kube)
    await operator.look()
    await kube.store(PODS, {**await kube.only(PODS), "status": RUNNING})
    assert (await operator.look())["phase"] == "Running"
    assert kube.previews == 0


async def test_a_pod_that_an_operator_of_another_version_made_is_adopted() -> None:
    """Its image is the init container's, which changes with every version."""
    kube = await begin()
    await Operator(kube).look()
    await kube.store(PODS, {**await kube.only(PODS), "status": SUCCEEDED})
    assert (await Operator(kube, image="opstrand:next").look())["phase"] == "Succeeded"


@pytest.mark.parametrize("is_recorded", [True, False])
async def test_a_pod_in_the_place_of_the_one_that_was_made_is_not_its_successor(
    is_recorded: bool,
) -> None:
    kube = await begin()
    operator = Operator(kube)
    await operator.look()
    pod = await kube.only(PODS)
    if is_recorded:
        await kube.store(PODS, {**pod, "status": RUNNING})
        await operator.look()
        operator = Operator(kube)
    await kube.store(
        PODS, {**pod, "metadata": {**pod["metadata"], "uid": "planted"}, "status": SUCCEEDED}
    )
    status = await operator.look()
    assert (status["phase"], status["reason"], status["attempt"]) == ("Retrying", "PodLost", 1)


@pytest.mark.parametrize(("kind", "resource"), [("job", PODS), ("service", DEPLOYMENTS)])
async def test_a_foreign_config_map_is_not_used(kind: str, resource: Resource) -> None:
    kube = await begin(kind, LONG)
    await die_before(kube, CONFIG_MAPS)
    planted = await plant(kube, CONFIG_MAPS, await would_make(CONFIG_MAPS, kind, LONG))
    evil = base64.b64encode(gzip.compress(b"{}")).decode()
    await kube.store(
        CONFIG_MAPS, {**planted, "binaryData": dict.fromkeys(planted["binaryData"], evil)}
    )
    operator = Operator(kube)
    for _ in range(3):
        status = await operator.look()
    assert (status["phase"], status["reason"]) == ("Failed", "NameConflict")
    assert "the ConfigMap" in status["message"]
    assert (await kube.list(resource))[0] == []


async def test_the_config_map_of_the_operator_before_this_one_is_used() -> None:
    kube = await begin(init=LONG)
    await die_before(kube, PODS)
    assert await kube.only(CONFIG_MAPS)
    assert (await Operator(kube).look())["phase"] == "Starting"
    assert await kube.only(PODS)


@pytest.mark.parametrize("resource", [SERVICES, DEPLOYMENTS])
@pytest.mark.parametrize("is_same", [True, False])
async def test_a_service_adopts_its_own_objects_alone(resource: Resource, is_same: bool) -> None:
    kube = await begin("service")
    await die_after(kube, resource)
    found = await kube.only(resource)
    spec = found["spec"]
    if not is_same and resource is SERVICES:
        spec["selector"] = {"app": "evil"}
    elif not is_same:
        spec["template"]["spec"]["containers"][0]["image"] = "evil"
    await kube.store(resource, found)
    operator = Operator(kube)
    for _ in range(3):
        status = await operator.look()
    expected = ("Starting", "PodCreated") if is_same else ("Failed", "NameConflict")
    assert (status["phase"], status["reason"]) == expected


def replica_of(deployment: Manifest, name: str) -> Manifest:
    """Return a serving Pod as the controller of this Deployment makes it."""
    template = deployment["spec"]["template"]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{deployment['metadata']['name']}-5d",
        "uid": "rs",
    }
    metadata = {
        **template["metadata"],
        "name": name,
        "namespace": "ns",
        "uid": name,
        "ownerReferences": [owner],
    }
    main = {"name": "main", "restartCount": 0, "state": {"running": STARTED}}
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [main],
    }
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": template["spec"], "status": status}


@pytest.mark.parametrize("is_planted", [True, False])
async def test_replicas_count_once_their_deployment_is_known_to_be_the_runs(
    is_planted: bool,
) -> None:
    """The operator died before it knew: another user's Deployment may have been first, with Pods
    that serve.
    """
    kube = await begin("service")
    await (die_before if is_planted else die_after)(kube, DEPLOYMENTS)
    if is_planted:
        found = await plant(kube, DEPLOYMENTS, await would_make(DEPLOYMENTS, "service"))
        found["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
        await kube.store(DEPLOYMENTS, found)
    found = await kube.only(DEPLOYMENTS)
    await kube.store(PODS, replica_of(found, "a"))
    operator, seen = Operator(kube), set()
    for _ in range(3):
        status = await operator.look("2026-01-01T01:00:00+00:00")
        seen |= {one["name"] for one in status["service"].get("pods") or ()}
    if is_planted:
        assert (status["phase"], status["reason"], seen) == ("Failed", "NameConflict", set())
    else:
        assert (status["phase"], status["reason"], seen) == ("Running", "PodRunning", {"a"})


async def test_a_config_map_that_the_pod_waits_for_is_made_again() -> None:
    kube = await begin(init=LONG)
    operator = Operator(kube)
    await operator.look()
    pod, config_map = await kube.only(PODS), await kube.only(CONFIG_MAPS)
    await kube.store(
        PODS, {**pod, "spec": {**pod["spec"], "nodeName": "n1"}, "status": {"phase": "Pending"}}
    )
    await kube.remove(CONFIG_MAPS, config_map)
    words = (
        'MountVolume.SetUp failed for volume "opstrand-init" : configmap '
        f'"{pod["metadata"]["name"]}" not found'
    )
    event = {
        "metadata": {"name": "e", "namespace": "ns", "uid": "e"},
        "reason": "FailedMount",
        "message": words,
    }
    await kube.store(EVENTS, {**event, "lastTimestamp": "2026-01-01T00:00:10Z"})
    await operator.look("2100-01-01T00:00:00+00:00")
    again = await kube.only(CONFIG_MAPS)
    assert again["binaryData"] == config_map["binaryData"]


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path


async def test_every_part_of_a_pod_counts() -> None:
    pod = as_stored(await would_make(PODS, init=LONG))
    later = ("activeDeadlineSeconds", "expirationSeconds")
    paths = [path for path in _leaves(pod["spec"]) if path[-1] not in later]
    assert len(paths) > 60
    for path in paths:
        changed = copy.deepcopy(pod)
        part = changed["spec"]
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = "another"
        assert find_difference(changed, pod, pod) is not None, path
        del part[path[-1]]
        assert find_difference(changed, pod, pod) is not None, path
    assert find_difference(copy.deepcopy(pod), pod, pod) is None


async def test_a_pod_may_be_placed_and_not_placed_elsewhere() -> None:
    pod = as_stored(await would_make(PODS))
    asked = {**pod, "spec": {**pod["spec"], "nodeSelector": {"gpu": "a"}}}
    placed = {
        **asked,
        "spec": {**asked["spec"], "nodeName": "n", "nodeSelector": {"gpu": "a", "zone": "z"}},
    }
    assert find_difference(placed, asked, asked) is None
    moved = {**asked, "spec": {**asked["spec"], "nodeSelector": {"zone": "z"}}}
    assert find_difference(moved, asked, asked) == "spec.nodeSelector"
    stranger = {**pod["metadata"], "ownerReferences": [{"uid": "another"}]}
    assert find_difference({**pod, "metadata": stranger}, pod, pod) == "metadata.ownerReferences"
