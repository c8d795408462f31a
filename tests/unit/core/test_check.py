"""The judge without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.compiling.check import check_values
from opstrand.errors import SpecError

from .build import operation


def test_all_that_is_wrong_with_the_values_is_told_at_once() -> None:
    compiled = operation(
        {"n": "one", "p": {"ref": "ops.a.b", "value": "outputs.x"}, "q": {"ref": "dag", "value": "globals.uid"}, "t": "{{ nobody }}"},
        inputs=[{"name": "n", "type": "int"}, {"name": "m", "type": "float64", "isOptional": True}, {"name": "r", "type": "str"}],
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
    [("gt", "a"), ("ge", True), ("lt", [1]), ("le", {"a": 1}), ("minLength", True), ("maxItems", "1"), ("decimalPlaces", 1.5)],
)
def test_a_rule_that_is_none_is_told_although_no_value_is_there(rule: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        operation(inputs=[{"name": "x", "type": "any", "validation": {rule: value}}])
    assert caught.value.problems[0].path == f"component.inputs[0].validation.{rule}"
    assert "expected a " in str(caught.value)


def test_a_type_that_does_not_exist_is_told_with_the_nearest() -> None:
    (problem,) = check_values(operation(inputs=[{"name": "x", "type": "flaot", "isOptional": True}]))
    assert "there is no type 'flaot' (did you mean 'float'?" in problem.message


def test_a_right_operation_has_nothing_wrong() -> None:
    assert check_values(operation({"p": {"ref": "ops.a", "value": "outputs.x"}, "x": 1}, [{"name": "x", "type": "int"}])) == []
