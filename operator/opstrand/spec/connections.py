"""The catalog of connections: what an operator's owner lets runs use by name.

Owns the shape of the catalog file (`artifactsStore` and `connections`, as the published agent's configuration has them). Must not know how
a connection gets into a Pod: `core.pods.connections` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from opstrand.errors import SpecError
from opstrand.spec.document import Document
from opstrand.spec.polyaxonfile import spec_error
from opstrand.spec.section import Section, Text, describe, fail, fail_at, nearest, unknown_key

#: Kinds with a volume behind them: runs can mount them, init steps can copy from them, and one of them may be the artifacts store.
VOLUME_KINDS = ("volume_claim", "host_path")
BUCKET_KINDS = ("gcs", "s3", "wasb")
GIT_KINDS = ("git", "ssh")
#: Every documented kind. Those without a word here are a name for what their secret, config map and variables hold.
KINDS = (
    *VOLUME_KINDS,
    *BUCKET_KINDS,
    *GIT_KINDS,
    *("registry", "aws", "gcp", "azure", "mysql", "postgres", "oracle", "vertica", "sqlite", "mssql", "redis", "presto", "mongo"),
    *("cassandra", "ftp", "grpc", "hdfs", "http", "pig_cli", "hive_cli", "hive_metastore", "hive_server2", "jdbc", "jenkins", "samba"),
    *("snowflake", "cloudant", "databricks", "segment", "slack", "teams", "email", "discord", "mattermost", "pagerduty", "hipchat"),
    *("webhook", "custom"),
)

#: Kind -> (keys that its schema must have, keys that it may have). Other kinds take any mapping.
_SCHEMAS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "volume_claim": (("volumeClaim", "mountPath"), ("readOnly",)),
    "host_path": (("hostPath", "mountPath"), ("readOnly",)),
    **dict.fromkeys(BUCKET_KINDS, (("bucket",), ())),
    "git": ((), ("url", "revision", "flags")),
    "registry": (("url",), ("insecure",)),
}


class ConnectionResource(Section):
    """A Secret or a ConfigMap: mounted where `mountPath` is given, else its items are variables."""

    name: Text = Field(description="Name of the Secret or ConfigMap, in the run's namespace.", examples=["git-token"])
    mount_path: Text | None = Field(None, description="Folder to mount it at, instead of variables.", examples=["/etc/keys"])
    host_path: Text | None = Field(None, description="Taken for compatibility; unused.", examples=["/etc/keys"])
    items: list[Text] | None = Field(None, description="Only these of its keys.", examples=[["TOKEN"]])
    default_mode: Text | int | None = Field(None, description="Mode of mounted files, octal as text.", examples=["0400"])
    is_requested: bool | None = Field(None, description="Taken for compatibility; unused.", examples=[True])

    @field_validator("mount_path")
    @classmethod
    def _judge_path(cls, path: str | None) -> str | None:
        return path if path is None else _judge_mount(path)


class Connection(Section):
    """One connection of the catalog."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$", max_length=63)] = Field(
        description="The name that operations use.", examples=["datasets"]
    )
    kind: Literal[KINDS] = Field(description="The kind of what it leads to.", examples=["volume_claim"])  # type: ignore[valid-type]
    description: Text | None = Field(None, description="What it is, for people.", examples=["radio images"])
    tags: list[Text] | None = Field(None, description="Tags, for people.", examples=[["images"]])
    schema_: dict[str, Any] | None = Field(
        None, alias="schema", description="Where it leads, by kind.", examples=[{"volumeClaim": "data", "mountPath": "/data"}]
    )
    secret: ConnectionResource | None = Field(None, description="The Secret that it needs.", examples=[{"name": "git-token"}])
    config_map: ConnectionResource | None = Field(None, description="The ConfigMap that it needs.", examples=[{"name": "settings"}])
    env: list[Any] | dict[str, Any] | None = Field(None, description="Variables.", examples=[[{"name": "A", "value": "1"}]])
    annotations: dict[str, Any] | None = Field(None, description="Annotations of the Pod.", examples=[{"sidecar": "no"}])

    @model_validator(mode="after")
    def _judge(self) -> Connection:
        required, allowed = _SCHEMAS.get(self.kind, ((), ()))
        if self.kind not in _SCHEMAS:
            return self
        given = self.schema_ or {}
        faults = [
            (("schema", key), "InvalidSpec", f"is required for a connection of kind {self.kind}") for key in required if not given.get(key)
        ]
        known = (*required, *allowed, "kind")
        faults += [(("schema", key), "UnknownField", unknown_key(key, known)) for key in given if key not in known]
        if faults:
            raise fail_at(faults, given)
        if "mountPath" in required:
            _judge_mount(given["mountPath"])
        return self

    @field_validator("env")
    @classmethod
    def _judge_env(cls, env: Any) -> Any:
        for entry in env if isinstance(env, list) else ():
            pair = isinstance(entry, list) and len(entry) == 2
            if not pair and not (isinstance(entry, Mapping) and isinstance(entry.get("name"), str)):
                raise fail("InvalidSpec", f"expected {{name, value}} or [name, value], found {describe(entry)}")
        return env


class CatalogFile(Section):
    """The whole file."""

    artifacts_store: Connection | None = Field(None, description="Where runs leave their files.", examples=[{"name": "store"}])
    connections: list[Connection] = Field(default_factory=list, description="What runs may use by name.", examples=[[]])

    @model_validator(mode="after")
    def _judge(self) -> CatalogFile:
        seen: set[str] = set()
        for index, connection in enumerate(self.connections):
            if connection.name in seen:
                raise fail_at(
                    [(("connections", index, "name"), "InvalidSpec", f"there are two connections '{connection.name}'")], connection
                )
            seen.add(connection.name)
        store = self.artifacts_store
        if store is not None and store.kind not in VOLUME_KINDS:
            words = f"this version keeps files on volumes ({', '.join(VOLUME_KINDS)}), found {store.kind}"
            raise fail_at([(("artifactsStore", "kind"), "NotSupported", words)], store)
        return self


def parse_catalog_file(data: Any, *, document: Document | None = None) -> CatalogFile:
    """The catalog in `data`; an empty file is an empty catalog. Raises SpecError with every problem and its path."""
    if data is None:
        return CatalogFile()
    if not isinstance(data, Mapping):
        raise SpecError("InvalidSpec", f"expected artifactsStore and connections (a mapping), found {describe(data)}")
    try:
        return CatalogFile.model_validate(data)
    except ValidationError as error:
        raise spec_error(error, document) from None


def _judge_mount(path: Any) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise fail("InvalidSpec", f"expected an absolute path to mount at, found {describe(path)}")
    return path


__all__ = ["BUCKET_KINDS", "GIT_KINDS", "KINDS", "VOLUME_KINDS", "CatalogFile", "Connection", "nearest", "parse_catalog_file"]
