"""The Pod's own volumes and where our containers and the user's see them.

Owns the names of our volumes and the folders of the context root. Must not know what is done in a container.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.pods import connections
from opstrand.core.pods.connections import Catalog, Connection, Resource, mount
from opstrand.core.pods.plan import Plan
from opstrand.errors import SpecError
from opstrand.settings import Settings

Manifest = dict[str, Any]

#: Where the init container finds its document, and what connections hold, by connection.
INIT_PATH = "/opstrand/init"
CONNECTIONS_PATH = "/opstrand/connections"
#: Where git and ssh keep what they need for a moment. Main never sees it.
SCRATCH_PATH = "/tmp"
DOCKER_SOCKET = "/var/run/docker.sock"
SHM_PATH = "/dev/shm"

_ARTIFACTS, _CONFIGS, _TOKEN, _SHM = "opstrand-artifacts", "opstrand-configs", "opstrand-token", "opstrand-shm"
_INIT, _SCRATCH, _DOCKER = "opstrand-init", "opstrand-scratch", "opstrand-docker"


def init_mount() -> Manifest:
    return mount(_INIT, INIT_PATH, True)


def scratch_mount() -> Manifest:
    return mount(_SCRATCH, SCRATCH_PATH)


def context_mounts(plan: Plan, catalog: Catalog) -> list[Manifest]:
    """The context root, the same in every container that takes part in the run."""
    mounts = [mount(_ARTIFACTS, ARTIFACTS_PATH)]
    if keeps_files(plan, catalog) and catalog.store is not None:
        # The run's folder in the store under the run's folder in the context: what is written there has already left the Pod.
        mounts.append({**mount(catalog.store.volume_name, f"{ARTIFACTS_PATH}/{plan.uuid}"), "subPath": plan.uuid})
    mounts += [mount(_CONFIGS, f"{CONTEXT_ROOT}/.configs"), mount(_TOKEN, f"{CONTEXT_ROOT}/.token", True)]
    return [*mounts, *(mount(_path_volume(path), path) for path in _init_paths(plan))]


def join_mounts(given: Sequence[Manifest], ours: Sequence[Manifest], path: str) -> list[Manifest]:
    """The user's mounts and ours, the same one once. SpecError for two volumes at one place: Kubernetes refuses the Pod."""
    mounts: dict[str, Manifest] = {}
    for one in (*given, *ours):
        place = str(one.get("mountPath")).rstrip("/")
        known = mounts.setdefault(place, one)
        if known["name"] != one["name"] or known.get("subPath") != one.get("subPath"):
            words = f"the volumes '{known['name']}' and '{one['name']}' are both mounted at {place}"
            raise SpecError("InvalidSpec", words, f"{path}.volumeMounts")
    return list(mounts.values())


def main_mounts(plan: Plan, catalog: Catalog) -> list[Manifest]:
    """What main sees besides: the switches of `plugins`."""
    context = context_mounts(plan, catalog)
    paths = len(_init_paths(plan))
    mounts = context[: len(context) - paths]
    if _wants_shm(plan):
        mounts.append(mount(_SHM, SHM_PATH))
    mounts += context[len(context) - paths :]
    if plan.plugins.get("docker"):
        mounts.append(mount(_DOCKER, DOCKER_SOCKET))
    if plan.plugins.get("mountArtifactsStore") and catalog.store is not None:
        mounts.append(mount(catalog.store.volume_name, store_path(catalog), bool(catalog.store.schema.get("readOnly"))))
    return mounts


#: Seconds for which a run's token outlives the run: the published client reads it once and may report at the very end.
_AFTER_THE_END = 3600


def _wants_shm(plan: Plan) -> bool:
    """Unless the user mounts something there: theirs stays."""
    given = [one.get("mountPath") for one in plan.container.get("volumeMounts") or ()]
    taken = {str(path).rstrip("/") for path in (*given, *_init_paths(plan))}
    return plan.plugins.get("shm") is not False and SHM_PATH not in taken


def keeps_files(plan: Plan, catalog: Catalog) -> bool:
    """Whether what the run writes into its folder stays when it is over."""
    return catalog.store is not None and plan.plugins.get("collectArtifacts") is not False


def store_path(catalog: Catalog) -> str:
    """`globals.store_path`, where the artifacts store is mounted whole."""
    return "" if catalog.store is None else str(catalog.store.schema["mountPath"])


def own_volumes(
    plan: Plan, settings: Settings, *, config_map: str | None, needs_scratch: bool, deadline: int | None = None
) -> list[Manifest]:
    """Every volume of ours but those of connections. `deadline`: the seconds that the run may take."""
    life = max(settings.token_seconds, deadline + _AFTER_THE_END if deadline else 0)
    token = {"serviceAccountToken": {"audience": settings.audience, "expirationSeconds": life, "path": "token"}}
    volumes: list[Manifest] = [
        {"name": _ARTIFACTS, "emptyDir": {}},
        {"name": _CONFIGS, "emptyDir": {}},
        {"name": _TOKEN, "projected": {"sources": [token]}},
    ]
    if _wants_shm(plan):
        volumes.append({"name": _SHM, "emptyDir": {"medium": "Memory"}})
    if plan.plugins.get("docker"):
        volumes.append({"name": _DOCKER, "hostPath": {"path": DOCKER_SOCKET}})
    if config_map is not None:
        volumes.append({"name": _INIT, "configMap": {"name": config_map}})
    if needs_scratch:
        volumes.append({"name": _SCRATCH, "emptyDir": {}})
    return [*volumes, *({"name": _path_volume(path), "emptyDir": {}} for path in _init_paths(plan))]


def store_volumes(plan: Plan, catalog: Catalog) -> list[Manifest]:
    """The artifacts store's volume, where the run uses it for its own files."""
    wanted = keeps_files(plan, catalog) or plan.plugins.get("mountArtifactsStore")
    return [connections.render_store_volume(catalog.store)] if wanted and catalog.store is not None else []


def source_path(connection: Connection, part: str) -> str:
    """Where the init container finds a part of a connection: `data`, `secret` or `configMap`."""
    return f"{CONNECTIONS_PATH}/{connection.name}/{part}"


def source_mounts(used: Iterable[Connection]) -> list[Manifest]:
    """What init steps read: stores, and Secrets and ConfigMaps as files, so that two connections cannot get into each other's way."""
    mounts = []
    for one in used:
        if one.has_volume:
            mounts.append(mount(one.volume_name, source_path(one, "data"), True))
        mounts += [
            mount(connections.resource_volume_name(resource, part), source_path(one, part), True) for part, resource in _readable(one)
        ]
    return mounts


def source_volumes(used: Sequence[Connection]) -> list[Manifest]:
    volumes = [connections.render_store_volume(one) for one in used if one.has_volume]
    return volumes + [connections.render_resource_volume(resource, part) for one in used for part, resource in _readable(one)]


def _readable(connection: Connection) -> list[tuple[str, Resource]]:
    """A connection's Secret and ConfigMap for our own container, whoever it runs as: a stricter mode is for where the user mounts them."""
    return [(part, replace(resource, mode=None)) for part, resource in connections.resources_of(connection)]


def _init_paths(plan: Plan) -> list[str]:
    """Folders that init steps ask for by `path`, each once, in order."""
    asked = (step["path"] for step in plan.init if step.get("path"))
    return list(dict.fromkeys(path for path in asked if path != ARTIFACTS_PATH and not path.startswith(f"{ARTIFACTS_PATH}/")))


def _path_volume(path: str) -> str:
    return f"opstrand-path-{hashlib.sha256(path.encode()).hexdigest()[:8]}"
