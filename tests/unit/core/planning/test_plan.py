"""The plan: the fields of a container after rendering, the order of init steps, variables,
conditions.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.builders import ME, UP, operation, upstream, values

from opstrand.core.limits import INIT_FILES
from opstrand.core.planning.containers import clean_container
from opstrand.core.planning.plan import Plan, compile_plan
from opstrand.core.resolving.resolve import Resolved, resolve, restore_value
from opstrand.errors import SpecError

CATALOG = {"repo": {"url": "https://git.example.com/a"}, "bucket": {"bucket": "s3://b"}}


def plan(params: Any = None, inputs: Any = (), run: Any = None, **own: Any) -> Plan:
    compiled = operation(params, inputs, run=run, **own)
    return compile_plan(compiled, values(compiled), ME, CATALOG)


def container(fields: dict[str, Any], params: Any = None, inputs: Any = ()) -> dict[str, Any]:
    return dict(plan(params, inputs, {"container": {"image": "busybox", **fields}}).container)


def refusal(fields: dict[str, Any], params: Any = None) -> str:
    with pytest.raises(SpecError) as caught:
        container(fields, params)
    return str(caught.value)


def test_a_template_error_has_the_path_of_its_item() -> None:
    assert refusal({"args": ["a", "b", "{{ mesage }}"]}, {"message": 1}) == (
        "run.container.args[2]: there is no 'mesage' (did you mean 'message'? it has: globals, "
        "params, message, connections, init)"
    )


def test_texts_where_kubernetes_wants_them() -> None:
    found = container(
        {
            "workingDir": "{{ n }}",
            "image": "{{ n }}",
            "resources": {"limits": {"cpu": "{{ n }}"}},
            "command": "{{ c }}",
        },
        {"n": 2, "c": ["a", None, ""]},
    )
    assert found == {
        "workingDir": "2",
        "image": "2",
        "resources": {"limits": {"cpu": "2"}},
        "command": ["a"],
    }


def test_a_template_that_gives_the_wrong_shape_is_refused() -> None:
    assert refusal({"args": "{{ x }}"}, {"x": {"value": {"a": 1}}}).startswith(
        "run.container.args: expected a list, found {'a': 1}"
    )
    assert refusal({"workingDir": "{{ x }}"}, {"x": [1]}).startswith(
        "run.container.workingDir: expected a text"
    )


@pytest.mark.parametrize(
    ("written", "rendered"),
    [
        ("python a.py", ["python a.py"]),
        ("{{ c }}", ["a b"]),
        ("", []),
        (5, ["5"]),
        ("{{ n }}", ["2"]),
    ],
)
def test_a_command_that_is_no_list_is_a_list_of_one_as_published(
    written: Any, rendered: list[str]
) -> None:
    found = container({"command": written, "args": written}, {"n": 2, "c": "a b"})
    assert (found["command"], found["args"]) == (rendered, rendered)


def test_env_has_one_entry_per_name_and_only_texts() -> None:
    env = [
        {"name": "A", "value": "old"},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "A", "value": "{{ x }}"},
    ]
    assert container({"env": env}, {"x": {"b": [1.0, None, True]}})["env"] == [
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "A", "value": '{"b":[1,null,true]}'},
    ]


def test_a_null_is_no_value_as_for_kubernetes() -> None:
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    env = [
        {"name": "A", "value": None},
        {"name": "B", "value": "{{ x }}", "valueFrom": None},
        {"name": "C", "value": None, "valueFrom": source},
        {"name": "D", "value": "a {{ x }}"},
    ]
    written = {"image": "a", "env": env, "args": [None, "b"], "workingDir": None}
    found = container(written, {"x": None})
    names = [
        {"name": "A"},
        {"name": "B"},
        {"name": "C", "valueFrom": source},
        {"name": "D", "value": "a None"},
    ]
    assert found["env"] == names
    assert (found["args"], found.get("workingDir")) == (["b"], None)
    assert clean_container({"args": [None, "b"], "env": env[:1]}, "x") == {
        "args": ["", "b"],
        "env": [{"name": "A"}],
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1}, '{"a":1}'),
        (0.5, "0.5"),
        (True, "true"),
        ("x", "x"),
        (1e-07, "1e-7"),
        ([], "[]"),
        (0, "0"),
    ],
)
def test_to_env_is_text(value: Any, text: str) -> None:
    assert plan({"x": {"value": value, "toEnv": "X"}}).to_env == {"X": text}


def test_to_env_of_what_has_no_value_is_null() -> None:
    assert plan(inputs=[{"name": "x", "type": "int", "isOptional": True, "toEnv": "X"}]).to_env == {
        "X": "null"
    }


def test_init_steps_run_params_first_then_built_in_ones_then_containers() -> None:
    init = [
        {"container": {"name": "own", "image": "i", "args": ["{{ n }}", 1]}},
        {"file": {"content": "x"}},
        {"git": {"url": "https://git.example.com/{{ n }}"}},
    ]
    found = plan(
        {"n": 3, "data": {"value": {"files": ["a"]}, "toInit": True}},
        [{"name": "data", "type": "artifacts"}],
        {"init": init},
    ).init
    assert found == (
        {"artifacts": {"files": ["a"]}},
        {"file": {"filename": "file", "content": "x"}},
        {"git": {"url": "https://git.example.com/3"}},
        {"container": {"name": "own", "image": "i", "args": ["3", "1"]}},
    )


@pytest.mark.parametrize(
    "content",
    [
        '{"a": 1}\n',
        "123",
        "$(VAR) $$ ${x}",
        "a\r\nb\n\n",
        "é\n",
        "",
        "{# no template #}\n",
        "%s {x}",
    ],
)
def test_a_file_is_written_byte_for_byte(content: str) -> None:
    (step,) = plan(run={"init": [{"file": {"content": content, "filename": "f"}}]}).init
    assert step["file"]["content"] == content


def test_a_file_keeps_its_line_ends_around_templates() -> None:
    (step,) = plan(
        {"x": 1}, run={"init": [{"file": {"content": "a {{ x }}\r\n{{ x }}\n", "filename": "f"}}]}
    ).init
    assert step["file"]["content"] == "a 1\r\n1\n"


def test_files_that_are_too_large_together_are_refused() -> None:
    half = {"file": {"content": "a" * (INIT_FILES // 2 + 1), "filename": "f"}}
    with pytest.raises(
        SpecError, match=r"run.init: the contents of all init files take 512.0 KiB"
    ) as caught:
        plan(run={"init": [half, half]})
    assert caught.value.reason == "TooLarge"


def test_connections_are_read_by_those_who_list_them() -> None:
    found = plan(
        run={
            "connections": ["repo"],
            "container": {"image": "i", "args": ["{{ connections.repo.url }}"]},
        }
    )
    assert found.connections == ("repo",)
    assert found.container["args"] == ["https://git.example.com/a"]
    with pytest.raises(
        SpecError, match=r"run.connections\[0\]: there is no connection 'rep' \(did you mean 'repo'"
    ):
        plan(run={"connections": ["rep"]})


def test_a_false_condition_renders_nothing_else() -> None:
    assert plan(conditions="{{ globals.is_independent }}").condition is True
    skipped = plan({"x": False}, run={"container": {"image": "{{ nope }}"}}, conditions="{{ x }}")
    assert (skipped.condition, skipped.container) == (False, {})


def test_the_plan_of_one_run_has_one_text() -> None:
    compiled = operation(
        {"x": 1.0, "f": 1},
        [{"name": "f", "type": "float"}],
        run={"container": {"image": "i", "args": ["{{ x }}", "{{ f }}"]}},
    )
    found = values(compiled)
    stored = json.loads('{"x": 1, "f": 1}')
    first = compile_plan(compiled, found, ME).as_json()
    assert first == compile_plan(compiled, restore_value(compiled, stored, {}), ME).as_json()
    assert json.loads(first)["container"]["args"] == ["1", "1.0"]
    assert json.loads(first)["uuid"] == ME.uuid


def test_a_services_own_fields_are_in_extra() -> None:
    found = plan({"p": 80}, run={"kind": "service", "ports": ["{{ p }}"], "rewritePath": True})
    assert found.kind == "service"
    assert found.extra == {"ports": [80], "rewritePath": True}


def test_files_of_another_run_are_copied_by_to_init() -> None:
    """The last value form of the references document, from the param to the init step."""
    param = {
        "ref": "ops.prep",
        "value": {"file": ["model.pt"], "dirs": [["data", "d"]]},
        "toInit": True,
    }
    compiled = operation({"model": param}, [{"name": "model", "type": "artifacts"}])
    found = resolve(compiled, ME, {UP: upstream()})
    assert isinstance(found, Resolved)
    place = "b" * 32
    assert compile_plan(compiled, found, ME).init == (
        {"artifacts": {"files": [f"{place}/model.pt"], "dirs": [[f"{place}/data", "d"]]}},
    )


def test_a_file_with_an_empty_name_has_the_default_one() -> None:
    made = plan(
        None,
        (),
        {"container": {"image": "a"}, "init": [{"file": {"content": "x", "filename": ""}}]},
    )
    assert made.init[0]["file"]["filename"] == "file"
