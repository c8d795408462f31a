"""`joins`: values collected from many earlier runs.

Owns the keys, and the rule that a join's params take no `ref`. Must not search.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from opstrand.spec.params import JoinParam
from opstrand.spec.section import OR_TEMPLATE, SPEAKING, Section, Text, Whole, fail_at


def refuse_refs(params: Any) -> Any:
    """The documents' rule: a join builds its references from its query, so its params have none of their own."""
    if isinstance(params, Mapping):
        found = [name for name, param in params.items() if isinstance(param, Mapping) and "ref" in param]
        if found:
            message = "a join's param cannot have a `ref`; the join's query says which runs it reads"
            raise fail_at([((name, "ref"), "RefInvalid", message) for name in found], params)
    return params


class Join(Section):
    """One search over earlier runs of the project, and what is taken from each of them."""

    query: Text = Field(description="Which runs: `field: condition, ...`.", examples=["status: succeeded, metrics.loss: <0.1"])
    sort: Text | None = Field(None, description="Order of the runs; `-` turns it around.", examples=["-metrics.loss"])
    limit: Whole | None = Field(None, description="How many runs at most.", examples=[10])
    offset: Whole | None = Field(None, description="How many runs to leave out first.", examples=[0])
    params: Annotated[dict[Text, Annotated[JoinParam, SPEAKING]], BeforeValidator(refuse_refs), OR_TEMPLATE] | None = Field(
        None, description="What is taken from each run; each param gets the list.", examples=[{"losses": {"value": "outputs.loss"}}]
    )
