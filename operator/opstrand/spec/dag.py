"""`run` of kind dag: operations that depend on each other.

Owns the keys. `core.compiling.dag` validates the graph.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from opstrand.spec.early_stopping import EarlyStopping
from opstrand.spec.environment import Environment
from opstrand.spec.kubernetes.parts import VolumePart
from opstrand.spec.scalars import OR_TEMPLATE, Texts
from opstrand.spec.section import Later, Section


def _operation() -> type[Section]:
    from opstrand.spec.operation import Operation

    return Operation


def _component() -> type[Section]:
    from opstrand.spec.component import Component

    return Component


#: A text is read as a number here, unlike elsewhere: files as old as the documentation have one.
Concurrency = Annotated[int, Field(gt=0), OR_TEMPLATE]


class Dag(Section):
    """A pipeline: operations, run in the order of their dependencies."""

    kind: Literal["dag"] = Field("dag", description="The kind of the runtime.", examples=["dag"])
    operations: Annotated[list[Annotated[Any, Later(_operation)]], OR_TEMPLATE] | None = Field(
        None,
        description="The operations; each has a name.",
        examples=[[{"name": "a", "hubRef": "echo"}]],
    )
    components: Annotated[list[Annotated[Any, Later(_component)]], OR_TEMPLATE] | None = Field(
        None,
        description="Components that the operations use by `dagRef`.",
        examples=[[{"name": "t", "run": {"kind": "job"}}]],
    )
    environment: Annotated[Environment, OR_TEMPLATE] | None = Field(
        None,
        description="What the Pods of all operations get unless they say otherwise.",
        examples=[{"labels": {"a": "b"}}],
    )
    connections: Texts | None = Field(
        None, description="Connections that all operations get.", examples=[["datasets"]]
    )
    volumes: Annotated[list[VolumePart], OR_TEMPLATE] | None = Field(
        None,
        description="Volumes that all operations get.",
        examples=[[{"name": "tmp", "emptyDir": {}}]],
    )
    concurrency: Concurrency | None = Field(
        None, description="How many operations run at once. Default: no limit.", examples=[5]
    )
    early_stopping: EarlyStopping | None = Field(
        None,
        description="When the rest is stopped.",
        examples=[[{"kind": "failure_early_stopping", "percent": 50}]],
    )
