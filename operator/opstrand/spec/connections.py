"""The catalog of connections: what the owner of an operator lets runs use by name.

Owns the shape of the catalog file (`artifactsStore` and `connections`, as in the configuration of
the published agent). Must not know how a connection gets into a Pod: `core.pods.connections` does.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from opstrand.errors import SpecError
from opstrand.spec.document import Document
from opstrand.spec.polyaxonfile import spec_error
from opstrand.spec.problems import describe, fail, fail_at, unknown_key
from opstrand.spec.scalars import Text
from opstrand.spec.section import Section

#: Kinds that are volumes: runs can mount them, init steps can copy from them, and one of them may
#: be the artifacts store.
VOLUME_KINDS = ("volume_claim", "host_path")
BUCKET_KINDS = ("gcs", "s3", "wasb")
GIT_KINDS = ("git", "ssh")
#: Every documented kind. A kind that no other table names only labels what the secret, config map
#: and variables of its connections hold.
KINDS = (
    *VOLUME_KINDS,
    *BUCKET_KINDS,
    *GIT_KINDS,
    *(
        "registry",
        "aws",
        "gcp",
        "azure",
        "mysql",
        "postgres",
        "oracle",
        "vertica",
        "sqlite",
        "mssql",
        "redis",
        "presto",
        "mongo",
    ),
    *(
        "cassandra",
        "ftp",
        "grpc",
        "hdfs",
        "http",
        "pig_cli",
        "hive_cli",
        "hive_metastore",
        "hive_server2",
        "jdbc",
        "jenkins",
        "samba",
    ),
    *(
        "snowflake",
        "cloudant",
        "databricks",
        "segment",
        "slack",
        "teams",
        "email",
        "discord",
        "mattermost",
        "pagerduty",
        "hipchat",
    ),
    *("webhook", "custom"),
)
#: The keys that the schema of a repository may have.
_GIT_KEYS = ("url", "revision", "flags")
#: Kind -> (keys that its schema must have, keys that it may have). Other kinds accept any mapping.
_SCHEMAS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "volume_claim": (("volumeClaim", "mountPath"), ("readOnly",)),
    "host_path": (("hostPath", "mountPath"), ("readOnly",)),
    **dict.fromkeys(BUCKET_KINDS, (("bucket",), ())),
    "git": ((), _GIT_KEYS),
    "registry": (("url",), ("insecure",)),
}
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_CONNECTION_NAME = re.compile(r"[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?")
#: Kind of bucket -> how its URL starts.
_BUCKETS = {"gcs": ("gs://",), "s3": ("s3://",), "wasb": ("wasb://", "wasbs://")}
#: Key of a schema -> (check of its value, what is expected), for the kinds whose keys are known.
_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "volumeClaim": (
        lambda value: isinstance(value, str) and bool(_OBJECT_NAME.fullmatch(value)),
        "the name of a claim",
    ),
    "hostPath": (
        lambda value: isinstance(value, str) and value.startswith("/"),
        "an absolute path of the node",
    ),
    "readOnly": (lambda value: isinstance(value, bool), "true or false"),
    "insecure": (lambda value: isinstance(value, bool), "true or false"),
    "url": (lambda value: isinstance(value, str), "text"),
    "revision": (lambda value: isinstance(value, str), "text"),
    "flags": (
        lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
        "a list of texts",
    ),
}


def _is_bucket(value: Any, begins: tuple[str, ...]) -> bool:
    """Whether this is the URL of a bucket. Brackets are for the address of a host: a bucket has a
    name.
    """
    if not isinstance(value, str) or not value.startswith(begins):
        return False
    name = value.partition("://")[2].partition("/")[0]
    return bool(name) and not re.search(r"[\[\]\s]", name)


class ConnectionResource(Section):
    """A Secret or a ConfigMap: mounted where `mountPath` is given, else its items are variables."""

    name: Text = Field(
        description="Name of the Secret or ConfigMap, in the run's namespace.",
        examples=["git-token"],
    )
    mount_path: Text | None = Field(
        None, description="Folder to mount it at, instead of variables.", examples=["/etc/keys"]
    )
    host_path: Text | None = Field(
        None, description="Accepted for compatibility; unused.", examples=["/etc/keys"]
    )
    items: list[Text] | None = Field(
        None, description="Only these of its keys.", examples=[["TOKEN"]]
    )
    default_mode: Text | int | None = Field(
        None, description="Mode of mounted files, octal as text.", examples=["0400"]
    )
    is_requested: bool | None = Field(
        None, description="Accepted for compatibility; unused.", examples=[True]
    )

    @field_validator("mount_path")
    @classmethod
    def _validate_path(cls, path: str | None) -> str | None:
        return path if path is None else _validate_mount(path)

    @field_validator("name")
    @classmethod
    def _validate_name(cls, name: str) -> str:
        if not _OBJECT_NAME.fullmatch(name):
            raise fail(
                "InvalidSpec",
                "expected the name of an object (lower case, digits, '-' and '.'), found "
                f"{describe(name)}",
            )
        return name

    @field_validator("default_mode", mode="before")
    @classmethod
    def _validate_mode(cls, mode: Any) -> Any:
        if mode is not None and read_mode(mode) is None:
            raise fail(
                "InvalidSpec",
                "expected a mode from 0 to 0777, as octal text or a number, found "
                f"{describe(mode)}",
            )
        return mode


class Connection(Section):
    """One connection of the catalog."""

    name: Text = Field(description="The name that operations use.", examples=["datasets"])
    kind: Literal[KINDS] = Field(  # type: ignore[valid-type]
        description="The kind of what it leads to.", examples=["volume_claim"]
    )
    description: Text | None = Field(
        None, description="What it is, for people.", examples=["radio images"]
    )
    tags: list[Text] | None = Field(None, description="Tags, for people.", examples=[["images"]])
    schema_: dict[str, Any] | None = Field(
        None,
        alias="schema",
        description="Where it leads, by kind.",
        examples=[{"volumeClaim": "data", "mountPath": "/data"}],
    )
    secret: ConnectionResource | None = Field(
        None, description="The Secret that it needs.", examples=[{"name": "git-token"}]
    )
    config_map: ConnectionResource | None = Field(
        None, description="The ConfigMap that it needs.", examples=[{"name": "settings"}]
    )
    env: list[Any] | dict[str, Any] | None = Field(
        None, description="Variables.", examples=[[{"name": "A", "value": "1"}]]
    )
    annotations: dict[str, Any] | None = Field(
        None, description="Annotations of the Pod.", examples=[{"sidecar": "no"}]
    )
    is_alias: bool | None = Field(
        None, description="Accepted for compatibility; unused.", examples=[False]
    )

    @field_validator("name")
    @classmethod
    def _validate_name(cls, name: str) -> str:
        if not _CONNECTION_NAME.fullmatch(name):
            message = (
                "expected at most 63 lower-case letters, digits, '-', '_' and '.', letters or "
                "digits at both ends"
            )
            raise fail("InvalidSpec", f"{message}, found {describe(name)}")
        return name

    @model_validator(mode="after")
    def _validate(self) -> Connection:
        given = self.schema_ or {}
        required, allowed = _SCHEMAS.get(self.kind, ((), tuple(given)))
        faults = [
            (("schema", key), "InvalidSpec", f"is required for a connection of kind {self.kind}")
            for key in required
            if not given.get(key)
        ]
        known = (*required, *allowed, "kind")
        faults += [
            (("schema", key), "UnknownField", unknown_key(key, known))
            for key in given
            if key not in known
        ]
        faults += [
            (("schema", key), "InvalidSpec", message)
            for key, message in self._validate_values(given)
        ]
        if faults:
            raise fail_at(faults, given)
        return self

    def _validate_values(self, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The keys with a wrong value, each with a message.

        The keys of a kind without a schema are unknown, except that an ssh connection to a
        repository is checked like a git one.
        """
        checked = (
            given
            if self.kind in _SCHEMAS
            else {key: given.get(key) for key in _GIT_KEYS if self.kind in GIT_KINDS}
        )
        for key, value in checked.items():
            is_right, expected = _VALUES.get(key, (lambda _: True, ""))
            if key == "mountPath" and not _is_mountable(value):
                yield key, f"{_MOUNTABLE}, found {describe(value)}"
            elif key == "bucket" and not _is_bucket(value, _BUCKETS[self.kind]):
                yield key, f"expected {' or '.join(_BUCKETS[self.kind])}…, found {describe(value)}"
            elif value is not None and not is_right(value):
                yield key, f"expected {expected}, found {describe(value)}"

    @field_validator("env", mode="before")
    @classmethod
    def _validate_env(cls, env: Any) -> Any:
        if not isinstance(env, list | Mapping | None):
            raise fail(
                "InvalidSpec",
                f"expected a list of {{name, value}}, or a mapping of names to values, found "
                f"{describe(env)}",
            )
        for entry in env if isinstance(env, list) else ():
            pair = isinstance(entry, list) and len(entry) == 2
            if not pair and not (isinstance(entry, Mapping) and isinstance(entry.get("name"), str)):
                raise fail(
                    "InvalidSpec",
                    f"expected {{name, value}} or [name, value], found {describe(entry)}",
                )
        return env


class CatalogFile(Section):
    """The catalog file."""

    artifacts_store: Connection | None = Field(
        None, description="Where runs leave their files.", examples=[{"name": "store"}]
    )
    connections: list[Connection] = Field(
        default_factory=list, description="What runs may use by name.", examples=[[]]
    )

    @model_validator(mode="after")
    def _validate(self) -> CatalogFile:
        seen: set[str] = set()
        for index, connection in enumerate(self.connections):
            if connection.name in seen:
                raise fail_at(
                    [
                        (
                            ("connections", index, "name"),
                            "InvalidSpec",
                            f"there are two connections '{connection.name}'",
                        )
                    ],
                    connection,
                )
            seen.add(connection.name)
        store = self.artifacts_store
        if store is None:
            return self
        if store.kind not in (*VOLUME_KINDS, *BUCKET_KINDS):
            message = (
                f"files are kept on volumes ({', '.join(VOLUME_KINDS)}) and in buckets "
                f"({', '.join(BUCKET_KINDS)}), found {store.kind}"
            )
            raise fail_at([(("artifactsStore", "kind"), "NotSupported", message)], store)
        if store.name in seen:
            message = (
                f"there is a connection '{store.name}' too; the store is a connection by its own "
                "name already"
            )
            raise fail_at([(("artifactsStore", "name"), "InvalidSpec", message)], store)
        if (store.schema_ or {}).get("readOnly"):
            raise fail_at(
                [
                    (
                        ("artifactsStore", "schema", "readOnly"),
                        "InvalidSpec",
                        "runs must be able to write to the store",
                    )
                ],
                store,
            )
        return self


def parse_catalog_file(data: Any, *, document: Document | None = None) -> CatalogFile:
    """The catalog in `data`; an empty file is an empty catalog.

    Raises SpecError with every problem and its path.
    """
    if data is None:
        return CatalogFile()
    if not isinstance(data, Mapping):
        raise SpecError(
            "InvalidSpec",
            f"expected artifactsStore and connections (a mapping), found {describe(data)}",
        )
    try:
        return CatalogFile.model_validate(data)
    except ValidationError as error:
        raise spec_error(error, document) from None


#: The mount path of a run's own files.
_TAKEN = "/plx-context"
_MOUNTABLE = f"expected an absolute path to mount at, and not within {_TAKEN}"


def _is_mountable(path: Any) -> bool:
    if (
        not isinstance(path, str)
        or not path.startswith("/")
        or ":" in path
        or ".." in path.split("/")
    ):
        return False
    place = posixpath.normpath(path)
    return place != "/" and not f"{place}/".startswith(f"{_TAKEN}/")


def _validate_mount(path: str) -> str:
    if not _is_mountable(path):
        raise fail("InvalidSpec", f"{_MOUNTABLE}, found {describe(path)}")
    return path


def read_mode(mode: Any) -> int | None:
    """The mode of a file from octal text such as 0400, or from a number as in Kubernetes.

    None if it is not a mode.
    """
    if isinstance(mode, str):
        return int(mode, 8) if re.fullmatch(r"(0o?)?[0-7]{1,3}", mode) else None
    return (
        mode
        if isinstance(mode, int) and not isinstance(mode, bool) and 0 <= mode <= 0o777
        else None
    )
