"""The rules of hooks in a file, and what a status keeps of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import body

from opstrand.core import names
from opstrand.core.limits import HOOKS
from opstrand.core.pipelines.children import find_difference
from opstrand.core.pipelines.hooks import (
    Record,
    check_hooks,
    check_notifications,
    find_hook_edge,
    find_own_hooks,
    has_open_hooks,
    may_have_hooks,
    read_record,
    render_hook_run,
)

SLACK = {"hubRef": "slack"}


@pytest.mark.parametrize(
    ("hooks", "paths"),
    [
        ([SLACK, {"hubRef": "slack:v2", "trigger": "failed"}], []),
        (None, []),
        ("{{ hooks }}", ["hooks"]),
        ([{"hubRef": "{{ x }}"}], ["hooks[0].hubRef"]),
        ([SLACK, {"hubRef": "Not A Name"}], ["hooks[1].hubRef"]),
        ([{**SLACK, "presets": ["gpu"]}], ["hooks[0].presets"]),
        (
            [{**SLACK, "params": {"x": {"ref": "dag", "value": "inputs.x"}}}],
            ["hooks[0].params.x.ref"],
        ),
        ([{**SLACK, "params": {"x": {"ref": "ops.a", "value": "inputs.x"}}}], []),
        ([SLACK] * HOOKS, []),
        ([SLACK] * (HOOKS + 1), ["hooks"]),
    ],
)
def test_what_a_hook_cannot_be(hooks: Any, paths: list[str]) -> None:
    assert [one.path for one in check_hooks(hooks, "hooks", is_child=False)] == paths


def test_the_hook_of_an_operation_cannot_refer_to_a_sibling() -> None:
    hook = {**SLACK, "params": {"x": {"ref": "ops.a", "value": "outputs.x"}}}
    (problem,) = check_hooks([hook], "hooks", is_child=True)
    assert problem.path == "hooks[0].params.x.ref"
    assert "outside of the pipeline" in problem.message


@pytest.mark.parametrize(
    ("notifications", "paths"),
    [
        ([{"connections": ["a"]}, {"connections": ["a"], "trigger": "{{ x }}"}], []),
        ("{{ n }}", ["plugins.notifications"]),
        ([{"connections": ["a"], "trigger": "never"}], ["plugins.notifications[0].trigger"]),
        ([{"connections": ["a"] * HOOKS}], []),
        ([{"connections": ["a"] * HOOKS}, {"connections": ["b"]}], ["plugins.notifications"]),
    ],
)
def test_what_a_notification_cannot_be(notifications: Any, paths: list[str]) -> None:
    found = check_notifications({"notifications": notifications}, "plugins", None)
    assert [one.path for one in found] == paths


def test_hooks_and_notifications_are_bounded_together() -> None:
    plugins = {"notifications": [{"connections": ["a", "b"]}]}
    assert list(check_notifications(plugins, "plugins", [SLACK] * (HOOKS - 2))) == []
    (problem,) = check_notifications(plugins, "plugins", [SLACK] * (HOOKS - 1))
    assert (problem.reason, problem.path) == ("TooLarge", "plugins.notifications")
    assert "found 19 hooks and 2 connections" in problem.message


def test_a_component_that_hooks_itself_is_found_by_its_objects_name() -> None:
    hooks = [SLACK, {"hubRef": "slack:v2"}]
    assert [one.path for one in find_own_hooks(hooks, "slack")] == ["hooks[0].hubRef"]
    assert [one.path for one in find_own_hooks(hooks, "slack.v2")] == ["hooks[1].hubRef"]
    assert list(find_own_hooks("{{ x }}", "slack")) == []


@pytest.mark.parametrize(
    ("status", "is_open"),
    [
        ({"phase": "Succeeded", "hooks": {"states": "r."}}, True),
        ({"phase": "Succeeded", "hooks": {"states": "?"}}, True),
        ({"phase": "Succeeded", "hooks": {"states": "rkf"}}, False),
        ({"phase": "Running", "hooks": {"states": "."}}, False),
        ({"phase": "Succeeded", "hooks": "."}, False),
        ({"phase": "Succeeded"}, False),
        (None, False),
    ],
)
def test_hooks_are_open_once_the_run_is_over_until_each_has_its_letter(
    status: Any, is_open: bool
) -> None:
    assert has_open_hooks(status) is is_open


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"plugins": {"notifications": [{"connections": ["a"]}]}}, True),
        ({"plugins": {"notifications": []}}, False),
        ({"plugins": "{{ x }}"}, False),
        ({"plugins": {"notifications": ["slack"]}}, False),
        ({"plugins": {"notifications": [{"connections": 7}]}}, False),
        ({"plugins": {"notifications": ["slack", {"connections": ["a"]}]}}, True),
        ({"plugins": {"notifications": {"connections": ["a"]}}}, False),
        ({"hooks": "slack", "component": 7}, True),
        ({"hooks": [SLACK]}, True),
        ({"component": {"hooks": [SLACK]}}, True),
        ({"component": {"component": {"hooks": [SLACK]}}}, True),
        ({"component": {"run": {}}, "hooks": []}, False),
        ({"hubRef": "a"}, False),
        (None, False),
    ],
)
def test_a_written_hook_is_found_in_every_layer(spec: Any, expected: bool) -> None:
    assert may_have_hooks(spec) is expected


def test_a_record_survives_its_status() -> None:
    record = Record("..").with_letter(1, "f").with_problem(1, "InvalidSpec", "no")
    assert read_record({"hooks": record.as_dict()}) == record
    assert record.without_problem(1).as_dict() == {"states": ".f"}
    again = record.renewed()
    assert again.as_dict() == {"states": "..", "round": 1}
    assert read_record({"hooks": again.as_dict()}) == again
    assert record.with_problem(1, "TemplateError", "x").problems[0]["reason"] == "TemplateError"


def test_the_run_of_a_hook_is_owned_and_not_controlled() -> None:
    made = render_hook_run(body(), 0, SLACK)
    assert names.find_controller(made) is None
    assert names.find_hooked(made) is not None
    assert find_hook_edge(made) is not None
    assert find_hook_edge(body()) is None


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({}, None),
        ({"spec": {**SLACK, "params": {"x": {"value": 2}}}}, None),
        ({"spec": {"hubRef": "other"}}, "spec"),
        ({"spec": {**SLACK, "queue": "q"}}, "spec"),
        ({"ownerReferences": []}, "metadata.ownerReferences"),
        ({"labels": {}}, "metadata.ownerReferences"),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, "metadata.deletionTimestamp"),
    ],
)
def test_a_found_run_is_adopted_only_if_it_is_the_hooks(
    change: dict[str, Any], difference: str | None
) -> None:
    asked = render_hook_run(body(), 0, {**SLACK, "params": {"x": {"value": 1}}})
    spec = change.pop("spec", asked["spec"])
    found = {**asked, "metadata": {**asked["metadata"], **change}, "spec": spec}
    assert find_difference(found, asked) == difference
