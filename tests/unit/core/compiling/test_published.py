"""The compiled operation that the API shows: which values are in which place.

`tests/conformance_client` reads it with the published client.
"""

from typing import Any

import pytest

from opstrand.core.compiling.published import compile_published
from opstrand.errors import SpecError

RUN = {"kind": "job", "container": {"image": "a", "args": ["{{ message }}"]}}
UPSTREAM = "0123456789abcdef0123456789abcdef"


def compiled(
    inputs: list[Any], params: dict[str, Any], status: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    spec = {"params": params, "component": {"inputs": inputs, "run": RUN}, **more}
    return compile_published({"spec": spec, "status": status or {}})


@pytest.mark.parametrize(
    ("declared", "param", "expected"),
    [
        ({"type": "str"}, {"value": "x"}, {"type": "str", "value": "x", "isOptional": True}),
        ({"type": "float"}, {"value": "1.5"}, {"type": "float", "value": 1.5, "isOptional": True}),
        (
            {"type": "int", "isList": True},
            {"value": [1]},
            {"type": "int", "isList": True, "value": [1], "isOptional": True},
        ),
        (
            {"type": "int", "value": 4, "isOptional": True},
            None,
            {"type": "int", "value": 4, "isOptional": True},
        ),
        (
            {"type": "int", "value": 4, "isOptional": True},
            {"value": 5},
            {"type": "int", "value": 5, "isOptional": True},
        ),
        ({"type": "int", "isOptional": True}, None, {"type": "int", "isOptional": True}),
        (
            {"type": "str"},
            {"value": "{{ globals.name }}"},
            {"type": "str", "value": "{{ globals.name }}", "isOptional": True},
        ),
        (
            {"type": "str"},
            {"value": "x", "toEnv": "A"},
            {"type": "str", "toEnv": "A", "value": "x", "isOptional": True},
        ),
        (
            {"type": "str", "is_optional": False, "to_env": "A"},
            {"value": "x"},
            {"type": "str", "toEnv": "A", "value": "x", "isOptional": True},
        ),
        ({"type": "float"}, {"ref": f"runs.{UPSTREAM}", "value": "outputs.a"}, {"type": "float"}),
    ],
)
def test_a_value_stands_at_its_declaration(
    declared: dict[str, Any], param: Any, expected: dict[str, Any]
) -> None:
    found = compiled([{"name": "a", **declared}], {} if param is None else {"a": param})
    assert found["inputs"] == [{"name": "a", **expected}]
    assert not {"params", "component"} & found.keys()
    assert (found["version"], found["kind"], found["run"]) == (1.1, "compiled_operation", RUN)


def test_a_value_without_a_declaration_is_a_context() -> None:
    found = compiled([], {"c": {"value": 3, "contextOnly": True, "toEnv": "C"}})
    assert found["contexts"] == [{"name": "c", "toEnv": "C", "value": 3, "isOptional": True}]


def test_a_frozen_value_wins_and_what_the_run_reports_does_not() -> None:
    status = {"inputs": {"a": 2, "b": 7}, "reportedInputs": {"a": 9}}
    params = {
        "a": {"ref": f"runs.{UPSTREAM}", "value": "outputs.a"},
        "b": {"value": "{{ a }}", "contextOnly": True},
    }
    found = compiled([{"name": "a", "type": "float"}], params, status)
    assert found["inputs"] == [{"name": "a", "type": "float", "value": 2.0, "isOptional": True}]
    assert found["contexts"] == [{"name": "b", "value": 7, "isOptional": True}]
    assert isinstance(found["inputs"][0]["value"], float)


def test_a_patch_is_applied_and_secrets_stay_names() -> None:
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    found = compiled(
        [],
        {},
        runPatch={"container": {"env": env, "resources": {"limits": {"cpu": 1}}}},
        tags=["t"],
    )
    assert found["run"]["container"] == {
        **RUN["container"],
        "env": env,
        "resources": {"limits": {"cpu": 1}},
    }  # type: ignore[dict-item]
    assert found["tags"] == ["t"]


def test_the_component_of_a_hub_is_the_frozen_one() -> None:
    body = {"spec": {"hubRef": "echo", "params": {"message": {"value": "x"}}}, "status": {}}
    with pytest.raises(SpecError, match="not known yet"):
        compile_published(body)
    component = {"inputs": [{"name": "message", "type": "str"}], "run": RUN}
    found = compile_published({**body, "status": {"component": component}})
    assert (found["run"], found["inputs"][0]["value"]) == (RUN, "x")
