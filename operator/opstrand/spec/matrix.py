"""`matrix`: one operation, many runs with different params.

Owns the keys and the forms in which a space of values can be written. `core.pipelines.spaces` knows
which values a space contains.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict

from opstrand.spec.early_stopping import EarlyStopping, Optimization
from opstrand.spec.params import Params
from opstrand.spec.problems import fail_at
from opstrand.spec.scalars import OR_TEMPLATE, Flag, Number, Text, Texts, Whole
from opstrand.spec.section import Section
from opstrand.spec.spaces import Space


def _refuse_refs_in_rows(rows: Any) -> Any:
    if isinstance(rows, list):
        places = [
            (
                (index, name, "ref"),
                "RefInvalid",
                "a matrix' value cannot have a `ref`; give a param of the operation the ref "
                "instead",
            )
            for index, row in enumerate(rows)
            if isinstance(row, Mapping)
            for name, value in row.items()
            if isinstance(value, Mapping)
            and isinstance(value.get("ref"), str)
            and set(value) <= {"ref", "value"}
        ]
        if places:
            raise fail_at(places, rows)
    return rows


#: Both are needed before anything is rendered, so neither may be a template.
Count = Annotated[int, Strict(), Field(gt=0)]
Spaces = Annotated[dict[Text, Space], Field(min_length=1), OR_TEMPLATE]


class Metric(Section):
    """The output that a search makes better."""

    name: Text = Field(description="Name of the output.", examples=["loss"])
    optimization: Optimization | None = Field(
        None, description="Which way is better. Default: maximize.", examples=["minimize"]
    )


class Resource(Section):
    """The input that hyperband spends."""

    name: Text = Field(description="Name of the input.", examples=["epochs"])
    type: Literal["int", "float"] | None = Field(
        None, description="Its type. Default: float.", examples=["int"]
    )


class Tuner(Section):
    """The component that makes the next suggestions."""

    hub_ref: Text = Field(description="The component.", examples=["tuner"])
    presets: Texts | None = Field(
        None, description="Presets of the tuner's run.", examples=[["small"]]
    )
    queue: Text | None = Field(
        None, description="Queue of the tuner's run.", examples=["agent/queue"]
    )
    namespace: Text | None = Field(
        None, description="Namespace of the tuner's run.", examples=["team"]
    )
    params: Annotated[Params, OR_TEMPLATE] | None = Field(
        None, description="Params of the tuner.", examples=[{"iterations": {"value": 3}}]
    )


class Matrix(Section):
    """What all kinds of a matrix share."""

    concurrency: Count | None = Field(
        None, description="How many runs at once. Default: no limit.", examples=[5]
    )
    early_stopping: EarlyStopping | None = Field(
        None,
        description="When the rest is stopped.",
        examples=[
            [
                {
                    "kind": "metric_early_stopping",
                    "metric": "acc",
                    "value": 0.9,
                    "optimization": "maximize",
                }
            ]
        ],
    )


class Rows(Matrix):
    """One run for each given set of params."""

    kind: Literal["mapping"] = Field(
        "mapping", description="The kind of the matrix.", examples=["mapping"]
    )
    values: Annotated[
        list[Annotated[dict[Text, Any], OR_TEMPLATE]],
        BeforeValidator(_refuse_refs_in_rows),
        OR_TEMPLATE,
    ] = Field(description="The params of each run.", examples=[[{"lr": 0.1}, {"lr": 0.2}]])


class Grid(Matrix):
    """One run for every combination, the last param changing fastest."""

    kind: Literal["grid"] = Field("grid", description="The kind of the matrix.", examples=["grid"])
    params: Spaces = Field(
        description="The space of each param.",
        examples=[{"lr": {"kind": "choice", "value": [0.1, 0.2]}}],
    )
    num_runs: Count | None = Field(
        None, description="Stop after so many combinations.", examples=[10]
    )


class Searching(Matrix):
    """What searches with a seed share."""

    seed: Whole | None = Field(
        None, description="The same seed draws the same values.", examples=[7]
    )


class Random(Searching):
    """Runs with values drawn from the spaces, none twice."""

    kind: Literal["random"] = Field(
        "random", description="The kind of the matrix.", examples=["random"]
    )
    params: Spaces = Field(
        description="The space of each param.",
        examples=[{"lr": {"kind": "uniform", "value": [0, 1]}}],
    )
    num_runs: Count = Field(description="How many runs.", examples=[10])


class GaussianProcess(Section):
    """The model behind a bayesian search."""

    kernel: Literal["matern", "rbf"] | None = Field(
        None, description="Its kernel. Default: matern.", examples=["matern"]
    )
    length_scale: Number | None = Field(
        None, description="Length scale of the kernel.", examples=[1.0]
    )
    nu: Number | None = Field(None, description="Smoothness of a matern kernel.", examples=[1.5])
    num_restarts_optimizer: Whole | None = Field(
        None, description="Restarts of its optimizer.", examples=[0]
    )


class UtilityFunction(Section):
    """How a bayesian search weighs exploring against using."""

    acquisition_function: Literal["ucb", "ei", "poi"] | None = Field(
        None, description="Its formula.", examples=["ucb"]
    )
    gaussian_process: GaussianProcess | None = Field(
        None, description="The model behind it.", examples=[{"kernel": "matern"}]
    )
    kappa: Number | None = Field(None, description="Weight of exploring, for ucb.", examples=[1.2])
    eps: Number | None = Field(
        None, description="Weight of exploring, for ei and poi.", examples=[1.2]
    )
    num_warmup: Whole | None = Field(
        None, description="Points drawn to start with.", examples=[100]
    )
    num_iterations: Whole | None = Field(None, description="Steps of its optimizer.", examples=[10])


class Bayes(Searching):
    """A search that models the metric."""

    kind: Literal["bayes"] = Field(
        "bayes", description="The kind of the matrix.", examples=["bayes"]
    )
    params: Spaces = Field(
        description="The space of each param.",
        examples=[{"lr": {"kind": "uniform", "value": [0, 1]}}],
    )
    num_initial_runs: Count = Field(description="Runs before the first model.", examples=[5])
    max_iterations: Count = Field(description="Runs that the model suggests.", examples=[10])
    metric: Metric = Field(
        description="What is made better.", examples=[{"name": "loss", "optimization": "minimize"}]
    )
    utility_function: UtilityFunction | None = Field(
        None,
        description="How it weighs exploring.",
        examples=[{"acquisitionFunction": "ucb", "kappa": 1.2}],
    )
    tuner: Annotated[Tuner, OR_TEMPLATE] | None = Field(
        None, description="The tuner.", examples=[{"hubRef": "bayes"}]
    )


class Hyperband(Searching):
    """A search that gives more of a resource to what does well."""

    kind: Literal["hyperband"] = Field(
        "hyperband", description="The kind of the matrix.", examples=["hyperband"]
    )
    params: Spaces | None = Field(
        None,
        description="The space of each param.",
        examples=[{"lr": {"kind": "uniform", "value": [0, 1]}}],
    )
    max_iterations: Count | None = Field(
        None, description="Most of the resource for one run.", examples=[81]
    )
    eta: Annotated[float, Field(ge=0), OR_TEMPLATE] | None = Field(
        None, description="How much is kept each time.", examples=[3]
    )
    resource: Resource | None = Field(
        None, description="The input that is spent.", examples=[{"name": "epochs", "type": "int"}]
    )
    metric: Metric | None = Field(
        None, description="What is made better.", examples=[{"name": "loss"}]
    )
    resume: Flag | None = Field(
        None, description="Whether runs go on instead of starting again.", examples=[False]
    )
    tuner: Annotated[Tuner, OR_TEMPLATE] | None = Field(
        None, description="The tuner.", examples=[{"hubRef": "hyperband"}]
    )


class TPE(Searching):
    """A search by tree-structured estimators."""

    kind: Literal["tpe"] = Field("tpe", description="The kind of the matrix.", examples=["tpe"])
    params: Spaces = Field(
        description="The space of each param.",
        examples=[{"lr": {"kind": "uniform", "value": [0, 1]}}],
    )
    metric: Metric = Field(description="What is made better.", examples=[{"name": "loss"}])
    num_runs: Count | None = Field(None, description="How many runs.", examples=[10])
    max_iterations: Whole | None = Field(None, description="Rounds of suggestions.", examples=[5])
    tuner: Annotated[Tuner, OR_TEMPLATE] | None = Field(
        None, description="The tuner.", examples=[{"hubRef": "tpe"}]
    )


class Iterative(Searching):
    """A search by a tuner of one's own."""

    kind: Literal["iterative"] = Field(
        "iterative", description="The kind of the matrix.", examples=["iterative"]
    )
    params: Spaces | None = Field(
        None,
        description="The space of each param.",
        examples=[{"lr": {"kind": "uniform", "value": [0, 1]}}],
    )
    max_iterations: Count = Field(description="Rounds of suggestions.", examples=[5])
    tuner: Annotated[Tuner, OR_TEMPLATE] | None = Field(
        None, description="The tuner.", examples=[{"hubRef": "mine"}]
    )


@cache
def matrices() -> Mapping[str, type[Section]]:
    return {
        "mapping": Rows,
        "grid": Grid,
        "random": Random,
        "bayes": Bayes,
        "hyperband": Hyperband,
        "tpe": TPE,
        "iterative": Iterative,
    }
