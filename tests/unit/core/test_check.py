"""The judge without a cluster."""

from __future__ import annotations

from opstrand.core.compiling.check import check_values

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


def test_a_right_operation_has_nothing_wrong() -> None:
    assert check_values(operation({"p": {"ref": "ops.a", "value": "outputs.x"}, "x": 1}, [{"name": "x", "type": "int"}])) == []
