"""The keys that components and operations share: today's format lets both have all of them.

Owns their names, types and meaning. Each nested section has its own module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from opstrand.spec.build import Build
from opstrand.spec.cache import Cache
from opstrand.spec.environment import Environment
from opstrand.spec.events import Event
from opstrand.spec.hooks import Hook
from opstrand.spec.init import Init
from opstrand.spec.io import IO
from opstrand.spec.joins import Join
from opstrand.spec.kubernetes.parts import ContainerPart, VolumePart
from opstrand.spec.params import Params
from opstrand.spec.patch import RunPatch, Strategy
from opstrand.spec.plugins import Plugins
from opstrand.spec.problems import describe, fail
from opstrand.spec.respelling import Path
from opstrand.spec.runtimes import RUNTIME
from opstrand.spec.scalars import OR_TEMPLATE, Flag, Number, Text, Texts
from opstrand.spec.scalars import is_template as _is_template
from opstrand.spec.schedule import SCHEDULE
from opstrand.spec.section import ByKind, Section
from opstrand.spec.shortcuts import Command, ResourceShortcut, Variables
from opstrand.spec.template import Template
from opstrand.spec.termination import Termination

_NAME = re.compile(r"[-a-zA-Z0-9_]+\Z")
REFERENCES = ("hub_ref", "path_ref", "url_ref", "dag_ref")


def _matrices() -> Mapping[str, type[Section]]:
    from opstrand.spec.matrix import matrices

    return matrices()


def _validate_name(value: Any) -> Any:
    if not isinstance(value, str) or not (_is_template(value) or _NAME.match(value)):
        raise fail("InvalidSpec", f"expected letters, digits, '-' and '_', found {describe(value)}")
    return value


def _split_commas(value: Any) -> Any:
    return (
        [word.strip() for word in value.split(",") if word.strip()]
        if isinstance(value, str)
        else value
    )


Name = Annotated[str, BeforeValidator(_validate_name)]
Words = Annotated[list[Text], BeforeValidator(_split_commas)]
Trigger = Literal[
    "all_succeeded", "all_failed", "all_done", "one_succeeded", "one_failed", "one_done"
]


class Mount(Section):
    """A folder that the command line uploads before the run."""

    source: Text | None = Field(
        None, alias="from", description="Folder on the user's side.", examples=["./src"]
    )
    to: Text | None = Field(None, description="Folder in the run.", examples=["code"])


class Common(Section):
    """The keys of a file's root."""

    _written: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    _respelled: tuple[tuple[Path, str], ...] = PrivateAttr(default=())

    version: Number | None = Field(
        None, description="Version of the format. Read, and otherwise ignored.", examples=[1.1]
    )
    name: Name | None = Field(
        None,
        description="Name of the run; an operation's wins over its component's.",
        examples=["echo"],
    )
    description: Text | None = Field(
        None, description="What it is for, for people.", examples=["Prints a message"]
    )
    tags: Words | None = Field(
        None,
        description="Words to find runs by: a list, or text with commas.",
        examples=[["nightly"]],
    )
    presets: Words | None = Field(
        None, description="Names of presets to apply.", examples=[["small"]]
    )
    strict_params: bool | None = Field(
        None,
        description="Whether a param without a declared input or output is an error.",
        examples=[True],
    )
    queue: Text | None = Field(
        None, description="Queue to run in: `queue` or `agent/queue`.", examples=["default"]
    )
    namespace: Text | None = Field(
        None, description="Namespace; where given it must be the object's own.", examples=["team"]
    )
    cache: Annotated[Cache, OR_TEMPLATE] | None = Field(
        None,
        description="Whether an earlier equal run's result is reused.",
        examples=[{"disable": True}],
    )
    termination: Annotated[Termination, OR_TEMPLATE] | None = Field(
        None, description="Limits in time and tries.", examples=[{"maxRetries": 1, "timeout": 3600}]
    )
    plugins: Annotated[Plugins, OR_TEMPLATE] | None = Field(
        None, description="What surrounds the container.", examples=[{"collectLogs": False}]
    )
    build: Annotated[Build, OR_TEMPLATE] | None = Field(
        None, description="An image to build before the run.", examples=[{"hubRef": "kaniko"}]
    )
    hooks: Annotated[list[Hook], OR_TEMPLATE] | None = Field(
        None,
        description="Components to run after the end.",
        examples=[[{"hubRef": "slack", "trigger": "failed"}]],
    )
    is_approved: Flag | None = Field(
        None, description="false: the run waits until a person approves it.", examples=[False]
    )
    cost: Number | None = Field(None, description="Cost of the run, recorded only.", examples=[1.5])
    mount: list[Text | Mount] | None = Field(
        None,
        description="Folders that the command line uploads: `from:to`, or a mapping.",
        examples=[["./src:code"]],
    )

    inputs: list[IO] | None = Field(
        None,
        description="What the run accepts.",
        examples=[[{"name": "message", "type": "str", "value": "hello"}]],
    )
    outputs: list[IO] | None = Field(
        None, description="What the run gives.", examples=[[{"name": "loss", "type": "float"}]]
    )
    run: Annotated[Any, RUNTIME] | None = Field(
        None,
        description="The runtime: what runs.",
        examples=[{"kind": "job", "container": {"image": "busybox"}}],
    )
    template: Template | None = Field(
        None,
        description="Marks a file to fill in before it can run.",
        examples=[{"enabled": True, "fields": ["run.image"]}],
    )

    params: Params | None = Field(
        None,
        description="Values of inputs and outputs: plain, or with `value`, `ref` and more.",
        examples=[{"lr": 0.1}],
    )
    schedule: Annotated[Any, SCHEDULE] | None = Field(
        None, description="Runs by the clock.", examples=[{"kind": "cron", "cron": "0 6 * * 1"}]
    )
    events: Annotated[list[Event], OR_TEMPLATE] | None = Field(
        None,
        description="What it waits for besides its dependencies.",
        examples=[[{"ref": "ops.train", "kinds": ["run_status_succeeded"]}]],
    )
    matrix: Annotated[Any, ByKind("matrix", _matrices)] | None = Field(
        None,
        description="Many runs with other params.",
        examples=[{"kind": "grid", "params": {"lr": {"kind": "choice", "value": [0.1, 0.2]}}}],
    )
    joins: Annotated[list[Join], OR_TEMPLATE] | None = Field(
        None,
        description="Values collected from earlier runs.",
        examples=[
            [{"query": "status: succeeded", "params": {"losses": {"value": "outputs.loss"}}}]
        ],
    )
    dependencies: Texts | None = Field(
        None, description="Operations of the pipeline to wait for.", examples=[["prepare"]]
    )
    trigger: Annotated[Trigger, OR_TEMPLATE] | None = Field(
        None,
        description="How the dependencies must end. Default: all_succeeded.",
        examples=["all_done"],
    )
    conditions: Text | None = Field(
        None,
        description="A template; where it gives false, the run is skipped.",
        examples=["{{ loss > 0.5 }}"],
    )
    skip_on_upstream_skip: Flag | None = Field(
        None, description="Whether a skipped dependency skips this one too.", examples=[True]
    )
    hub_ref: Text | None = Field(
        None,
        description="The component, by name: the object of kind Component.",
        examples=["echo:v2"],
    )
    path_ref: Text | None = Field(
        None,
        description="The component, in another file; read by the command line.",
        examples=["./c.yaml"],
    )
    url_ref: Text | None = Field(
        None,
        description="The component, at an address; read by the command line.",
        examples=["https://example.org/c.yaml"],
    )
    dag_ref: Text | None = Field(
        None, description="The component, of the pipeline's `components`.", examples=["train"]
    )
    run_patch: RunPatch | None = Field(
        None,
        description="Merged over the component's `run`.",
        examples=[{"container": {"resources": {"limits": {"cpu": 1}}}}],
    )
    patch_strategy: Strategy | None = Field(
        None,
        description="How values are merged with the component's. Default: post_merge.",
        examples=["replace"],
    )
    is_preset: bool | None = Field(
        None, description="Marks a file that only changes others.", examples=[True]
    )

    container: ContainerPart | None = Field(
        None, description="Shortcut for `run.container`.", examples=[{"image": "busybox"}]
    )
    cmd: Command | None = Field(
        None,
        description="Shortcut for a shell script in the container: text, or a list of lines.",
        examples=["echo hello"],
    )
    env: Variables | None = Field(
        None, description="Shortcut for variables of the container.", examples=[{"LEVEL": "debug"}]
    )
    resources: ResourceShortcut | None = Field(
        None,
        description=(
            "Shortcut for resources of the container: `cpu: 1` asks, `cpu: 1..2` asks and limits."
        ),
        examples=[{"cpu": "1..2", "memory": "1Gi", "gpu": 1}],
    )
    ports: list[Annotated[int, Field(gt=0)]] | None = Field(
        None, description="Shortcut for the ports of a service.", examples=[[8080]]
    )
    environment: Environment | None = Field(
        None, description="Shortcut for `run.environment`.", examples=[{"labels": {"a": "b"}}]
    )
    init: list[Init] | None = Field(
        None, description="Shortcut for `run.init`.", examples=[[{"connection": "data"}]]
    )
    connections: list[Text] | None = Field(
        None, description="Shortcut for `run.connections`.", examples=[["data"]]
    )
    sidecars: list[ContainerPart] | None = Field(
        None,
        description="Shortcut for `run.sidecars`.",
        examples=[[{"name": "db", "image": "redis"}]],
    )
    volumes: list[VolumePart] | None = Field(
        None,
        description="Shortcut for `run.volumes`.",
        examples=[[{"name": "tmp", "emptyDir": {}}]],
    )

    @property
    def written(self) -> Mapping[str, Any]:
        """The mapping as the user wrote it, with keys and values in their documented spelling."""
        return self._written

    @property
    def respelled(self) -> tuple[tuple[Path, str], ...]:
        """The keys that were not written in their documented spelling: (path, documented key)."""
        return self._respelled

    @model_validator(mode="after")
    def _validate_references(self) -> Common:
        if self.is_preset:
            return self
        given = [name for name in REFERENCES if getattr(self, name)]
        if len(given) > 1:
            keys = ", ".join(type(self).model_fields[name].alias or name for name in given)
            raise fail(
                "InvalidSpec",
                "at most one of hubRef, pathRef, urlRef and dagRef names the component, found "
                f"{keys}",
            )
        return self
