"""`earlyStopping` of pipelines and matrices: when the remaining runs are stopped.

Owns the keys. Must not watch anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field

from opstrand.spec.scalars import OR_TEMPLATE, Flag, Number, Text, Whole
from opstrand.spec.section import ByKind, Section

Optimization = Annotated[Literal["maximize", "minimize"], OR_TEMPLATE]


class _Policy(Section):
    evaluation_interval: Whole | None = Field(
        None, description="How often the policy looks.", examples=[1]
    )
    min_interval: Whole | None = Field(None, description="When it looks first.", examples=[5])
    min_samples: Whole | None = Field(
        None, description="Runs that it needs before it decides.", examples=[5]
    )


class MedianPolicy(_Policy):
    """Stops runs that are worse than the median of the others."""

    kind: Literal["median"] = Field(
        "median", description="The kind of the policy.", examples=["median"]
    )


class TruncationPolicy(_Policy):
    """Stops the worst part of the runs."""

    kind: Literal["truncation"] = Field(
        "truncation", description="The kind of the policy.", examples=["truncation"]
    )
    percent: Number = Field(description="The part that is stopped, in percent.", examples=[50])
    include_succeeded: Flag | None = Field(
        None, description="Whether ended runs count too.", examples=[True]
    )


class DiffPolicy(_Policy):
    """Stops runs that are too far from the best."""

    kind: Literal["diff"] = Field("diff", description="The kind of the policy.", examples=["diff"])
    percent: Number = Field(description="The distance from the best, in percent.", examples=[5])


@cache
def policies() -> Mapping[str, type[Section]]:
    return {"median": MedianPolicy, "truncation": TruncationPolicy, "diff": DiffPolicy}


class MetricEarlyStopping(Section):
    """Stops the rest once a run's output is good enough."""

    kind: Literal["metric_early_stopping"] = Field(
        "metric_early_stopping",
        description="The kind of early stopping.",
        examples=["metric_early_stopping"],
    )
    metric: Text = Field(description="The output to watch.", examples=["loss"])
    value: Number = Field(description="The value that is good enough.", examples=[0.1])
    optimization: Optimization = Field(description="Which way is better.", examples=["minimize"])
    policy: Annotated[Any, ByKind("policy", policies)] | None = Field(
        None,
        description="Stops single runs by comparison with others.",
        examples=[{"kind": "median", "evaluationInterval": 1}],
    )


class FailureEarlyStopping(Section):
    """Stops the rest once too many runs have failed."""

    kind: Literal["failure_early_stopping"] = Field(
        "failure_early_stopping",
        description="The kind of early stopping.",
        examples=["failure_early_stopping"],
    )
    percent: Number = Field(description="The part of failed runs, in percent.", examples=[30])


@cache
def early_stoppings() -> Mapping[str, type[Section]]:
    return {
        "metric_early_stopping": MetricEarlyStopping,
        "failure_early_stopping": FailureEarlyStopping,
    }


EarlyStopping = Annotated[
    list[Annotated[Any, ByKind("early stopping", early_stoppings)]], OR_TEMPLATE
]
