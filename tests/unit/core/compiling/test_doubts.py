"""What `check` notes where it cannot know: metrics that may be logged, and what the hub holds."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import JOB

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.compiling.doubts import check_in_hub, note_components, note_metrics
from opstrand.core.operation import CompiledOperation
from opstrand.spec.polyaxonfile import parse_operation

STOP = [{"kind": "metric_early_stopping", "metric": "loss", "value": 1, "optimization": "minimize"}]
GRID = {"kind": "grid", "params": {"x": {"kind": "choice", "value": [1]}}}
HYPERBAND = {
    "kind": "hyperband",
    "maxIterations": 3,
    "eta": 3,
    "resource": {"name": "epochs", "type": "int"},
    "metric": {"name": "loss", "optimization": "minimize"},
    "params": {"x": {"kind": "uniform", "value": [0, 1]}},
}
INPUTS = [{"name": "x", "type": "float"}, {"name": "epochs", "type": "int", "value": 1}]
LOSS = [{"name": "loss", "type": "float"}]


def search(matrix: Any, outputs: Any = ()) -> dict[str, Any]:
    component = {**JOB["component"], "inputs": INPUTS, "outputs": list(outputs)}
    return {"matrix": matrix, "component": component}


def dag(*operations: dict[str, Any], **run: Any) -> dict[str, Any]:
    return {"component": {"run": {"kind": "dag", "operations": list(operations), **run}}}


def compiled(spec: dict[str, Any]) -> CompiledOperation:
    return compile_operation(parse_operation(spec))


HUB = {"name": "a", "hubRef": "c:v2"}
LOGS = {"name": "a", "component": {**JOB["component"], "outputs": LOSS}}
SEARCH = {"name": "s", **search(HYPERBAND)}


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        (search(GRID), []),
        (search({**GRID, "earlyStopping": STOP}), ["matrix.earlyStopping[0].metric"]),
        (search({**GRID, "earlyStopping": STOP}, LOSS), []),
        (search(HYPERBAND), ["matrix.metric.name"]),
        (search(HYPERBAND, LOSS), []),
        (dag({"name": "a", **JOB}, earlyStopping=STOP), ["run.earlyStopping[0].metric"]),
        (dag({"name": "b", **JOB}, LOGS, earlyStopping=STOP), []),
        (dag(HUB, earlyStopping=STOP), []),
        (dag(SEARCH), ["run.operations[0].matrix.metric.name"]),
    ],
)
def test_a_metric_that_no_output_declares_is_noted(spec: dict[str, Any], paths: list[str]) -> None:
    notes = list(note_metrics(compiled(spec)))
    assert [note.partition(":")[0] for note in notes] == paths
    assert all("no output 'loss' is declared" in note for note in notes)


def test_the_note_has_the_name_that_was_probably_meant() -> None:
    outputs = [{"name": "losss", "type": "float"}]
    (note,) = note_metrics(compiled(search(HYPERBAND, outputs)))
    assert "did you mean 'losss'" in note


def test_components_of_the_hub_are_noted_once() -> None:
    inner = {"name": "inner", **dag({**HUB, "name": "b"})}
    (note,) = note_components(compiled(dag(HUB, inner, {**HUB, "name": "c", "hubRef": "d"})))
    assert note.startswith("not looked at here: c.v2, d of the hub")
    assert list(note_components(compiled(dag({"name": "a", **JOB})))) == []


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({}, None),
        ({"hubRef": "No Name"}, "hubRef"),
        ({"params": {"p": {"ref": "ops.b", "value": "outputs.a.b.c"}}}, "params.p.value"),
        ({"params": {"p": {"ref": "ops.b", "value": "outputs.any"}}}, None),
        (
            {"matrix": {**GRID, "params": {"x": {"kind": "range", "value": [0, 99999, 1]}}}},
            "matrix",
        ),
    ],
)
def test_an_operation_is_checked_without_its_component(more: Any, path: str | None) -> None:
    problems = check_in_hub({**HUB, **more})
    assert [one.path.startswith(path or "") for one in problems] == ([True] if path else [])
