"""`run` of kind service: a container that serves until it is stopped.

Owns the keys. Must not know how the service is exposed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from opstrand.spec.job import PodParts
from opstrand.spec.scalars import OR_TEMPLATE, Flag, Whole


class Service(PodParts):
    """A container that serves until it is stopped, culled or timed out."""

    kind: Literal["service"] = Field(
        "service", description="The kind of the runtime.", examples=["service"]
    )
    ports: Annotated[list[Whole], OR_TEMPLATE] | None = Field(
        None, description="Ports that the container listens on.", examples=[[8888]]
    )
    rewrite_path: Flag | None = Field(
        None,
        description="Cut the service's prefix off the path before the container sees it.",
        examples=[True],
    )
    is_external: Flag | None = Field(
        None, description="Whether it is reachable without a login.", examples=[False]
    )
    replicas: Whole | None = Field(
        None, description="How many Pods serve. Default: 1.", examples=[1]
    )
