"""What `opstrand check` and the API report of an operation before it exists: everything at once,
and as early as it can be known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.builders import ME, operation, values

from opstrand.controller.template_worker import Sandbox
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.planning.plan import compile_plan
from opstrand.core.validate import validate_compiled
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation

UP = {"value": "outputs.x", "ref": "ops.up"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def places(sandbox: Sandbox, *, complete: bool = True, **fields: Any) -> list[str]:
    problems, _ = validate_compiled(
        operation(**fields), evaluate=sandbox.evaluate, complete=complete
    )
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
        {
            "params": {"a": UP, "b": "{{ a }}"},
            "queue": "{{ b }}",
            "termination": {"timeout": "{{ b }}"},
        },
        {"inputs": [{"name": "a", "type": "int"}], "complete": False},
        {"joins": [{"query": "status: succeeded", "params": {"a": {"value": "outputs.x"}}}]},
        {"plugins": {"shm": "{{ 1 == 1 }}"}},
    ],
)
def test_what_is_wrong_with_a_pod_is_reported_although_values_are_missing(
    sandbox: Sandbox, fields: dict[str, Any]
) -> None:
    assert set(places(sandbox, run=BAD_RUN, **fields)) == BAD_PLACES


def test_what_a_template_will_give_is_not_validated_before(sandbox: Sandbox) -> None:
    run = {
        "connections": ["{{ a }}"],
        "environment": {"restartPolicy": "{{ a }}", "labels": {"{{ a }}": "b", "c": "{{ a }}"}},
        "init": [
            {
                "file": {"content": "a", "filename": "{{ a }}", "chmod": "{{ a }}"},
                "path": "{{ a }}",
            },
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


def test_an_unknown_name_in_an_operations_own_fields_is_reported_before_there_are_values(
    sandbox: Sandbox,
) -> None:
    fields = {
        "conditions": "{{ nope }}",
        "termination": {"timeout": "{{ nope }}"},
        "queue": "{{ nope }}",
    }
    assert sorted(places(sandbox, params={"a": UP}, **fields)) == [
        "conditions",
        "queue",
        "termination.timeout",
    ]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"matrix": {"kind": "iterative", "maxIterations": 2}}, "matrix.kind"),
        ({"hooks": [{"hubRef": "slack", "presets": ["gpu"]}]}, "hooks[0].presets"),
        ({"build": {"hubRef": "kaniko"}}, "build"),
        ({"presets": ["gpu"]}, "presets"),
        ({"mount": ["./src:code"]}, "mount"),
        (
            {
                "run": {
                    "kind": "dag",
                    "operations": [{"name": "a", "hubRef": "b", "mount": ["a:b"]}],
                }
            },
            "run.operations[0].mount",
        ),
        ({"run": {"kind": "mpijob", "worker": {"container": {"image": "b"}}}}, "run.kind"),
    ],
)
def test_what_is_not_run_is_a_note_until_it_is_to_run(
    sandbox: Sandbox, fields: dict[str, Any], path: str
) -> None:
    component = {"run": {"kind": "job", "container": {"image": "busybox"}, **fields.pop("run", {})}}
    if component["run"]["kind"] != "job":
        del component["run"]["container"]
    compiled = compile_operation(parse_operation({"component": component, **fields}))
    problems, notes = validate_compiled(
        compiled, evaluate=sandbox.evaluate, complete=True, is_run=False
    )
    assert problems == []
    (note,) = (one for one in notes if "of the hub" not in one)
    assert "is checked, but not run by this version" in note
    (problem,), _ = validate_compiled(compiled, evaluate=sandbox.evaluate, complete=True)
    assert (problem.reason, problem.path) == ("NotSupported", path)


@pytest.mark.parametrize(
    "plugin",
    [
        {"ssh": True},
        {"tmux": True},
        {"sandbox": True},
    ],
)
def test_a_plugin_that_would_do_nothing_is_refused(
    sandbox: Sandbox, plugin: dict[str, Any]
) -> None:
    assert places(sandbox, plugins=plugin) == [f"plugins.{next(iter(plugin))}"]


@pytest.mark.parametrize("plugin", [{"ssh": True}, {"tmux": True}, {"sandbox": True}])
def test_a_plugin_of_another_version_is_a_note_until_it_is_to_run(
    sandbox: Sandbox, plugin: dict[str, Any]
) -> None:
    problems, (note,) = validate_compiled(
        operation(plugins=plugin), evaluate=sandbox.evaluate, complete=True, is_run=False
    )
    assert problems == []
    assert note.startswith(f"plugins.{next(iter(plugin))}: ")


def test_a_build_gives_the_image(sandbox: Sandbox) -> None:
    run = {"kind": "job", "container": {"command": ["a"], "image": None}}
    compiled = operation(
        component={"run": run},
        build={"hubRef": "kaniko", "params": {"destination": {"value": "app:v1"}}},
    )
    problems, (note,) = validate_compiled(
        compiled, evaluate=sandbox.evaluate, complete=True, is_run=False
    )
    assert problems == []
    assert note.startswith("a build is checked")


def test_what_changes_nothing_is_noted(sandbox: Sandbox) -> None:
    compiled = operation(cache={"ttl": 60}, dependencies=["a"], trigger="all_done")
    problems, notes = validate_compiled(compiled, evaluate=sandbox.evaluate, complete=True)
    assert problems == []
    assert [note.partition(":")[0] for note in notes] == [
        "cache.ttl",
        "dependencies",
        "trigger",
    ]


#: A `cache`, what has it, and the path of its problem or note; empty: there is none.
CACHES: list[tuple[dict[str, Any], str, str]] = [
    ({"disable": False, "ttl": 60, "io": ["x"], "sections": ["init"]}, "job", ""),
    ({"disable": False, "io": ["y"]}, "job", "cache.io[0]"),
    ({"io": ["x"]}, "dag", ""),
    ({"io": ["y"]}, "dag", "cache.io[0]"),
    ({"io": ["y"]}, "matrix", "cache.io[0]"),
    ({"io": ["x", "lr"], "ttl": 60}, "matrix", ""),
    ({"io": ["x"]}, "operation", ""),
    ({"io": ["y"]}, "operation", "run.operations[0].cache.io[0]"),
    ({"disable": False}, "service", "cache.disable"),
    ({"disable": True}, "service", ""),
    ({"disable": True}, "job", ""),
    ({"io": ["x"]}, "job", "cache.io"),
    ({"sections": ["init"]}, "job", "cache.sections"),
]


@pytest.mark.parametrize(("cache", "place", "path"), CACHES)
def test_a_cache_that_cannot_work_is_reported(
    sandbox: Sandbox, cache: dict[str, Any], place: str, path: str
) -> None:
    kind = "service" if place == "service" else "job"
    run = {"kind": kind, "container": {"image": "a"}, "ports": [80]}
    if kind == "job":
        run.pop("ports")
    component = {"inputs": [{"name": "x", "value": 1}], "run": run}
    spec: dict[str, Any] = {"component": component, "cache": cache}
    if place == "matrix":
        spec["matrix"] = {"kind": "mapping", "values": [{"lr": 1}]}
    if place in ("dag", "operation"):
        inner = {"name": "a", "component": component}
        other = {"component": {"run": {"kind": "job", "container": {"image": "a"}}}, "name": "b"}
        inner |= {"cache": cache} if place == "operation" else {}
        spec = {"component": {"run": {"kind": "dag", "operations": [inner, other]}}}
        spec |= {"cache": cache} if place == "dag" else {}
    try:
        compiled = compile_operation(parse_operation(spec))
        problems, notes = validate_compiled(compiled, evaluate=sandbox.evaluate, complete=True)
    except SpecError as error:
        problems, notes = [*error.problems], []
    found = [*(one.path for one in problems), *(note.partition(":")[0] for note in notes)]
    assert found == ([path] if path else [])


def test_a_section_that_a_template_makes_is_what_runs_and_is_validated(sandbox: Sandbox) -> None:
    fields = {"params": {"x": {"maxRetries": 2, "ttl": 5}}, "termination": "{{ x }}"}
    compiled = operation(**fields)
    assert validate_compiled(compiled, evaluate=sandbox.evaluate, complete=True) == ([], [])
    assert compile_plan(compiled, values(compiled), ME).termination == {"maxRetries": 2, "ttl": 5}
    assert places(sandbox, **{**fields, "params": {"x": {"maxRetry": 2}}}) == [
        "termination.maxRetry"
    ]
    assert places(sandbox, plugins="{{ x }}", params={"x": {"shn": False}}) == ["plugins.shn"]
    assert places(sandbox, run={"environment": "{{ x }}"}, params={"x": {"label": {}}}) == [
        "run.environment.label"
    ]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"joins": "{{ x }}"}, "joins"),
        ({"joins": [{"query": "name: a", "params": "{{ x }}"}]}, "joins[0].params"),
        ({"run": {"init": [{"artifacts": "{{ x }}"}]}}, "run.init[0].artifacts"),
        ({"run": {"init": [{"container": "{{ x }}"}]}}, "run.init[0].container"),
        (
            {"run": {"init": [{"file": {"content": "a", "filename": "{{ globals }}"}}]}},
            "run.init[0].file.filename",
        ),
        (
            {"run": {"init": [{"git": {"url": "https://git.test/a", "flags": "{{ x }}"}}]}},
            "run.init[0].git.flags",
        ),
        ({"plugins": {"sidecar": "{{ x }}"}}, "plugins.sidecar"),
        ({"run": {"environment": {"nodeSelector": "{{ x }}"}}}, "run.environment.nodeSelector"),
    ],
)
def test_a_template_where_none_can_stand_is_an_error_and_no_bug(
    sandbox: Sandbox, fields: dict[str, Any], path: str
) -> None:
    assert path in places(sandbox, params={"x": "a"}, **fields)


def test_a_number_can_name_a_file(sandbox: Sandbox) -> None:
    fields = {
        "params": {"x": 3},
        "run": {"init": [{"file": {"content": "a", "filename": "{{ x }}"}}]},
    }
    assert places(sandbox, **fields) == []
    compiled = operation(**fields)
    assert compile_plan(compiled, values(compiled), ME).init[0]["file"]["filename"] == "3"


@pytest.mark.parametrize("digit", ["0", "a", "f"])
def test_no_run_that_another_refers_to_is_the_one_that_is_validated(
    sandbox: Sandbox, digit: str
) -> None:
    assert places(sandbox, params={"a": {"ref": f"runs.{digit * 32}", "value": "outputs.x"}}) == []


@pytest.mark.parametrize(
    ("io", "path"),
    [
        ({}, "params.a"),
        ({"type": "float"}, "params.a"),
        ({"type": "path"}, "params.a"),
        ({"type": "artifacts"}, None),
    ],
)
def test_what_no_init_step_can_fetch_is_reported_before_there_is_a_value(
    sandbox: Sandbox, io: dict[str, Any], path: str | None
) -> None:
    inputs = [{"name": "a", **io}] if io else []
    assert places(sandbox, params={"a": {**UP, "toInit": True}}, inputs=inputs) == (
        [path] if path else []
    )


def test_a_joins_search_is_validated_before_anything_is_searched(sandbox: Sandbox) -> None:
    good = {
        "query": "status: succeeded, metrics.loss: <{{ t }}",
        "params": {"q": {"value": "outputs.loss"}},
    }
    assert places(sandbox, params={"t": 0.5}, joins=[good]) == []
    bad = {
        "query": "statsu: a, metrics.loss: <b",
        "sort": "-lss",
        "limit": -1,
        "offset": -2,
        "params": {"q": {"value": "loss"}},
    }
    other = {"query": "metrics.loss: <{{ tt }}", "params": {"r": {"value": "outputs.loss"}}}
    found = places(sandbox, joins=[bad, other], params={"t": 0.5})
    assert found == [
        *(f"joins[0].{part}" for part in ("query", "sort", "limit", "offset", "params.q.value")),
        "joins[1].query",
    ]
    assert places(sandbox, joins=[good, other], params={"t": 0.5}) == ["joins[1].query"]


def test_what_a_matrix_gives_is_known_to_templates_and_all_else_is_validated(
    sandbox: Sandbox,
) -> None:
    container = {
        "image": "b",
        "args": ["{{ x }}", "{{ y }}", "{{ z }}"],
        "ports": [{"containerPort": "http"}],
    }
    matrix = {"kind": "mapping", "values": [{"x": 1}, {"y": 2}]}
    problems, _ = validate_compiled(
        operation(matrix=matrix, container=container),
        evaluate=sandbox.evaluate,
        complete=False,
        is_run=False,
    )
    assert [one.path for one in problems] == [
        "run.container.args[2]",
        "run.container.ports[0].containerPort",
    ]


def test_the_first_run_of_a_matrix_is_validated_as_a_run(sandbox: Sandbox) -> None:
    container = {"image": "b", "args": ["{{ x.y }}"], "ports": [{"containerPort": 70000}]}
    matrix = {
        "kind": "random",
        "numRuns": 9000,
        "params": {"x": {"kind": "uniform", "value": [1, 2]}},
    }
    problems, _ = validate_compiled(
        operation(matrix=matrix, container=container), evaluate=sandbox.evaluate, complete=True
    )
    assert problems[0].path == "run.container.args[0]"
    assert "has no part 'y'" in problems[0].message


def test_every_operation_of_a_pipeline_is_validated_as_a_run(sandbox: Sandbox) -> None:
    def job(**container: Any) -> dict[str, Any]:
        return {"run": {"kind": "job", "container": {"image": "b", **container}}}

    inner = {
        "run": {
            "kind": "dag",
            "operations": [{"name": "deep", "component": job(args=["{{ nobody }}"])}],
        }
    }
    operations = [
        {"name": "a", "component": {**job(), "outputs": [{"name": "x", "type": "int"}]}},
        {
            "name": "b",
            "params": {"p": {"ref": "ops.a", "value": "outputs.x"}},
            "component": job(args=["{{ p }}", "{{ q }}"]),
        },
        {
            "name": "c",
            "termination": {"timeout": -1},
            "component": job(ports=[{"containerPort": "http"}]),
        },
        {
            "name": "d",
            "params": {"u": {"ref": "dag", "value": "globals.uuid"}},
            "component": job(args=["{{ u }}"]),
        },
        {"name": "e", "component": inner},
        {"name": "f", "hubRef": "later"},
    ]
    compiled = compile_operation(
        parse_operation({"component": {"run": {"kind": "dag", "operations": operations}}})
    )
    problems, _ = validate_compiled(
        compiled, evaluate=sandbox.evaluate, complete=False, is_run=False
    )
    assert [one.path for one in problems] == [
        "run.operations[1].run.container.args[1]",
        "run.operations[2].run.container.ports[0].containerPort",
        "run.operations[2].termination.timeout",
        "run.operations[4].run.operations[0].run.container.args[0]",
    ]


def test_an_unknown_name_in_a_value_is_reported_beside_a_wrong_value(sandbox: Sandbox) -> None:
    inputs = [{"name": "n", "type": "int"}, {"name": "d", "value": "{{ nothing }}"}]
    problems, _ = validate_compiled(
        operation({"n": "one", "t": "{{ nobody }}"}, inputs=inputs),
        evaluate=sandbox.evaluate,
        complete=True,
    )
    assert {one.path for one in problems} == {"params.n", "params.t", "inputs.d"}


def test_the_trial_of_a_schedule_has_a_time_to_read(sandbox: Sandbox) -> None:
    text = "{{ globals.schedule_at[:10] }}"
    component = {"run": {"kind": "job", "container": {"image": "busybox", "args": [text]}}}
    for schedule, expected in (({"kind": "cron", "cron": "@daily"}, []), (None, ["TemplateError"])):
        written = {"component": component, **({"schedule": schedule} if schedule else {})}
        problems, _ = validate_compiled(
            compile_operation(parse_operation(written)), evaluate=sandbox.evaluate, complete=True
        )
        assert [one.reason for one in problems] == expected
