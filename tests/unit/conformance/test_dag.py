"""Pipelines are validated before they run, and so are the triggers of their operations."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.conformance.vectors import is_refusal_only, load, select, wanted

from opstrand.core.compiling.compile import compile_operation, compile_written
from opstrand.core.compiling.dag import Pipeline, read_pipeline
from opstrand.core.pipelines.triggers import evaluate_trigger
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation


def read_vector(vector: dict[str, Any]) -> Pipeline | SpecError:
    component = {key: vector[key] for key in ("inputs", "outputs") if vector.get(key)}
    component["run"] = {"kind": "dag", **vector["run"]}
    written = {
        "component": component,
        **({"params": vector["params"]} if vector.get("params") else {}),
    }
    try:
        return read_pipeline(compile_operation(parse_operation(written)), compile_written)
    except SpecError as error:
        return error


@pytest.mark.parametrize("vector", select("dag", "dag-"))
def test_dag(vector: dict[str, Any]) -> None:
    results = wanted(vector)
    pipeline = read_vector(vector)
    if isinstance(pipeline, SpecError):
        assert any("error" in result for result in results) or is_refusal_only(vector), pipeline
        assert all(problem.path for problem in pipeline.problems)
        return
    assert any(result.get("accepted") for result in results)
    for result in (vector["expect"], *results):
        if "stages" in result:
            assert [list(stage) for stage in pipeline.stages] == result["stages"]
            assert {
                name: sorted(node.upstreams) for name, node in pipeline.nodes.items()
            } == result["upstream"]


@pytest.mark.parametrize("vector", select("dag", "trigger-"))
def test_trigger(vector: dict[str, Any]) -> None:
    verdicts = [
        evaluate_trigger(vector["trigger"], vector["skipOnUpstreamSkip"], statuses)
        for statuses in ([vector["first"], None], [vector["first"], vector["second"]])
    ]
    assert verdicts == vector["expect"]


def test_the_default_trigger_is_the_measured_one() -> None:
    assert load("dag")["triggers"]["default"] == "all_succeeded"
    assert evaluate_trigger(None, False, ["succeeded", "failed"]) == evaluate_trigger(
        "all_succeeded", False, ["succeeded", "failed"]
    )


def test_an_operation_without_upstreams_starts() -> None:
    assert evaluate_trigger("one_failed", True, []) == "start"
