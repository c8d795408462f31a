"""Validation of an operation without a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import operation

from opstrand.core.compiling.check import check_values
from opstrand.errors import SpecError


def test_all_that_is_wrong_with_the_values_is_reported_at_once() -> None:
    compiled = operation(
        {
            "n": "one",
            "p": {"ref": "ops.a.b", "value": "outputs.x"},
            "q": {"ref": "dag", "value": "globals.uid"},
            "t": "{{ nobody }}",
        },
        inputs=[
            {"name": "n", "type": "int"},
            {"name": "m", "type": "float64", "isOptional": True},
            {"name": "r", "type": "str"},
        ],
    )
    assert sorted((problem.path, problem.reason) for problem in check_values(compiled)) == [
        ("inputs.m.type", "InvalidSpec"),
        ("params.n", "ParamInvalid"),
        ("params.p.ref", "RefInvalid"),
        ("params.q.value", "MissingValue"),
        ("params.r", "ParamRequired"),
    ]


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("gt", "a"),
        ("ge", True),
        ("lt", [1]),
        ("le", {"a": 1}),
        ("minLength", True),
        ("maxItems", "1"),
        ("decimalPlaces", 1.5),
    ],
)
def test_a_rule_that_is_none_is_reported_although_no_value_is_there(rule: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        operation(inputs=[{"name": "x", "type": "any", "validation": {rule: value}}])
    assert caught.value.problems[0].path == f"component.inputs[0].validation.{rule}"
    assert "expected a " in str(caught.value)


def test_a_type_that_does_not_exist_is_reported_with_the_nearest() -> None:
    (problem,) = check_values(
        operation(inputs=[{"name": "x", "type": "flaot", "isOptional": True}])
    )
    assert "there is no type 'flaot' (did you mean 'float'?" in problem.message


def test_a_right_operation_has_nothing_wrong() -> None:
    assert (
        check_values(
            operation(
                {"p": {"ref": "ops.a", "value": "outputs.x"}, "x": 1},
                [{"name": "x", "type": "int"}],
            )
        )
        == []
    )


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("int", "1.5", "expected a whole number such as 3"),
        ("float", ".5", "expected a number such as 0.5"),
        ("bool", 2, "expected true or false"),
        ("list", "1,2", "expected a list, or its JSON text such as [1, 2]"),
        ("List[int]", "1,2", "expected a list, or its JSON text such as [1, 2]"),
        ("dict", "a=1", "expected a mapping, or its JSON text"),
        ("timedelta", "60", "such as PT60S"),
        ("path", 3, "expected a text"),
        ("auth", "a:b", "expected a mapping in the file"),
    ],
)
def test_a_wrong_value_says_what_its_type_takes(kind: str, value: Any, words: str) -> None:
    (problem,) = check_values(operation({"x": value}, inputs=[{"name": "x", "type": kind}]))
    assert f"cannot read {value!r} as {kind}" in problem.message
    assert words in problem.message


FLOAT = [{"name": "x", "type": "float"}]


@pytest.mark.parametrize(
    ("matrix", "path", "words"),
    [
        (
            {"kind": "mapping", "values": [{"x": 1}, {"x": "a"}]},
            "matrix.values[1].x",
            "cannot read 'a' as float",
        ),
        (
            {"kind": "grid", "params": {"x": {"kind": "choice", "value": [1, "a"]}}},
            "matrix.params.x.value[1]",
            "cannot read 'a' as float",
        ),
        (
            {
                "kind": "random",
                "numRuns": 1,
                "params": {"x": {"kind": "pchoice", "value": [["a", 0.5]]}},
            },
            "matrix.params.x.value[0]",
            "'a'",
        ),
        (
            {"kind": "grid", "params": {"x": {"kind": "geomspace", "value": "-1:1:3"}}},
            "matrix.params.x",
            "cross 0",
        ),
        (
            {"kind": "grid", "params": {"x": {"kind": "range", "value": "0:1:0.00001"}}},
            "matrix.params.x",
            "at most 10,000",
        ),
        (
            {
                "kind": "grid",
                "params": {
                    "x": {"kind": "linspace", "value": "0:1:200"},
                    "y": {"kind": "choice", "value": [*range(51)]},
                },
            },
            "matrix",
            "10,200 runs; at most 10,000",
        ),
    ],
)
def test_a_matrix_that_could_not_run_is_refused_before_it_does(
    matrix: dict[str, Any], path: str, words: str
) -> None:
    (problem,) = check_values(operation(inputs=FLOAT, matrix=matrix))
    assert problem.path == path
    assert words in problem.message


def test_what_of_a_matrix_cannot_be_known_yet_is_left_for_later() -> None:
    rows = {"kind": "mapping", "values": [{"x": "{{ y }}"}, {"x": None}, "{{ row }}"]}
    spaces = {
        "kind": "grid",
        "numRuns": 5,
        "params": {
            "x": {"kind": "choice", "value": "{{ xs }}"},
            "y": {"kind": "choice", "value": ["a"]},
        },
    }
    large = {
        "kind": "grid",
        "numRuns": 5,
        "params": {f"p{n}": {"kind": "choice", "value": [*range(100)]} for n in range(4)},
    }
    for matrix in (rows, spaces, large):
        assert (
            check_values(operation(inputs=[{**FLOAT[0], "isOptional": True}], matrix=matrix)) == []
        )


def test_strict_params_hold_for_a_matrix_too() -> None:
    matrix = {
        "kind": "grid",
        "params": {"x": {"kind": "choice", "value": [1]}, "y": {"kind": "choice", "value": [1]}},
    }
    (problem,) = check_values(operation(inputs=FLOAT, matrix=matrix, strictParams=True))
    assert (problem.reason, problem.path) == ("ParamUndeclared", "matrix.params.y")
