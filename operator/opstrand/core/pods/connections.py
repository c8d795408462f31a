"""What a connection is to a Pod: volumes, mounts, variables, annotations; and to a template: its schema.

Owns the catalog as the core sees it and every rule by which a connection's parts get into a container. Pure: where the catalog comes from
is the shell's business. Must not choose which connections a run gets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opstrand.core import names
from opstrand.core.planning.containers import merge_env
from opstrand.core.planning.expansion import escape
from opstrand.core.suggestions import suggest
from opstrand.core.values.types import to_text
from opstrand.errors import SpecError
from opstrand.spec.connections import BUCKET_KINDS, GIT_KINDS, VOLUME_KINDS, CatalogFile, read_mode
from opstrand.spec.connections import Connection as Written

Manifest = dict[str, Any]

#: The variable in which the published client looks for connections.
CATALOG_VARIABLE = "POLYAXON_CONNECTIONS_CATALOG"


@dataclass(frozen=True)
class Resource:
    """A Secret or ConfigMap of a connection."""

    name: str
    mount_path: str | None = None
    items: tuple[str, ...] = ()
    mode: int | None = None


@dataclass(frozen=True)
class Connection:
    """One connection. `env` are Kubernetes' own {name, value} entries, `annotations` texts, `written` is what the catalog says."""

    name: str
    kind: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    secret: Resource | None = None
    config_map: Resource | None = None
    env: tuple[Mapping[str, Any], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_volume(self) -> bool:
        return self.kind in VOLUME_KINDS

    @property
    def is_bucket(self) -> bool:
        return self.kind in BUCKET_KINDS

    @property
    def is_git(self) -> bool:
        return self.kind in GIT_KINDS

    @property
    def volume_name(self) -> str:
        """By what is behind it: kubelets mount one claim of a Pod under one name only, whoever asks for it."""
        what = self.schema.get("volumeClaim") or self.schema.get("hostPath") or self.name
        return f"opstrand-volume-{names.slug(str(what), 30)}-{hashlib.sha256(f'{self.kind} {what}'.encode()).hexdigest()[:6]}"


@dataclass(frozen=True)
class Catalog:
    """Every connection by name. `store` is the artifacts store: where runs leave their files, if they leave them anywhere."""

    connections: Mapping[str, Connection] = field(default_factory=dict)
    store: Connection | None = None
    #: False where the caller did not say which connections there are: what names one is refused for that.
    is_given: bool = True

    @property
    def schemas(self) -> dict[str, Mapping[str, Any]]:
        """What templates read: `connections.<name>.<key>`."""
        return {name: connection.schema for name, connection in self.connections.items()}

    def find(self, name: str, path: str) -> Connection:
        """The connection of this name. SpecError with the nearest one for a name that the catalog does not have."""
        if name not in self.connections:
            raise unknown_connection(name, self.connections, path)
        return self.connections[name]

    def is_store(self, connection: Connection) -> bool:
        return self.store is not None and connection.name == self.store.name


EMPTY = Catalog()


def unknown_connection(name: str, known: Iterable[str], path: str) -> SpecError:
    """The error for a name that the catalog does not have."""
    names = list(known)
    hint = suggest(name, names) if names else ": the catalog of connections is empty here"
    return SpecError("InvalidSpec", f"there is no connection '{name}'{hint}", path)


def read_catalog(file: CatalogFile) -> Catalog:
    """The catalog of a checked file. The artifacts store is a connection like any other, by its own name."""
    store = None if file.artifacts_store is None else _read(file.artifacts_store)
    connections = {one.name: _read(one) for one in file.connections}
    if store is not None:
        connections.setdefault(store.name, store)
    return Catalog(connections, store)


def _read(written: Written) -> Connection:
    plain = written.model_dump(by_alias=True, exclude_none=True)
    return Connection(
        name=written.name,
        kind=str(written.kind),
        schema=dict(written.schema_ or {}),
        secret=_read_resource(plain.get("secret")),
        config_map=_read_resource(plain.get("configMap")),
        env=tuple(merge_env(_as_entries(written.env), f"connections.{written.name}.env")),
        annotations={str(key): to_text(value) for key, value in (written.annotations or {}).items()},
        written=plain,
    )


def _as_entries(env: Sequence[Any] | Mapping[str, Any] | None) -> list[Any]:
    if isinstance(env, Mapping):
        return [{"name": name, "value": value} for name, value in env.items()]
    return [{"name": one[0], "value": one[1]} if isinstance(one, list) else one for one in env or ()]


def _read_resource(plain: Mapping[str, Any] | None) -> Resource | None:
    if plain is None:
        return None
    return Resource(plain["name"], plain.get("mountPath"), tuple(plain.get("items") or ()), read_mode(plain.get("defaultMode")))


# --- a connection's parts in a container ----------------------------------------------------------------------------------------


def render_volumes(connections: Iterable[Connection]) -> list[Manifest]:
    """The Pod's volumes for these connections: their store's, and their mounted Secrets and ConfigMaps."""
    volumes: list[Manifest] = []
    for one in connections:
        if one.has_volume:
            volumes.append(render_store_volume(one))
        volumes += [render_resource_volume(resource, kind) for kind, resource in resources_of(one) if resource.mount_path]
    return unique(volumes)


def render_mounts(connections: Iterable[Connection]) -> list[Manifest]:
    """Where a container that uses these connections finds them."""
    mounts: list[Manifest] = []
    for one in connections:
        if one.has_volume:
            mounts.append(mount(one.volume_name, one.schema["mountPath"], bool(one.schema.get("readOnly"))))
        for kind, resource in resources_of(one):
            if resource.mount_path:
                mounts.append(mount(resource_volume_name(resource, kind), resource.mount_path, True))
    return mounts


def render_env(connections: Sequence[Connection]) -> list[Manifest]:
    """Their variables, those of single keys, and the catalog for the client."""
    env: list[Manifest] = [dict(entry) for one in connections for entry in one.env]
    for one in connections:
        for kind, resource in resources_of(one):
            if resource.items and not resource.mount_path:
                source = "secretKeyRef" if kind == "secret" else "configMapKeyRef"
                env += [{"name": key, "valueFrom": {source: {"name": resource.name, "key": key}}} for key in resource.items]
    if connections:
        env.append({"name": CATALOG_VARIABLE, "value": render_catalog_variable(connections)})
    return env


def render_env_from(connections: Iterable[Connection]) -> list[Manifest]:
    """Secrets and ConfigMaps whose every key is a variable."""
    return [
        {"secretRef" if kind == "secret" else "configMapRef": {"name": resource.name}}
        for one in connections
        for kind, resource in resources_of(one)
        if not resource.items and not resource.mount_path
    ]


def render_annotations(connections: Iterable[Connection]) -> dict[str, str]:
    return {key: value for one in connections for key, value in one.annotations.items()}


def render_catalog_variable(connections: Iterable[Connection]) -> str:
    """The JSON that the published client reads; no secret is in it, only the names of Secrets."""
    return escape(json.dumps({"connections": [dict(one.written) for one in connections]}, sort_keys=True, separators=(",", ":")))


def render_store_volume(connection: Connection) -> Manifest:
    """The volume behind a connection of a volume kind. Read-only is the mount's business: the same volume may be mounted twice."""
    name = connection.volume_name
    if connection.kind == "volume_claim":
        return {"name": name, "persistentVolumeClaim": {"claimName": connection.schema["volumeClaim"]}}
    return {"name": name, "hostPath": {"path": connection.schema["hostPath"]}}


def render_resource_volume(resource: Resource, kind: str) -> Manifest:
    """A Secret or ConfigMap (`kind`: secret or configMap) as files."""
    source: Manifest = {"secretName" if kind == "secret" else "name": resource.name}
    if resource.items:
        source["items"] = [{"key": key, "path": key} for key in resource.items]
    if resource.mode is not None:
        source["defaultMode"] = resource.mode
    return {"name": resource_volume_name(resource, kind), kind: source}


def resource_volume_name(resource: Resource, kind: str) -> str:
    identity = f"{kind} {resource.name} {resource.items} {resource.mode}"
    return f"opstrand-{kind.lower()}-{names.slug(resource.name, 30)}-{hashlib.sha256(identity.encode()).hexdigest()[:6]}"


def resources_of(connection: Connection) -> list[tuple[str, Resource]]:
    pairs = (("secret", connection.secret), ("configMap", connection.config_map))
    return [(kind, resource) for kind, resource in pairs if resource is not None]


def mount(name: str, path: str, read_only: bool = False) -> Manifest:
    return {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}


def unique(volumes: Iterable[Manifest]) -> list[Manifest]:
    """Each name once."""
    return list({volume["name"]: volume for volume in volumes}.values())
