"""`cache`: use the result of an earlier run instead of running again.

Owns the keys. Must not compare runs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from opstrand.spec.scalars import OR_TEMPLATE, Flag, Texts
from opstrand.spec.section import Section


class Cache(Section):
    """Whether, how long and by what a result is reused."""

    disable: Flag | None = Field(
        None,
        description="Default: false for children of pipelines and matrices, true for others.",
        examples=[True],
    )
    ttl: Annotated[int, Strict(), Field(ge=0), OR_TEMPLATE] | None = Field(
        None, description="Seconds that a result stays usable. Default: no limit.", examples=[86400]
    )
    io: Texts | None = Field(
        None, description="Inputs and outputs that count. Default: all.", examples=[["lr"]]
    )
    sections: Annotated[list[Literal["init", "connections", "containers"]], OR_TEMPLATE] | None = (
        Field(
            None, description="Parts of `run` that count. Default: all.", examples=[["containers"]]
        )
    )
