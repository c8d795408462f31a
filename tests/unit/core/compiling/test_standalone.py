"""A run of a pipeline outside of it: its refs are those of the runs that it read."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import body

from opstrand.core.compiling.standalone import stand_alone
from opstrand.errors import SpecError

OWNER = {
    "apiVersion": "opstrand.dev/v1",
    "kind": "Operation",
    "name": "p",
    "uid": "u",
    "controller": True,
}
UUID = "b" * 32
STATUS = {
    "inputs": {"lr": 0.5, "text": "{{ x }}", "data": None},
    "upstream": [{"uuid": UUID, "name": "prep", "values": {"loss": "outputs.loss"}}],
}


def child(params: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return body({"params": params, **spec}, STATUS, ownerReferences=[OWNER])


@pytest.mark.parametrize(
    ("name", "param", "expected"),
    [
        ("loss", {"ref": "ops.prep", "value": "outputs.loss"}, {"ref": f"runs.{UUID}"}),
        (
            "loss",
            {"ref": "ops.prep", "value": "outputs.loss", "contextOnly": True},
            {"ref": f"runs.{UUID}", "contextOnly": True},
        ),
        ("lr", {"ref": "dag", "value": "inputs.lr"}, {"value": 0.5}),
        ("data", {"ref": "dag", "value": "inputs.data"}, {"value": None}),
        ("text", {"ref": "dag", "value": "inputs.text"}, {"value": "{{ '{{' }} x }}"}),
        # A sibling without a run left no edge, but a value.
        ("lr", {"ref": "ops.skipped", "value": "globals.status"}, {"value": 0.5}),
        ("x", {"ref": f"runs.{UUID}", "value": "outputs.a"}, {"ref": f"runs.{UUID}"}),
        ("x", {"value": 1}, {"value": 1}),
        ("x", 1, 1),
    ],
)
def test_a_param_means_the_same_outside_of_the_pipeline(
    name: str, param: Any, expected: Any
) -> None:
    found = stand_alone(child({name: param}))["params"][name]
    kept = {"value": param["value"]} if isinstance(found, dict) and "ref" in found else {}
    assert found == ({**kept, **expected} if isinstance(expected, dict) else expected)


def test_what_says_when_it_starts_among_others_is_left_out() -> None:
    among = {"dependencies": ["a"], "trigger": "all_done", "skipOnUpstreamSkip": True}
    found = stand_alone(child({}, control={"stop": True}, termination={"timeout": 1}, **among))
    assert found.keys() == {"component", "params", "termination"}


def test_a_run_that_never_started_has_no_values_to_run_alone_with() -> None:
    made = child({"a": {"ref": "ops.prep", "value": "outputs.a"}, "b": {"ref": "dag"}})
    made["status"] = {}
    with pytest.raises(SpecError) as refused:
        stand_alone(made)
    assert [one.path for one in refused.value.problems] == ["params.a", "params.b"]
    assert "restart the pipeline" in str(refused.value)


def test_a_run_of_no_pipeline_and_one_of_a_schedule_stay_as_they_are() -> None:
    params = {"a": {"ref": "ops.prep", "value": "outputs.a"}}
    for metadata in (
        {},
        {
            "ownerReferences": [OWNER],
            "annotations": {"opstrand.dev/schedule-at": "2026-01-01T00:00:00Z"},
        },
    ):
        made = body({"params": params, "events": []}, **metadata)
        assert stand_alone(made) == made["spec"]
