"""`opstrand get --explain`: every value of a run, with every run that it came from."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.cli.output.describe import describe_run, explain_values, show_explanation

JOIN = [{"query": "status: succeeded", "params": {"losses": {"value": "outputs.loss"}}}]
RUN = {"run": {"kind": "job", "container": {"image": "a"}}}


def joined(count: int) -> dict[str, Any]:
    edges = [
        {
            "uuid": f"{index:032x}",
            "name": f"trial-{index}",
            "kind": "join",
            "values": {"losses": "outputs.loss"},
        }
        for index in range(count)
    ]
    return {
        "spec": {"joins": JOIN, "component": RUN},
        "status": {"inputs": {"losses": [0.5] * count}, "upstream": edges},
    }


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_a_join_names_every_run_that_it_found(count: int) -> None:
    (value,) = explain_values(joined(count))
    assert value == {
        "name": "losses",
        "value": [0.5] * count,
        "source": "join",
        "detail": "outputs.loss",
        "runs": [f"{index:032x}" for index in range(count)],
    }
    last = show_explanation([value]).splitlines()[1].rpartition("outputs.loss")[2].strip()
    assert last.partition(":")[0] == ("1 run" if count == 1 else f"{count} runs")
    assert last.count("0" * 30) == (count if count < 4 else 0)


def test_a_join_that_did_not_search_yet_names_none() -> None:
    body = joined(0)
    assert explain_values({"spec": body["spec"], "status": {}}) == [
        {"name": "losses", "source": "join", "detail": "outputs.loss"}
    ]


def test_what_is_given_to_a_component_that_is_not_there_is_known() -> None:
    params = {"acc": {"ref": "ops.up", "value": "outputs.acc"}, "lr": 0.1}
    assert explain_values(
        {"spec": {"hubRef": "late:v1", "params": params}, "status": {"phase": "Waiting"}}
    ) == [
        {"name": "acc", "source": "ref", "detail": "ops.up outputs.acc"},
        {"name": "lr", "source": "literal", "detail": ""},
    ]


@pytest.mark.parametrize("text", ["{{ lr }}", "{% if lr %}yes{% endif %}"])
def test_a_value_that_a_template_makes_says_so(text: str) -> None:
    inputs = [
        {"name": "lr", "type": "float", "value": 0.1},
        {"name": "words", "type": "str", "isOptional": True, "value": text},
    ]
    assert explain_values({"spec": {"component": {"inputs": inputs, **RUN}}})[1] == {
        "name": "words",
        "source": "template",
        "detail": text,
    }


def test_a_template_deep_in_a_value_makes_it_one() -> None:
    (value,) = explain_values(
        {"spec": {"params": {"a": {"value": {"b": ["{{ globals.uuid }}"]}}}, "component": RUN}}
    )
    assert (value["source"], value["detail"]) == ("template", '{"b": ["{{ globals.uuid }}"]}')


def test_a_value_says_where_it_came_from() -> None:
    params = {"p": {"ref": "ops.prep", "value": "outputs.acc", "contextOnly": True}, "x": 3}
    inputs = [{"name": "x", "type": "int"}, {"name": "d", "type": "int", "value": 7}]
    found = explain_values({"spec": {"params": params, "component": {"inputs": inputs, **RUN}}})
    assert [(one["name"], one["source"], one["detail"]) for one in found] == [
        ("p", "ref", "ops.prep outputs.acc"),
        ("x", "literal", ""),
        ("d", "default", ""),
    ]


def test_who_waits_is_shown_with_whom_it_asks_as_they_are_now() -> None:
    def run(name: str, phase: str) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "namespace": "n", "uid": f"{name}{'0' * 31}"},
            "status": {"phase": phase, "message": "old"},
        }

    params = {
        "x": {"ref": "ops.a", "value": "outputs.x"},
        "y": {"ref": "ops.a", "value": "io"},
        "z": {"ref": f"runs.b{'0' * 31}", "value": "inputs"},
    }
    body = {
        **run("c", "Waiting"),
        "spec": {
            "params": {**params, "w": {"ref": "ops.gone", "value": "globals"}},
            "hubRef": "late",
        },
    }
    told = (
        describe_run(body, [run("a", "Running"), run("b", "Stopping"), body])
        .partition("asks:\n")[2]
        .splitlines()
    )
    assert [line.split() for line in told] == [
        ["RUN", "PHASE", "VALUES"],
        ["ops.a", "Running", "x", "=", "outputs.x,", "y", "=", "io"],
        [f"runs.b{'0' * 31}", "Stopping", "z", "=", "inputs"],
        ["ops.gone", "not", "there", "w", "=", "globals"],
    ]
    assert "asks:" not in describe_run({**body, "status": {"phase": "Failed"}}, [])


def test_what_a_program_reported_without_effect_is_noted() -> None:
    body = {
        "metadata": {"name": "a", "namespace": "n", "uid": "a" * 32},
        "spec": {},
        "status": {"phase": "Succeeded"},
    }
    assert "not kept" not in describe_run(body)
    body["status"]["conditions"] = [
        {
            "type": "ReportKept",
            "status": "False",
            "message": "outputs would be 300,000 bytes of JSON",
        }
    ]
    assert "not kept:  outputs would be 300,000 bytes of JSON" in describe_run(body)


def test_values_are_shown_in_their_declared_types_and_as_the_run_reported_them() -> None:
    """A cluster stores 1.0 as 1."""
    component = {"inputs": [{"name": "lr", "type": "float"}, {"name": "k", "type": "int"}], **RUN}
    params = {"lr": {"value": 1}, "k": {"value": 2}}
    body = {
        "spec": {"params": params, "component": component},
        "status": {"inputs": {"lr": 1, "k": 2}, "reportedInputs": {"k": 5}},
    }
    assert [repr(one["value"]) for one in explain_values(body)] == ["1.0", "5"]
