"""An operation: what a user asks to run. Also the `spec` of the Operation custom resource.

Owns what only an operation has: the component it runs, and `control`, the only key that is not of
the published format.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from opstrand.spec.common import Common
from opstrand.spec.component import Component
from opstrand.spec.section import Section


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
    invalidate: Annotated[bool, Strict()] | None = Field(
        None, description="Never reuse this run's result for another run.", examples=[True]
    )
    resume: Annotated[int, Strict(), Field(ge=0)] | None = Field(
        None,
        description=(
            "Reserved for going on with a final run: not acted on by this version. A number that "
            "only grows."
        ),
        examples=[1],
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
