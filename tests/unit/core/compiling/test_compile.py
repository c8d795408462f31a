"""A component and an operation are compiled into one: what the vectors of patch.json leave open."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.operation import CompiledOperation
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_component, parse_operation

JOB = {
    "kind": "job",
    "container": {
        "image": "busybox",
        "command": ["a"],
        "args": ["b"],
        "env": [{"name": "A", "value": "1"}],
    },
}
POD = {"container": {"image": "busybox"}}
TF: dict[str, Any] = {
    "kind": "tfjob",
    "chief": {"replicas": 1, **POD},
    "worker": {"replicas": 2, **POD},
}
RAY: dict[str, Any] = {
    "kind": "raycluster",
    "head": POD,
    "workers": {"small": {"replicas": 1, **POD}, "big": {"replicas": 9, **POD}},
}


def compile_written(written: dict[str, Any], **more: Any) -> CompiledOperation:
    return compile_operation(parse_operation(written), **more)


def refuse(written: dict[str, Any], **more: Any) -> tuple[str, str]:
    with pytest.raises(SpecError) as caught:
        compile_written(written, **more)
    return caught.value.reason, caught.value.problems[0].path


@pytest.mark.parametrize(
    ("written", "reason", "path"),
    [
        ({}, "InvalidSpec", "run"),
        ({"component": {}}, "InvalidSpec", "run"),
        ({"hubRef": "echo"}, "ComponentNotFound", "hubRef"),
        ({"pathRef": "./a.yaml"}, "NotSupported", "pathRef"),
        ({"urlRef": "https://example.org"}, "NotSupported", "urlRef"),
        ({"dagRef": "a"}, "InvalidSpec", "dagRef"),
        ({"component": {"hubRef": "a"}}, "ComponentNotFound", "component.hubRef"),
        ({"run": JOB, "template": {"enabled": True}}, "InvalidSpec", "template.enabled"),
        (
            {"component": {"run": JOB, "template": {"enabled": True}}},
            "InvalidSpec",
            "template.enabled",
        ),
        (
            {"runPatch": {"container": {}}, "component": {"kind": "component"}},
            "InvalidSpec",
            "runPatch",
        ),
        (
            {"component": {"run": JOB}, "runPatch": {"contaner": {}}},
            "UnknownField",
            "runPatch.contaner",
        ),
        (
            {"component": {"run": JOB, "runPatch": {"init": 1}}},
            "InvalidSpec",
            "component.runPatch.init",
        ),
        ({"run": JOB, "inputs": [{"name": "a"}, {"name": "a"}]}, "InvalidSpec", "inputs[1].name"),
        (
            {
                "build": {"hubRef": "k"},
                "run": {"kind": "dag", "operations": [{"name": "a", "run": JOB}]},
            },
            "InvalidSpec",
            "build",
        ),
    ],
)
def test_what_cannot_run_is_refused_with_its_path(
    written: dict[str, Any], reason: str, path: str
) -> None:
    assert refuse(written) == (reason, path)


def test_a_template_that_is_disabled_again_runs() -> None:
    assert (
        compile_written(
            {
                "template": {"enabled": False},
                "component": {"run": JOB, "template": {"enabled": True}},
            }
        ).kind
        == "job"
    )


def test_the_hubs_component_stands_below_the_operation() -> None:
    component = parse_component({"run": JOB, "tags": ["a"], "inputs": [{"name": "x"}]})
    compiled = compile_written(
        {"hubRef": "echo", "tags": "b", "params": {"x": 1}}, component=component
    )
    assert compiled.tags == ("a", "b")
    assert [io.name for io in compiled.inputs] == ["x"]
    assert compiled.params["x"].value == 1


def test_strictness_cannot_be_relaxed() -> None:
    assert compile_written(
        {"strictParams": False, "component": {"run": JOB, "strictParams": True}}
    ).strict_params


def test_nothing_that_was_given_is_changed() -> None:
    component = {"run": JOB, "termination": {"ttl": 1}}
    before = repr(component)
    compiled = compile_written(
        {
            "component": component,
            "termination": {"ttl": 2},
            "runPatch": {"container": {"args": ["c"]}},
        }
    )
    assert compiled.termination == {"ttl": 2}
    assert compiled.run["container"]["args"] == ["b", "c"]
    assert repr(component) == before


def test_a_components_own_shortcuts_and_patch_come_first() -> None:
    compiled = compile_written(
        {
            "component": {"run": JOB, "cmd": "x", "runPatch": {"connections": ["a"]}},
            "cmd": ["y", "z"],
        }
    )
    assert compiled.run["connections"] == ["a"]
    assert compiled.run["container"]["args"] == ["set -e\ny\nz"]


@pytest.mark.parametrize(
    ("strategy", "kept"),
    [("post_merge", False), ("replace", False), ("isnull", True), ("pre_merge", True)],
)
def test_a_command_is_taken_or_kept_whole(strategy: str, kept: bool) -> None:
    compiled = compile_written({"component": {"run": JOB}, "cmd": "x", "patchStrategy": strategy})
    container = compiled.run["container"]
    assert (container["command"], container["args"]) == (
        (["a"], ["b"]) if kept else (["/bin/sh", "-c"], ["set -e\nx"])
    )


@pytest.mark.parametrize(
    ("strategy", "values"),
    [
        ("post_merge", {"A": "2", "B": "3"}),
        ("replace", {"A": "2", "B": "3"}),
        ("isnull", {"A": "1"}),
        ("pre_merge", {"B": "3", "A": "1"}),
    ],
)
def test_variables_meet_by_name(strategy: str, values: dict[str, str]) -> None:
    compiled = compile_written(
        {"component": {"run": JOB}, "env": {"A": "2", "B": "3"}, "patchStrategy": strategy}
    )
    assert {entry["name"]: entry["value"] for entry in compiled.run["container"]["env"]} == values


@pytest.mark.parametrize(
    ("shortcut", "kind"),
    [
        ({"container": {"image": "a"}}, "job"),
        ({"cmd": "a"}, "job"),
        ({"ports": [80]}, "service"),
        ({"env": {}}, "job"),
    ],
)
def test_shortcuts_make_a_runtime_where_there_is_none(shortcut: dict[str, Any], kind: str) -> None:
    assert compile_written(shortcut).kind == kind


def test_resources_are_spread_into_requests_and_limits() -> None:
    compiled = compile_written(
        {"run": JOB, "resources": {"cpu": "1..2", "memory": "1Gi", "gpu": 1, "example.org/x": "2"}}
    )
    assert compiled.run["container"]["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": 1, "example.org/x": 2},
        "limits": {"cpu": "2", "nvidia.com/gpu": 1, "example.org/x": 2},
    }


def test_shortcuts_and_patches_reach_every_role_of_a_distributed_run() -> None:
    patch = {"container": {"args": ["x"]}}
    run = compile_written({"component": {"run": TF}, "env": {"A": "1"}, "runPatch": patch}).run
    for role in ("chief", "worker"):
        assert run[role]["container"] == {
            "image": "busybox",
            "env": [{"name": "A", "value": "1"}],
            "args": ["x"],
        }
    run = compile_written({"component": {"run": RAY}, "cmd": "y", "patchStrategy": "isnull"}).run
    assert [role["container"]["args"] for role in (run["head"], *run["workers"].values())] == [
        ["set -e\ny"]
    ] * 3
    assert run["workers"]["big"]["replicas"] == 9
    run = compile_written({"component": {"run": TF}, "runPatch": {"worker": {"replicas": 5}}}).run
    assert (run["chief"]["replicas"], run["worker"]["replicas"]) == (1, 5)


def test_a_template_in_place_of_a_container_is_left_alone() -> None:
    written = {
        "component": {"run": {"kind": "job", "container": "{{ c }}"}},
        "env": {"A": "1"},
        "patchStrategy": "pre_merge",
    }
    assert compile_written(written).run["container"] == "{{ c }}"


def test_another_kind_of_matrix_or_schedule_is_taken_whole() -> None:
    component = {"run": JOB, "schedule": {"kind": "cron", "cron": "@daily", "maxRuns": 3}}
    assert compile_written(
        {"component": component, "schedule": {"kind": "interval", "frequency": 5}}
    ).schedule == {
        "kind": "interval",
        "frequency": 5,
    }
    assert compile_written(
        {"component": component, "schedule": {"kind": "cron", "cron": "@hourly"}}
    ).schedule == {
        "kind": "cron",
        "cron": "@hourly",
        "maxRuns": 3,
    }


def test_a_preset_that_is_wrong_is_refused() -> None:
    assert refuse({"run": JOB}, presets=[{"termnation": {}}]) == ("UnknownField", "termnation")


def test_presets_reach_the_operation_only() -> None:
    compiled = compile_written(
        {"component": {"run": JOB, "tags": ["c"]}, "tags": ["o"]},
        presets=[{"tags": "p", "patchStrategy": "replace"}],
    )
    assert compiled.tags == ("c", "p")


def test_the_compiled_file_has_the_keys_of_the_format() -> None:
    compiled = compile_written(
        {
            "component": {"kind": "component", "run": JOB, "isApproved": False},
            "skipOnUpstreamSkip": True,
        }
    )
    assert compiled.as_dict() == {
        "version": 1.1,
        "kind": "compiled_operation",
        "isApproved": False,
        "skipOnUpstreamSkip": True,
        "run": JOB,
    }
    assert (compiled.is_approved, compiled.skip_on_upstream_skip) == (False, True)
