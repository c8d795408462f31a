"""Render a connection for a Pod: volumes, mounts, variables and annotations.

Owns every rule by which a connection's parts get into a container. Pure; the catalog itself is in
`core.planning.connections`. Must not choose which connections a run gets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from opstrand.core import names
from opstrand.core.planning.connections import Connection, Resource
from opstrand.core.planning.expansion import escape
from opstrand.types import Manifest

#: The variable in which the published client looks for connections.
CATALOG_VARIABLE = "POLYAXON_CONNECTIONS_CATALOG"


# --- a connection's parts in a container ----------------------------------------------------------


def render_volumes(connections: Iterable[Connection]) -> list[Manifest]:
    """Render the volumes of these connections: stores, and mounted Secrets and ConfigMaps."""
    volumes: list[Manifest] = []
    for one in connections:
        if one.has_volume:
            volumes.append(render_store_volume(one))
        volumes += [
            render_resource_volume(resource, kind)
            for kind, resource in resources_of(one)
            if resource.mount_path
        ]
    return unique(volumes)


def render_mounts(connections: Iterable[Connection]) -> list[Manifest]:
    """Render the mounts of a container that uses these connections."""
    mounts: list[Manifest] = []
    for one in connections:
        if one.has_volume:
            mounts.append(
                mount(one.volume_name, one.schema["mountPath"], bool(one.schema.get("readOnly")))
            )
        for kind, resource in resources_of(one):
            if resource.mount_path:
                mounts.append(
                    mount(resource_volume_name(resource, kind), resource.mount_path, True)
                )
    return mounts


def render_env(connections: Sequence[Connection]) -> list[Manifest]:
    """Render their variables, those of single keys, and the catalog for the published client."""
    env: list[Manifest] = [dict(entry) for one in connections for entry in one.env]
    for one in connections:
        for kind, resource in resources_of(one):
            if resource.items and not resource.mount_path:
                source = "secretKeyRef" if kind == "secret" else "configMapKeyRef"
                env += [
                    {"name": key, "valueFrom": {source: {"name": resource.name, "key": key}}}
                    for key in resource.items
                ]
    if connections:
        env.append({"name": CATALOG_VARIABLE, "value": render_catalog_variable(connections)})
    return env


def render_env_from(connections: Iterable[Connection]) -> list[Manifest]:
    """Render `envFrom` for Secrets and ConfigMaps whose every key is a variable."""
    return [
        {"secretRef" if kind == "secret" else "configMapRef": {"name": resource.name}}
        for one in connections
        for kind, resource in resources_of(one)
        if not resource.items and not resource.mount_path
    ]


def render_annotations(connections: Iterable[Connection]) -> dict[str, str]:
    return {key: value for one in connections for key, value in one.annotations.items()}


def render_catalog_variable(connections: Iterable[Connection]) -> str:
    """Render the JSON that the published client reads: names of Secrets, but no secrets."""
    return escape(
        json.dumps(
            {"connections": [dict(one.written) for one in connections]},
            sort_keys=True,
            separators=(",", ":"),
        )
    )


def render_store_volume(connection: Connection) -> Manifest:
    """Render the volume behind a connection of a volume kind.

    The mount decides about read-only: the same volume may be mounted twice.
    """
    name = connection.volume_name
    if connection.kind == "volume_claim":
        return {
            "name": name,
            "persistentVolumeClaim": {"claimName": connection.schema["volumeClaim"]},
        }
    return {"name": name, "hostPath": {"path": connection.schema["hostPath"]}}


def render_resource_volume(resource: Resource, kind: str) -> Manifest:
    """Render a Secret or ConfigMap (`kind`: secret or configMap) as files."""
    source: Manifest = {"secretName" if kind == "secret" else "name": resource.name}
    if resource.items:
        source["items"] = [{"key": key, "path": key} for key in resource.items]
    if resource.mode is not None:
        source["defaultMode"] = resource.mode
    return {"name": resource_volume_name(resource, kind), kind: source}


def resource_volume_name(resource: Resource, kind: str) -> str:
    identity = f"{kind} {resource.name} {resource.items} {resource.mode}"
    return (
        f"opstrand-{kind.lower()}-{names.slug(resource.name, 30)}-"
        f"{hashlib.sha256(identity.encode()).hexdigest()[:6]}"
    )


def resources_of(connection: Connection) -> list[tuple[str, Resource]]:
    pairs = (("secret", connection.secret), ("configMap", connection.config_map))
    return [(kind, resource) for kind, resource in pairs if resource is not None]


def mount(name: str, path: str, read_only: bool = False) -> Manifest:
    return {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}


def unique(volumes: Iterable[Manifest]) -> list[Manifest]:
    """Return the volumes, each name once."""
    return list({volume["name"]: volume for volume in volumes}.values())
