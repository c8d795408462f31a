"""What `opstrand check` and the API say of an operation before it exists: all of it at once, and as early as it can be known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opstrand.core.judge import judge_compiled
from opstrand.sandbox import Sandbox

from .build import operation

UP = {"value": "outputs.x", "ref": "ops.up"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def places(sandbox: Sandbox, *, complete: bool = True, **fields: Any) -> list[str]:
    problems, _ = judge_compiled(operation(**fields), evaluate=sandbox.evaluate, complete=complete)
    return [one.path for one in problems]


BAD_RUN = {
    "environment": {"labels": {"a": "x y"}},
    "init": [{"tensorboard": {"port": 1}}, {"file": {"content": "a", "chmod": "rwx"}}],
    "sidecars": [{"name": "B", "image": "b"}],
    "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "big"}}],
    "container": {"image": "b", "resources": {"limits": {"cpu": "much"}}},
}
BAD_PLACES = {
    "run.environment.labels.a",
    "run.init[0].tensorboard",
    "run.init[1].file.chmod",
    "run.sidecars[0].name",
    "run.volumes[0].emptyDir.sizeLimit",
    "run.container.resources.limits.cpu",
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"params": {"a": UP}},
        {"params": {"a": UP, "b": "{{ a }}"}, "queue": "{{ b }}", "termination": {"timeout": "{{ b }}"}},
        {"inputs": [{"name": "a", "type": "int"}], "complete": False},
        {"joins": [{"query": "status: succeeded", "params": {"a": {"value": "outputs.x"}}}]},
        {"plugins": {"shm": "{{ 1 == 1 }}"}},
    ],
)
def test_what_is_wrong_with_a_pod_is_told_although_values_are_missing(sandbox: Sandbox, fields: dict[str, Any]) -> None:
    assert set(places(sandbox, run=BAD_RUN, **fields)) == BAD_PLACES


def test_what_a_template_will_give_is_not_judged_before(sandbox: Sandbox) -> None:
    run = {
        "connections": ["{{ a }}"],
        "environment": {"restartPolicy": "{{ a }}", "labels": {"{{ a }}": "b", "c": "{{ a }}"}},
        "init": [
            {"file": {"content": "a", "filename": "{{ a }}", "chmod": "{{ a }}"}, "path": "{{ a }}"},
            {"connection": "{{ a }}", "paths": ["{{ a }}"]},
            {"dockerfile": {"image": "{{ a }}"}},
        ],
        "sidecars": [{"image": "{{ a }}", "name": "{{ a }}"}],
        "volumes": "{{ a }}",
        "container": {
            "image": "{{ a }}",
            "resources": {"limits": {"cpu": "{{ a }}"}},
            "env": [{"name": "{{ a }}", "value": 1}],
            "ports": [{"containerPort": "{{ a }}"}],
            "volumeMounts": [{"name": "{{ a }}", "mountPath": "{{ a }}"}],
        },
    }
    assert places(sandbox, run=run, params={"a": UP}) == []


def test_every_template_that_cannot_be_rendered_is_named(sandbox: Sandbox) -> None:
    run = {
        "environment": {"labels": {"a": "{{ x | nope }}"}},
        "init": [{"file": {"content": "{{ x.y }}"}}],
        "container": {
            "image": "b",
            "args": ["{{ x }}", "{{ x + 'a' }}", "{{ x // 0 }}", "{% if %}"],
            "env": [{"name": "A", "value": "{{ params.q.value }}"}],
        },
    }
    assert sorted(places(sandbox, run=run, params={"x": 1})) == [
        "run.container.args[1]",
        "run.container.args[2]",
        "run.container.args[3]",
        "run.container.env[0].value",
        "run.environment.labels.a",
        "run.init[0].file.content",
    ]


def test_an_unknown_name_in_an_operations_own_fields_is_told_before_there_are_values(sandbox: Sandbox) -> None:
    fields = {"conditions": "{{ nope }}", "termination": {"timeout": "{{ nope }}"}, "queue": "{{ nope }}"}
    assert sorted(places(sandbox, params={"a": UP}, **fields)) == ["conditions", "queue", "termination.timeout"]
