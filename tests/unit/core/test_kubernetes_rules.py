"""`check` refuses what Kubernetes refuses, at its path, and nothing else; tests/integration
compares with a real API server.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.kubernetes_pods import CASES, check_spec, find_problems

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.templates.template import refuse
from opstrand.core.validate import validate_compiled
from opstrand.spec.kubernetes.rules import find_broken_rules
from opstrand.spec.polyaxonfile import parse_operation


@pytest.mark.parametrize("case", CASES, ids=[json.dumps(case["run"])[:90] for case in CASES])
def test_a_pod_is_refused_at_its_path_or_not_at_all(case: dict[str, Any]) -> None:
    problems = find_problems(case["run"])
    assert [problem.partition(": ")[0] for problem in problems][:1] == (
        [case["refused"]] if case["refused"] else []
    )


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (
            {"container": {"image": "a", "imagePullPolicy": "always"}},
            "run.container.imagePullPolicy: expected one of Always, IfNotPresent, Never, found "
            "the text 'always'; did you mean 'Always'?",
        ),
        (
            {"container": {"image": "a", "resources": {"requests": {"nvidia.com/gpu": 1}}}},
            "run.container.resources.requests.nvidia.com/gpu: nvidia.com/gpu cannot be asked for "
            "without the same limit: "
            "write it in limits",
        ),
        (
            {
                "container": {
                    "image": "a",
                    "env": [
                        {
                            "name": "A",
                            "value": "1",
                            "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
                        }
                    ],
                }
            },
            "run.container.env[0].valueFrom: a variable has either value or valueFrom: remove one "
            "of them",
        ),
    ],
)
def test_a_message_says_what_to_do(run: dict[str, Any], problem: str) -> None:
    assert find_problems(run) == [problem]


def test_what_a_template_will_give_is_left_for_later_and_the_rest_is_checked() -> None:
    container = {
        "image": "{{ image }}",
        "imagePullPolicy": "{{ policy }}",
        "ports": [{"containerPort": "{{ port }}", "protocol": "tcp"}],
        "resources": {
            "limits": {"cpu": "{{ cpu }}"},
            "requests": {"cpu": 8, "nvidia.com/gpu": "{{ gpu }}"},
        },
    }
    names = ("image", "policy", "port", "cpu", "gpu")
    params = {
        name: {"ref": "ops.up", "value": f"outputs.{name}", "contextOnly": True} for name in names
    }
    first, second = check_spec(
        {"params": params, "component": {"run": {"kind": "job", "container": container}}}
    )
    assert first.startswith(
        "run.container.ports[0].protocol: expected one of SCTP, TCP, UDP, found the text 'tcp'"
    )
    assert second.startswith(
        "run.container.resources.requests.nvidia.com/gpu: nvidia.com/gpu cannot be asked for "
        "without the same limit"
    )


def test_a_rendered_value_is_checked_as_a_written_one() -> None:
    spec = {"params": {"p": {"value": "always", "contextOnly": True}}}
    run = {"kind": "job", "container": {"image": "a", "imagePullPolicy": "{{ p }}"}}
    (problem,) = check_spec({**spec, "component": {"run": run}})
    assert problem.startswith("run.container.imagePullPolicy: expected one of")


def test_an_image_to_be_filled_in_is_a_note_until_it_is_to_run() -> None:
    run = {"container": {"image": "DOCKER_IMAGE"}}
    (problem,) = find_problems(run)
    assert problem.startswith("run.container.image: DOCKER_IMAGE is no name of an image")
    compiled = compile_operation(parse_operation({"component": {"run": {"kind": "job", **run}}}))
    problems, (note,) = validate_compiled(compiled, evaluate=refuse, complete=False, is_run=False)
    assert (problems, note) == ([], problem)


@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        ("5", True),
        ("-5", True),
        ("0", True),
        ("x", False),
        ("05", False),
        ("1.5", False),
        (None, False),
    ],
)
def test_a_toleration_that_compares_has_a_whole_number(value: str | None, is_right: bool) -> None:
    found = list(find_broken_rules("Toleration", {"key": "a", "operator": "Gt", "value": value}))
    assert [path for path, _, _ in found] == ([] if is_right else [("value",)])
