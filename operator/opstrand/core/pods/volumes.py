"""The run's own volumes in its Pod, and where the operator's and the user's containers mount them.

Owns the folders of the context root and the translation of a user's mount of such a volume. Must
not know what is done in a container.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opstrand.core import names
from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.planning.connections import Catalog, Connection, Resource
from opstrand.core.planning.plan import Plan
from opstrand.core.pods import connections
from opstrand.core.pods.connections import mount
from opstrand.core.pods.volume_names import (
    ARTIFACTS,
    CONFIGS,
    DOCKER,
    INIT,
    SCRATCH,
    SHM,
    TOKEN,
    asks_for_store,
    connection_names,
    init_paths,
    own_volumes_by_name,
    path_volume,
)
from opstrand.errors import SpecError
from opstrand.settings import Settings
from opstrand.text import suggest
from opstrand.types import Manifest

#: Where the init container finds its document, and the contents of connections, by connection.
INIT_PATH = "/opstrand/init"
CONNECTIONS_PATH = "/opstrand/connections"
#: Temporary files of git and ssh. Main never sees this volume.
SCRATCH_PATH = "/tmp"
#: The projected token's mount; main sees it too, so that the client can read it again when it
#: changes.
TOKEN_PATH = f"{CONTEXT_ROOT}/.token/token"
#: The CA certificates by which the run trusts the API, if it has a private CA.
CA_PATH = f"{CONTEXT_ROOT}/.configs/ca.crt"
DOCKER_SOCKET = "/var/run/docker.sock"
SHM_PATH = "/dev/shm"


def init_mount() -> Manifest:
    return mount(INIT, INIT_PATH, True)


def scratch_mount() -> Manifest:
    return mount(SCRATCH, SCRATCH_PATH)


def context_mounts(plan: Plan, catalog: Catalog) -> list[Manifest]:
    """Mount the context root, the same in every container that takes part in the run."""
    mounts = [mount(ARTIFACTS, ARTIFACTS_PATH)]
    mounts += _run_folder(plan, catalog, ARTIFACTS_PATH)
    mounts += [
        mount(CONFIGS, f"{CONTEXT_ROOT}/.configs"),
        mount(TOKEN, f"{CONTEXT_ROOT}/.token", True),
    ]
    return [*mounts, *(mount(path_volume(path), path) for path in init_paths(plan))]


def _run_folder(plan: Plan, catalog: Catalog, place: str) -> list[Manifest]:
    """Mount the run's folder of the store over its folder in the context.

    What is written there is outside the Pod at once.
    """
    if not keeps_files(plan, catalog) or catalog.store is None:
        return []
    return [{**mount(catalog.store.volume_name, f"{place}/{plan.uuid}"), "subPath": plan.uuid}]


def resolve_names(container: Manifest, plan: Plan, catalog: Catalog, path: str) -> Manifest:
    """Replace the published platform's names of volumes and of main in a user's container.

    A mount of the context includes the run's folder, as everywhere else. Raises SpecError for a
    connection that has no volume.
    """
    known = own_volumes_by_name(plan)
    if container.get("env"):
        container = {
            **container,
            "env": [_name_volume(one, known) for one in name_containers(container["env"])],
        }
    given = container.get("volumeMounts")
    if not given:
        return container
    mounts: list[Manifest] = []
    for index, one in enumerate(given):
        name = str(one.get("name"))
        if name not in known and any(volume.get("name") == name for volume in plan.volumes):
            mounts.append(dict(one))
        elif known.get(name) == ARTIFACTS:
            mounts += _resolve_context(one, plan, catalog)
        else:
            where = f"{path}.volumeMounts[{index}].name"
            mounts.append(
                {**one, "name": known.get(name) or _find_volume(name, plan, catalog, where)}
            )
    return {**container, "volumeMounts": mounts}


def _name_volume(variable: Manifest, known: Mapping[str, str]) -> Manifest:
    """Translate the volume name of a variable that is read from a file in a run's volume."""
    source = (variable.get("valueFrom") or {}).get("fileKeyRef") or {}
    if source.get("volumeName") not in known:
        return variable
    return {
        **variable,
        "valueFrom": {"fileKeyRef": {**source, "volumeName": known[source["volumeName"]]}},
    }


def name_containers(value: Any) -> Any:
    """Make every `resourceFieldRef` that means the main container use its real name."""
    if isinstance(value, Mapping):
        named = {key: name_containers(item) for key, item in value.items()}
        source = named.get("resourceFieldRef")
        if isinstance(source, Mapping) and isinstance(source.get("containerName"), str):
            named["resourceFieldRef"] = {
                **source,
                "containerName": names.container_name(source["containerName"]),
            }
        return named
    return [name_containers(item) for item in value] if isinstance(value, list) else value


def _resolve_context(given: Manifest, plan: Plan, catalog: Catalog) -> list[Manifest]:
    """Translate a mount of the context or of a folder in it.

    The run's own folder comes from the store, if runs keep their files there.
    """
    place, part = (
        str(given.get("mountPath")).rstrip("/"),
        str(given.get("subPath") or "").strip("/"),
    )
    in_store = _run_folder(plan, catalog, place)
    if part == plan.uuid or part.startswith(f"{plan.uuid}/"):
        return [{**given, "name": one["name"]} for one in in_store] or [
            {**given, "name": ARTIFACTS}
        ]
    inner = [] if part or "subPathExpr" in given else in_store
    read_only = {"readOnly": True} if given.get("readOnly") else {}
    return [{**given, "name": ARTIFACTS}, *({**one, **read_only} for one in inner)]


def _find_volume(name: str, plan: Plan, catalog: Catalog, path: str) -> str:
    if catalog.store is not None and name == catalog.store.name and mounts_store(plan, catalog):
        return catalog.store.volume_name
    if name in connection_names(plan):
        connection = catalog.find(name, path)
        if connection.has_volume:
            return connection.volume_name
        raise SpecError(
            "InvalidSpec",
            f"the connection '{name}' is of kind {connection.kind}, which has no volume",
            path,
        )
    known = [
        *(str(volume.get("name")) for volume in plan.volumes),
        *own_volumes_by_name(plan),
        *connection_names(plan),
    ]
    raise SpecError("InvalidSpec", f"there is no volume '{name}'{suggest(name, known)}", path)


def join_mounts(given: Sequence[Manifest], ours: Sequence[Manifest], path: str) -> list[Manifest]:
    """Join the user's mounts and the operator's, each mount once.

    Raises SpecError for two volumes at one path: Kubernetes would refuse the Pod.
    """
    mounts: dict[str, Manifest] = {}
    for one in (*given, *ours):
        place = str(one.get("mountPath")).rstrip("/")
        known = mounts.setdefault(place, one)
        if known["name"] != one["name"] or known.get("subPath") != one.get("subPath"):
            message = (
                f"the volumes '{known['name']}' and '{one['name']}' are both mounted at {place}"
            )
            raise SpecError("InvalidSpec", message, f"{path}.volumeMounts")
    return list(mounts.values())


def main_mounts(plan: Plan, catalog: Catalog) -> list[Manifest]:
    """Return the mounts that main gets, by the switches of `plugins`."""
    context = context_mounts(plan, catalog)
    paths = len(init_paths(plan))
    mounts = context[: len(context) - paths]
    if _wants_shm(plan):
        mounts.append(mount(SHM, SHM_PATH))
    mounts += context[len(context) - paths :]
    if plan.plugins.get("docker"):
        mounts.append(mount(DOCKER, DOCKER_SOCKET))
    return mounts


#: Seconds by which a run's token outlives the run: the published client reads it once and may
#: report at the very end.
_AFTER_THE_END = 3600


def _wants_shm(plan: Plan) -> bool:
    """Return whether the run gets a /dev/shm volume: not if the user mounts something there."""
    known = own_volumes_by_name(plan)
    mounts = plan.container.get("volumeMounts") or ()
    given = [one.get("mountPath") for one in mounts if known.get(str(one.get("name"))) != SHM]
    taken = {str(path).rstrip("/") for path in (*given, *init_paths(plan))}
    return plan.plugins.get("shm") is not False and SHM_PATH not in taken


def _is_mounted(volume: str, plan: Plan) -> bool:
    """Return whether a user's sidecar or init step mounts one of the run's volumes by its name."""
    published = {name for name, ours in own_volumes_by_name(plan).items() if ours == volume}
    others = [*plan.sidecars, *(step["container"] for step in plan.init if "container" in step)]
    return any(
        one.get("name") in published
        for container in others
        for one in container.get("volumeMounts") or ()
    )


def keeps_files(plan: Plan, catalog: Catalog) -> bool:
    """Return whether the files in the run's folder are kept after the run."""
    return catalog.store is not None and plan.plugins.get("collectArtifacts") is not False


def mounts_store(plan: Plan, catalog: Catalog) -> bool:
    """Return whether the run mounts the whole artifacts store as a connection.

    It does if it requests that, or if its files are not collected.
    """
    return catalog.store is not None and asks_for_store(plan)


def used_connections(plan: Plan, catalog: Catalog) -> list[Connection]:
    """Return the connections that main uses, each once.

    The artifacts store is one of them if it is mounted whole.
    """
    used = {
        name: catalog.find(name, f"run.connections[{index}]")
        for index, name in enumerate(plan.connections)
    }
    if catalog.store is not None and mounts_store(plan, catalog):
        used.setdefault(catalog.store.name, catalog.store)
    return list(used.values())


def run_folders(plan: Plan, catalog: Catalog) -> list[str]:
    """Return the folders that a run writes to.

    They are the one in the context, and the one in the store if the run writes there itself.
    """
    folders = [f"{ARTIFACTS_PATH}/{plan.uuid}"]
    if mounts_store(plan, catalog) and not keeps_files(plan, catalog):
        folders.append(f"{store_path(catalog).rstrip('/')}/{plan.uuid}")
    return folders


def store_path(catalog: Catalog | None) -> str:
    """Return `globals.store_path`: where the artifacts store is mounted whole."""
    return (
        "" if catalog is None or catalog.store is None else str(catalog.store.schema["mountPath"])
    )


def store_mounts(plan: Plan, catalog: Catalog) -> list[Manifest]:
    """Mount the store in the first init container if that creates the run's folder in it."""
    if catalog.store is None or len(run_folders(plan, catalog)) == 1:
        return []
    return [mount(catalog.store.volume_name, store_path(catalog))]


def own_volumes(
    plan: Plan,
    settings: Settings,
    *,
    config_map: str | None,
    needs_scratch: bool,
    deadline: int | None = None,
) -> list[Manifest]:
    """Render the run's own volumes, except those of connections.

    `deadline`: the seconds that the run may take.
    """
    life = max(settings.token_seconds, deadline + _AFTER_THE_END if deadline else 0)
    token = {
        "serviceAccountToken": {
            "audience": settings.audience,
            "expirationSeconds": life,
            "path": "token",
        }
    }
    volumes: list[Manifest] = [
        {"name": ARTIFACTS, "emptyDir": {}},
        {"name": CONFIGS, "emptyDir": {}},
        {"name": TOKEN, "projected": {"sources": [token]}},
    ]
    if _wants_shm(plan) or _is_mounted(SHM, plan):
        volumes.append({"name": SHM, "emptyDir": {"medium": "Memory"}})
    if plan.plugins.get("docker"):
        volumes.append({"name": DOCKER, "hostPath": {"path": DOCKER_SOCKET}})
    if config_map is not None:
        volumes.append({"name": INIT, "configMap": {"name": config_map}})
    if needs_scratch:
        volumes.append({"name": SCRATCH, "emptyDir": {}})
    return [*volumes, *({"name": path_volume(path), "emptyDir": {}} for path in init_paths(plan))]


def store_volumes(plan: Plan, catalog: Catalog) -> list[Manifest]:
    """Render the artifacts store's volume for the run's own files."""
    return [] if catalog.store is None else [connections.render_store_volume(catalog.store)]


def source_path(connection: Connection, part: str) -> str:
    """Where the init container finds a part of a connection: `data`, `secret` or `configMap`."""
    return f"{CONNECTIONS_PATH}/{connection.name}/{part}"


def source_mounts(used: Iterable[Connection]) -> list[Manifest]:
    """Mount what init steps read: stores, and Secrets and ConfigMaps as files.

    Each connection has its own folder, so that two of them cannot collide.
    """
    mounts = []
    for one in used:
        if one.has_volume:
            mounts.append(mount(one.volume_name, source_path(one, "data"), True))
        mounts += [
            mount(connections.resource_volume_name(resource, part), source_path(one, part), True)
            for part, resource in _readable(one)
        ]
    return mounts


def source_volumes(used: Sequence[Connection]) -> list[Manifest]:
    volumes = [connections.render_store_volume(one) for one in used if one.has_volume]
    return volumes + [
        connections.render_resource_volume(resource, part)
        for one in used
        for part, resource in _readable(one)
    ]


def _readable(connection: Connection) -> list[tuple[str, Resource]]:
    """Return a connection's Secret and ConfigMap so that the operator's container can read them.

    It can run as any user; a stricter mode applies only where the user mounts them.
    """
    return [
        (part, replace(resource, mode=None))
        for part, resource in connections.resources_of(connection)
    ]
