"""The catalog of connections as data: what a run may name, and what templates read of it.

Owns how the catalog's file becomes connections. Pure: the file's location is not known here. Must
not know how a connection gets into a Pod: `core.pods.connections` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opstrand.core import names
from opstrand.core.normalize import as_stored
from opstrand.core.planning.containers import merge_env
from opstrand.core.values.types import to_text
from opstrand.errors import SpecError
from opstrand.spec.connections import BUCKET_KINDS, GIT_KINDS, VOLUME_KINDS, CatalogFile, read_mode
from opstrand.spec.connections import Connection as Written
from opstrand.text import suggest


@dataclass(frozen=True)
class Resource:
    """A Secret or ConfigMap of a connection."""

    name: str
    mount_path: str | None = None
    items: tuple[str, ...] = ()
    mode: int | None = None


@dataclass(frozen=True)
class Connection:
    """One connection.

    `env` are Kubernetes' own {name, value} entries, `annotations` texts, `written` is the entry of
    the catalog.
    """

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
        """The volume's name, derived from its source.

        Kubelets mount one claim in a Pod under one name only, however many connections use it.
        """
        what = self.schema.get("volumeClaim") or self.schema.get("hostPath") or self.name
        return (
            f"opstrand-volume-{names.slug(str(what), 30)}-"
            f"{hashlib.sha256(f'{self.kind} {what}'.encode()).hexdigest()[:6]}"
        )


@dataclass(frozen=True)
class Catalog:
    """Every connection by name.

    `store` is the artifacts store that Pods mount: where runs leave their files. `bucket` is the
    one that the API writes to instead, with what the collectors of Pods send to it.
    """

    connections: Mapping[str, Connection] = field(default_factory=dict)
    store: Connection | None = None
    bucket: Connection | None = None
    #: False if the caller did not say which connections exist: then what names one is refused for
    #: that reason.
    is_given: bool = True

    @property
    def schemas(self) -> dict[str, Mapping[str, Any]]:
        """What templates read: `connections.<name>.<key>`."""
        return {name: connection.schema for name, connection in self.connections.items()}

    def find(self, name: str, path: str) -> Connection:
        """Return the connection of this name.

        Raises SpecError with the nearest name for one that the catalog does not have.
        """
        if name not in self.connections:
            raise unknown_connection(name, self.connections, path)
        return self.connections[name]

    def is_store(self, connection: Connection) -> bool:
        return self.store is not None and connection.name == self.store.name


EMPTY = Catalog()


def unknown_connection(name: str, known: Iterable[str], path: str) -> SpecError:
    """Return the error for a name that the catalog does not have."""
    names = list(known)
    hint = suggest(name, names) if names else ": the catalog of connections is empty here"
    return SpecError("InvalidSpec", f"there is no connection '{name}'{hint}", path)


def read_catalog(file: CatalogFile) -> Catalog:
    """Return the catalog of a validated file.

    The artifacts store is a connection like any other, by its own name.
    """
    store = None if file.artifacts_store is None else _read(file.artifacts_store)
    connections = {one.name: _read(one) for one in file.connections}
    if store is not None:
        connections.setdefault(store.name, store)
    if store is not None and store.is_bucket:
        return Catalog(connections, bucket=store)
    return Catalog(connections, store)


def _read(written: Written) -> Connection:
    # In the form of a status, from which a later attempt reads them.
    plain = as_stored(written.model_dump(by_alias=True, exclude_none=True))
    return Connection(
        name=written.name,
        kind=str(written.kind),
        schema=as_stored(dict(written.schema_ or {})),
        secret=_read_resource(plain.get("secret")),
        config_map=_read_resource(plain.get("configMap")),
        env=tuple(merge_env(_as_entries(written.env), f"connections.{written.name}.env")),
        annotations={
            str(key): to_text(value) for key, value in (written.annotations or {}).items()
        },
        written=plain,
    )


def _as_entries(env: Sequence[Any] | Mapping[str, Any] | None) -> list[Any]:
    if isinstance(env, Mapping):
        return [{"name": name, "value": value} for name, value in env.items()]
    return [
        {"name": one[0], "value": one[1]} if isinstance(one, list) else one for one in env or ()
    ]


def _read_resource(plain: Mapping[str, Any] | None) -> Resource | None:
    if plain is None:
        return None
    return Resource(
        plain["name"],
        plain.get("mountPath"),
        tuple(plain.get("items") or ()),
        read_mode(plain.get("defaultMode")),
    )
