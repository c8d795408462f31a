"""The resources of this API, and the parameters of its requests.

Owns their shape: the answers and the OpenAPI document are both made of these models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from opstrand.kube.resources import RUNS
from opstrand.spec.crd.status import status_schema

API_VERSION = RUNS.api_version
#: Runs of one page, unless the request asks for fewer.
PAGE = 500

Spec = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": True})]


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of the CRD as JSON Schema, without what only Kubernetes understands."""
    found = {
        key: _plain(value) if isinstance(value, Mapping) else value
        for key, value in schema.items()
        if not key.startswith("x-kubernetes-") and key != "nullable"
    }
    if schema.get("nullable"):
        found["type"] = [schema["type"], "null"]
    return found


Status = Annotated[dict[str, Any], WithJsonSchema(_plain(status_schema()))]


class Model(BaseModel):
    """What every answer has in common: a key that it does not have is left out."""

    model_config = ConfigDict(
        extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_none=True)


class Owner(Model):
    """An object that a run belongs to, such as its pipeline."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class RunMetadata(Model):
    """What Kubernetes kept of the run's Operation."""

    name: str
    namespace: str
    uid: str
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    generate_name: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None


class Run(Model):
    """A run: what was asked for, and what became of it, as in its Operation.

    In a list, the spec and the values of the status are left out.
    """

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["Run"] = "Run"
    metadata: RunMetadata
    spec: Spec | None = None
    status: Status = Field(default_factory=dict)


class ListMetadata(Model):
    """Where a list goes on: `continue` asks for the next page, and is absent on the last one.

    With a selector, a page may have fewer runs than its limit and still not be the last one.
    """

    more: str | None = Field(None, alias="continue")


class RunList(Model):
    """One page of runs: by project, the newest first."""

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["RunList"] = "RunList"
    metadata: ListMetadata
    items: list[Run]


class ArtifactFile(Model):
    """A file of a run. `size`: bytes."""

    name: str
    size: int


class ArtifactList(Model):
    """What is directly in a folder of a run's files."""

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["ArtifactList"] = "ArtifactList"
    files: list[ArtifactFile]
    folders: list[str]


class Received(Model):
    """How far a file has arrived. `offset`: bytes. Once it is complete, it is a file of the run."""

    offset: int
    is_complete: bool


class Deleted(Model):
    """That something was deleted, as Kubernetes says it."""

    api_version: Literal["v1"] = "v1"
    kind: Literal["Status"] = "Status"
    status: Literal["Success"] = "Success"
    message: str


class RunContent(Model):
    """A run's operation as YAML: as it was given, and with the params and presets in it.

    `compiled` equals `written` where the file does not compile.
    """

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["RunContent"] = "RunContent"
    written: str
    compiled: str


class LineageRun(Model):
    """A run of a lineage graph; without a phase, it is gone."""

    uuid: str
    name: str
    kind: str | None = None
    phase: str | None = None


class LineageEdge(Model):
    """`downstream` took `values` (param: the requested value) from `upstream`; both are uuids."""

    upstream: str
    downstream: str
    kind: str
    values: dict[str, Any]


class Lineage(Model):
    """The runs around a run, and which values went between them.

    `is_cut`: there are more than these.
    """

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["Lineage"] = "Lineage"
    run: str
    runs: list[LineageRun]
    edges: list[LineageEdge]
    is_cut: bool


class Member(Model):
    """An operation of a pipeline, or a run of a matrix.

    `letter`: `.` not created, `w` waits, `r` started, `s` `f` `x` `k` `u` ended, `c` from the
    cache. `note`: why it has not started, or what became of it. `uuid` is absent as long as it has
    no run.
    """

    op: str
    letter: str
    phase: str
    note: str
    name: str
    is_best: bool
    upstreams: list[str]
    params: dict[str, Any]
    uuid: str | None = None
    kind: str | None = None
    started_at: str | None = None
    duration: float | None = None
    outputs: dict[str, Any] | None = None


class MemberList(Model):
    """The operations of a pipeline from its first moment, or the runs of a matrix or schedule.

    `is_cut`: there are more than these. The params and outputs of all take at most 8 MiB: of a run
    with more than is left, the params are empty or the outputs are absent.
    """

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["MemberList"] = "MemberList"
    pipeline: str
    items: list[Member]
    is_cut: bool


class Series(Model):
    """What a run logged under a name: columns of equal length. A large series is thinned out."""

    name: str
    columns: dict[str, list[Any]]


class SeriesList(Model):
    """The series of one kind of a run."""

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["SeriesList"] = "SeriesList"
    items: list[Series]


class Action(Model):
    """What may be asked of a run. `refusal`: why it cannot be asked now, or not by this caller."""

    name: str
    is_allowed: bool
    refusal: str | None = None


class ActionList(Model):
    """What the caller may ask of a run, now."""

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["ActionList"] = "ActionList"
    items: list[Action]


class ActionResult(Model):
    """That an action was stored, which the operator carries out. `uuid`: the run that it made."""

    api_version: Literal["runs.opstrand.dev/v1alpha1"] = API_VERSION  # type: ignore[assignment]
    kind: Literal["ActionResult"] = "ActionResult"
    name: str
    uuid: str | None = None


class Failure(Model):
    """Why a request was refused, as Kubernetes says it."""

    api_version: Literal["v1"] = "v1"
    kind: Literal["Status"] = "Status"
    status: Literal["Failure"] = "Failure"
    message: str
    reason: str
    code: int
    details: dict[str, Any] | None = None


Truth = Literal["true", "false"]


class ListQuery(Model):
    """Which runs are listed."""

    limit: int = Field(PAGE, ge=0, description=f"At most so many; 0 and more than {PAGE}: {PAGE}.")
    more: str = Field("", alias="continue", description="`metadata.continue` of the page before.")
    label_selector: str = Field("", description="Only runs with these labels, as kubectl says it.")
    field_selector: str = Field(
        "", description="Only runs in this phase: `status.phase=Running`; other fields are refused."
    )
    query: str = Field("", description="Only runs that this selects, in the query language.")
    values: Truth = Field("false", description="With the inputs and outputs of each run.")
    watch: Literal["", "false", "0"] = Field("", description="These lists cannot be watched.")


class LogQuery(Model):
    """Which lines of a log are sent."""

    follow: Truth = Field("false", description="Go on until the run has ended.")
    attempt: int | None = Field(None, ge=0, description="Which attempt, from 0; else the newest.")
    timestamps: Truth = Field("false", description="The time of each line before it.")
    since_seconds: int | None = Field(
        None, ge=1, le=10**9, description="Only lines of this time before now."
    )
    tail_lines: int | None = Field(None, ge=0, le=10**6, description="Only the last so many lines.")


class FolderQuery(Model):
    """Which folder is listed."""

    path: str = Field("", description="A folder of the run's files; empty: the whole.")


class PartQuery(Model):
    """Which part of which file is sent. A file is sent in parts of any size, one after the other; a
    part that is not at the end of what arrived is not read, so an empty one asks where that is.
    """

    size: int = Field(ge=0, le=2**53, description="Bytes of the whole file.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the whole file.")
    offset: int = Field(0, ge=0, le=2**53, description="Where in the file the part begins.")


class LineageQuery(Model):
    """How much of the graph is read."""

    depth: int = Field(1, ge=1, le=10, description="Edges from the run, in both directions.")


class SeriesQuery(Model):
    """Which series are read."""

    names: str = Field("", description="Names, separated by commas; empty: all.")
    resources: Truth = Field("false", description="Of the machine (cpu, memory), not the program.")
    sample: int = Field(1000, ge=1, le=100_000, description="At most so many events of each.")


class NoQuery(Model):
    """No parameters."""
