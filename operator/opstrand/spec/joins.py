"""`joins`: values collected from many earlier runs.

Owns the keys. Must not search for runs.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from opstrand.spec.params import JoinParams
from opstrand.spec.scalars import OR_TEMPLATE, Text, Whole
from opstrand.spec.section import Section


class Join(Section):
    """One search over earlier runs of the project, and what is read from each of them."""

    query: Text = Field(
        description="Which runs: `field: condition, ...`.",
        examples=["status: succeeded, metrics.loss: <0.1"],
    )
    sort: Text | None = Field(
        None, description="Order of the runs; `-` turns it around.", examples=["-metrics.loss"]
    )
    limit: Whole | None = Field(None, description="How many runs at most.", examples=[10])
    offset: Whole | None = Field(
        None, description="How many runs to leave out first.", examples=[0]
    )
    params: Annotated[JoinParams, OR_TEMPLATE] | None = Field(
        None,
        description="What is read from each run; each param gets the list.",
        examples=[{"losses": {"value": "outputs.loss"}}],
    )
