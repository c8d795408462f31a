"""`run` of kind job: one container that runs to its end; and the Pod settings that other kinds
share with it.

Owns the keys. Must not know how a Pod is built.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from opstrand.spec.environment import Environment
from opstrand.spec.init import Init
from opstrand.spec.kubernetes.parts import ContainerPart, VolumePart
from opstrand.spec.scalars import OR_TEMPLATE, Texts
from opstrand.spec.section import Section


class PodParts(Section):
    """What surrounds a container: environment, connections, volumes, init steps, sidecars."""

    environment: Annotated[Environment, OR_TEMPLATE] | None = Field(
        None,
        description="Scheduling, identity and labels of the Pod.",
        examples=[{"nodeSelector": {"disk": "ssd"}}],
    )
    connections: Texts | None = Field(
        None,
        description="Connections whose volumes, variables and secrets the container gets.",
        examples=[["datasets"]],
    )
    volumes: Annotated[list[VolumePart], OR_TEMPLATE] | None = Field(
        None,
        description="Volumes of the Pod; the container mounts them itself.",
        examples=[[{"name": "tmp", "emptyDir": {}}]],
    )
    init: Annotated[list[Init], OR_TEMPLATE] | None = Field(
        None,
        description="Steps before the container starts.",
        examples=[[{"file": {"content": "1", "filename": "a"}}]],
    )
    sidecars: Annotated[list[ContainerPart], OR_TEMPLATE] | None = Field(
        None,
        description="Containers that run beside the main one and end with it.",
        examples=[[{"name": "db", "image": "redis"}]],
    )
    container: ContainerPart | None = Field(
        None,
        description="The main container, as Kubernetes has it. Templates may stand anywhere.",
        examples=[{"image": "busybox", "command": ["echo", "hello"]}],
    )


class Job(PodParts):
    """One container that runs to its end."""

    kind: Literal["job"] = Field("job", description="The kind of the runtime.", examples=["job"])
