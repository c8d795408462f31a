"""Pipelines are validated before they run, and so are the triggers of their operations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.conformance.vectors import is_refusal_only, load, select, wanted

from opstrand.core.compiling.compile import compile_operation, compile_written
from opstrand.core.compiling.dag import Pipeline, read_pipeline
from opstrand.core.pipelines.letters import (
    CACHED,
    PUBLISHED,
    STARTED,
    SUCCEEDED,
    Child,
    Children,
)
from opstrand.core.pipelines.progress import Graph, Op, Step, progress, read_graph
from opstrand.core.pipelines.triggers import DEFAULT_TRIGGER, evaluate_trigger
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
    graph = read_graph(pipeline.nodes)
    wanting_failures = {op.name for op in graph.ops if op.trigger.endswith("_failed")}
    assert run_to_the_end(graph) == set(pipeline.nodes) - wanting_failures
    for result in (vector["expect"], *results):
        if "stages" in result:
            assert [list(stage) for stage in pipeline.stages] == result["stages"]
            assert {
                name: sorted(node.upstreams) for name, node in pipeline.nodes.items()
            } == result["upstream"]


def run_to_the_end(graph: Graph) -> set[str]:
    """Return the operations that run if each of them succeeds, each after its upstreams."""
    children, ran = Children("." * len(graph.ops)), set[str]()
    while True:
        step = progress(graph, children, {})
        if not step.start:
            assert step.is_over
            return ran
        for at in step.start:
            assert {graph.ops[one].name for one in graph.ops[at].upstreams} <= ran
        ran |= {graph.ops[at].name for at in step.start}
        children = step.children.with_letters(dict.fromkeys(step.start, SUCCEEDED))


@pytest.mark.parametrize("vector", select("dag", "trigger-"))
def test_a_pipeline_heeds_the_trigger(vector: dict[str, Any]) -> None:
    """c depends on a and b, which end in this order or, in the other pipeline, in the other one."""
    letters = {published: letter for letter, published in PUBLISHED.items() if letter != CACHED}
    first, second = letters[vector["first"]], letters[vector["second"]]
    for a, b in ((0, 1), (1, 0)):
        c = Op("c", (0, 1), trigger=vector["trigger"] or DEFAULT_TRIGGER)
        c = replace(c, skips=vector["skipOnUpstreamSkip"])
        graph = Graph((Op("a"), Op("b"), c), (0, 1, 2))
        one = progress(graph, Children("..."), {a: Child(first, "1"), b: Child(STARTED)})
        assert read_verdict(one) == vector["expect"][0]
        ends = {a: Child(first, "1"), b: Child(second, "2")}
        # The second end is seen with the first one, or after it; also if the letters were lost.
        for children in (one.children, Children("...")):
            assert read_verdict(progress(graph, children, ends)) == vector["expect"][1]


def read_verdict(step: Step) -> str:
    names = {"k": "skipped", "u": "upstream_failed", ".": "wait"}
    return "start" if step.start == (2,) else names[step.children.states[2]]


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
