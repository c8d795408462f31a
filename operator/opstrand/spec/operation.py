"""An operation: what a user asks to run. Also the `spec` of the Operation custom resource.

Owns what only an operation has: the component it runs, and the keys that are not of the published
format: `control`, and `inherited`, which a pipeline writes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from opstrand.spec.cache import Cache
from opstrand.spec.common import Common
from opstrand.spec.component import Component
from opstrand.spec.environment import Environment
from opstrand.spec.kubernetes.parts import VolumePart
from opstrand.spec.plugins import Plugins
from opstrand.spec.scalars import OR_TEMPLATE, Text, Texts
from opstrand.spec.section import Section
from opstrand.spec.termination import Termination


class Control(Section):
    """Orders to a run that exists.

    The only part of an Operation that changes while it runs, with `isApproved` and `termination`.
    """

    stop: Annotated[bool, Strict()] | None = Field(
        None, description="Stop the run.", examples=[True]
    )
    skip: Annotated[bool, Strict()] | None = Field(
        None, description="Skip the run before it starts.", examples=[True]
    )
    suspend: Annotated[bool, Strict()] | None = Field(
        None,
        description="Let a schedule start no runs until this is false again.",
        examples=[True],
    )
    invalidate: Annotated[bool, Strict()] | None = Field(
        None, description="Never reuse this run's result for another run.", examples=[True]
    )
    resume: Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)] | None = Field(
        None,
        description=(
            "Let a run that is over run again, with the same id. A number that only grows: each "
            "larger one resumes once."
        ),
        examples=[1],
    )
    round: Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)] | None = Field(
        None,
        description="The same, written by the run's pipeline when the pipeline is resumed.",
        examples=[1],
    )


class Inherited(Section):
    """What a pipeline hands down to its operations: each of them has its own values over it."""

    cache: Annotated[Cache, OR_TEMPLATE] | None = Field(
        None, description="The pipeline's `cache`.", examples=[{"disable": True}]
    )
    termination: Annotated[Termination, OR_TEMPLATE] | None = Field(
        None, description="The pipeline's `termination`.", examples=[{"maxRetries": 1}]
    )
    plugins: Annotated[Plugins, OR_TEMPLATE] | None = Field(
        None, description="The pipeline's `plugins`.", examples=[{"collectLogs": False}]
    )
    queue: Text | None = Field(None, description="The pipeline's `queue`.", examples=["default"])
    environment: Annotated[Environment, OR_TEMPLATE] | None = Field(
        None, description="`run.environment` of the pipeline.", examples=[{"labels": {"a": "b"}}]
    )
    connections: Texts | None = Field(
        None, description="`run.connections` of the pipeline.", examples=[["data"]]
    )
    volumes: Annotated[list[VolumePart], OR_TEMPLATE] | None = Field(
        None,
        description="`run.volumes` of the pipeline.",
        examples=[[{"name": "tmp", "emptyDir": {}}]],
    )


class Operation(Common):
    """One run: a component, its params, and how to run it."""

    kind: Literal["operation"] | None = Field(
        None, description="Says that the file is an operation.", examples=["operation"]
    )
    component: Component | None = Field(
        None,
        description="The component, written here.",
        examples=[{"run": {"kind": "job", "container": {"image": "busybox"}}}],
    )
    control: Control | None = Field(
        None, description="Orders to a run that exists.", examples=[{"stop": True}]
    )
    inherited: Inherited | None = Field(
        None,
        description="What the run's pipeline hands down; the run's own values win over it.",
        examples=[{"termination": {"maxRetries": 1}}],
    )
