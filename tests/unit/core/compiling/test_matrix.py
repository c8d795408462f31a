"""What the runs of a matrix share, and the operation of each of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.builders import ME, UP, upstream

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.compiling.matrix import (
    find_chosen,
    make_literal,
    make_operation,
    render_matrix,
    share,
)
from opstrand.core.operation import CompiledOperation
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.templates.evaluation import evaluate
from opstrand.core.templates.template import refuse, render_one
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation

GRID = {"kind": "grid", "params": {"lr": {"kind": "choice", "value": [0.1, 0.2]}}}
INPUTS = [
    {"name": "lr", "type": "float"},
    {"name": "acc", "type": "float", "isOptional": True},
    {"name": "folder", "type": "str", "value": "runs/{{ lr }}"},
    {"name": "below", "type": "str", "value": "{{ folder }}/x"},
]


def written(**own: Any) -> dict[str, Any]:
    component = {"inputs": INPUTS, "run": {"kind": "job", "container": {"image": "busybox"}}}
    return {"matrix": GRID, "component": component, **own}


def compiled_of(spec: dict[str, Any]) -> CompiledOperation:
    return compile_operation(parse_operation(spec))


def resolved_of(compiled: CompiledOperation, **runs: Any) -> Resolved:
    found = resolve(compiled, ME, runs.get("upstreams", {}), evaluate=evaluate)
    assert isinstance(found, Resolved), found
    return found


def test_what_reads_a_value_of_the_matrix_is_not_shared() -> None:
    compiled = compiled_of(written(params={"note": {"value": "lr={{ params.lr.value }}"}}))
    assert find_chosen(compiled) == {"lr", "folder", "below", "note"}
    assert resolved_of(share(compiled)).inputs == {"acc": None}


def test_an_operation_without_a_matrix_is_shared_as_it_is() -> None:
    compiled = compiled_of({**written(params={"lr": 1.0}), "matrix": None})
    assert share(compiled) is compiled


def test_a_run_gets_its_params_as_literals_and_nothing_that_acts_for_all() -> None:
    spec = written(
        name="search",
        params={
            "acc": {"ref": "ops.prep", "value": "outputs.acc", "toEnv": "ACC"},
            "lr": {"value": 7, "toEnv": "LR"},
        },
        conditions="{{ acc }} > 0",
        isApproved=True,
        trigger="all_done",
        termination={"maxRetries": 2},
        cache={"disable": True},
        tags=["a"],
    )
    compiled = compiled_of(spec)
    resolved = resolved_of(share(compiled), upstreams={UP: upstream()})
    child = make_operation(spec, compiled, resolved, {"lr": 0.2})
    assert child == {
        "component": spec["component"],
        "termination": {"maxRetries": 2},
        "cache": {"disable": True},
        "tags": ["a"],
        "params": {
            "acc": {"value": 0.9, "toEnv": "ACC"},
            "lr": {"value": 0.2, "toEnv": "LR"},
        },
    }
    values = resolved_of(compiled_of(child)).inputs
    assert values == {"lr": 0.2, "acc": 0.9, "folder": "runs/0.2", "below": "runs/0.2/x"}


def test_a_component_of_the_hub_stands_in_each_run_as_it_was_frozen() -> None:
    component = {**written()["component"], "isApproved": True}
    spec = {"matrix": GRID, "hubRef": "train"}
    child = make_operation(spec, compiled_of(written()), Resolved({}, {}), {"lr": 0.1}, component)
    assert child == {"component": written()["component"], "params": {"lr": {"value": 0.1}}}


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "{{ lr }} and {% if %}",
        "{# note #}",
        "{% raw %}{{ x }}{% endraw %}",
        {"{{ key }}": ["{{ x }}", 1, None, True]},
        0.5,
    ],
)
def test_a_value_reaches_the_run_as_it_is(value: Any) -> None:
    component = {
        "inputs": [{"name": "x", "type": "any"}],
        "run": {"kind": "job", "container": {"image": "busybox"}},
    }
    child = {"component": component, "params": {"x": {"value": make_literal(value)}}}
    assert resolved_of(compiled_of(child)).inputs == {"x": value}


@given(st.text(alphabet="{}%#x '-\n\r", max_size=12))
def test_any_text_reaches_the_run_as_it_is(text: str) -> None:
    assert render_one(make_literal(text), {"x": 1}, "x", evaluate=refuse) == text


def test_templates_of_the_matrix_read_what_its_runs_share() -> None:
    matrix = {
        "kind": "random",
        "numRuns": 2,
        "seed": "{{ seed }}",
        "params": {"lr": {"kind": "choice", "value": "{{ rates }}"}},
    }
    component = {
        "inputs": [
            {"name": "lr", "type": "float"},
            {"name": "rates", "type": "float", "isList": True},
            {"name": "seed", "type": "int", "value": 3},
        ],
        "run": {"kind": "job", "container": {"image": "busybox"}},
    }
    spec = {"matrix": matrix, "component": component, "params": {"rates": [0.1, 0.3]}}
    compiled = compiled_of(spec)
    rendered = render_matrix(compiled, resolved_of(share(compiled)), ME, evaluate=refuse)
    assert rendered["seed"] == 3
    assert rendered["params"]["lr"]["value"] == [0.1, 0.3]


def test_a_matrix_that_is_none_after_rendering_is_refused_with_its_path() -> None:
    matrix = {"kind": "grid", "params": {"lr": {"kind": "choice", "value": "{{ note }}"}}}
    spec = {**written(params={"note": "text"}), "matrix": matrix}
    compiled = compiled_of(spec)
    with pytest.raises(SpecError) as caught:
        render_matrix(compiled, resolved_of(share(compiled)), ME, evaluate=refuse)
    assert caught.value.problems[0].path.startswith("matrix.params.lr")
