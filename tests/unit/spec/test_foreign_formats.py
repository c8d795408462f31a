"""Files of other tools: each is named in one error, with a component where one can be made."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from opstrand.errors import REASONS, Problem, SpecError
from opstrand.spec.document import parse_document
from opstrand.spec.polyaxonfile import parse_component, parse_polyaxonfile

POD = """
containers:
- name: main
  image: busybox
  command: [echo]
  args: [hello]
  env: [{name: A, value: b}]
  resources: {limits: {cpu: 1}}
  volumeMounts: [{name: a, mountPath: /a}]
- {name: second, image: other}
"""
CONTAINER = {
    "image": "busybox",
    "command": ["echo"],
    "args": ["hello"],
    "env": [{"name": "A", "value": "b"}],
    "resources": {"limits": {"cpu": 1}},
}
JOB = {"kind": "job", "container": CONTAINER}


def nest(*keys: str) -> dict[str, Any]:
    """Return an object whose Pod is below these keys."""
    spec: Any = yaml.safe_load(POD)
    for key in reversed(keys):
        spec = {key: spec}
    return {"metadata": {"name": "a"}, "spec": spec}


ARGO = """
metadata: {generateName: hello-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: my-text, value: hi}]}
  templates:
  - {name: other, container: {image: other}}
  - name: main
    inputs: {parameters: [{name: my-text}]}
    container: {image: busybox, command: [echo], args: ["{{inputs.parameters.my-text}}"]}
"""
TEKTON = """
metadata: {name: a}
spec:
  params: [{name: text, type: string, default: hi}]
  steps: [{name: a, image: busybox, script: echo $(params.text)}, {name: b, image: other}]
"""
COMPOSE = """
services:
  web: {image: nginx, command: serve 'a b', environment: [A=b, HOME], ports: ["8080:80"]}
  db: {image: postgres}
"""
GITHUB = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: make}]}}\n"
MLPROJECT = """
name: My Project
docker_env: {image: mlflow}
entry_points: {main: {parameters: {lr: {type: float, default: 1.5}}, command: "python a.py {lr}"}}
"""


def kubernetes(version: str, kind: str, text: str | dict[str, Any]) -> dict[str, Any]:
    data = yaml.safe_load(text) if isinstance(text, str) else text
    return {"apiVersion": version, "kind": kind, **data}


#: The file, its name in the message, what is left out, and `run` of the component (None: none).
FILES: dict[str, tuple[dict[str, Any], str, list[str], Any]] = {
    "Pod": (
        kubernetes("v1", "Pod", nest()),
        "a Kubernetes Pod",
        ["spec.containers[0].volumeMounts", "spec.containers[1]"],
        JOB,
    ),
    "Job": (
        kubernetes("batch/v1", "Job", nest("template", "spec")),
        "a Kubernetes Job",
        ["spec.template.spec.containers[1]"],
        JOB,
    ),
    "CronJob": (
        kubernetes("batch/v1", "CronJob", nest("jobTemplate", "spec", "template", "spec")),
        "a Kubernetes CronJob",
        ["spec.jobTemplate.spec.template.spec.containers[1]"],
        JOB,
    ),
    "Deployment": (
        kubernetes("apps/v1", "Deployment", nest("template", "spec")),
        "a Kubernetes Deployment",
        ["spec.template.spec.containers[1]"],
        {**JOB, "kind": "service"},
    ),
    "ConfigMap": (
        kubernetes("v1", "ConfigMap", {"data": {"a": "b"}}),
        "a Kubernetes ConfigMap",
        [],
        None,
    ),
    "Argo": (
        kubernetes("argoproj.io/v1alpha1", "Workflow", ARGO),
        "an Argo Workflow",
        ["spec.templates[0]"],
        {
            "kind": "job",
            "container": {"image": "busybox", "command": ["echo"], "args": ["{{ my_text }}"]},
        },
    ),
    "Tekton": (
        kubernetes("tekton.dev/v1", "Task", TEKTON),
        "a Tekton Task",
        ["spec.steps[1]"],
        {
            "kind": "job",
            "container": {
                "image": "busybox",
                "command": ["sh", "-c"],
                "args": ["echo {{ text }}"],
            },
        },
    ),
    "compose": (
        yaml.safe_load(COMPOSE),
        "a docker-compose file",
        ["services.web.environment[1]", "services.db"],
        {
            "kind": "service",
            "ports": [80],
            "container": {
                "image": "nginx",
                "args": ["serve", "a b"],
                "env": [{"name": "A", "value": "b"}],
            },
        },
    ),
    "GitHub": (parse_document(GITHUB).data, "a GitHub workflow", [], None),
    "MLproject": (
        yaml.safe_load(MLPROJECT),
        "an MLproject file",
        [],
        {
            "kind": "job",
            "container": {
                "image": "mlflow",
                "command": ["sh", "-c"],
                "args": ["python a.py {{ lr }}"],
            },
        },
    ),
}


def refuse(data: Any) -> Problem:
    with pytest.raises(SpecError) as caught:
        parse_polyaxonfile(data)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("case", FILES)
def test_the_file_is_named_in_one_error(case: str) -> None:
    data, name, left_out, _ = FILES[case]
    problem = refuse(data)
    assert problem.reason in REASONS
    assert problem.message.startswith(f"this is {name}, not a polyaxonfile")
    for path in left_out:
        assert path in problem.message


@pytest.mark.parametrize("case", FILES)
def test_the_component_has_what_the_file_has(case: str) -> None:
    data, _, _, run = FILES[case]
    suggestion = refuse(data).suggestion
    assert bool(suggestion) == (run is not None)
    if run is not None:
        component = yaml.safe_load(suggestion)
        assert component["run"] == run
        parse_component(component)


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "component", "apiVersion": "v1", "run": {}},
        {"kind": "Job", "run": {}},
        {"kind": "component", "services": 1},
        {"jobs": {"a": 1}},
        {"services": {"a": {}}},
    ],
)
def test_other_mistakes_are_not_mistaken_for_foreign_files(data: Any) -> None:
    with pytest.raises(SpecError) as caught:
        parse_polyaxonfile(data)
    assert all(problem.reason != "ForeignFormat" for problem in caught.value.problems)


@pytest.mark.parametrize("odd", [None, 1, "x", [], {}, [1], [[]], [{"name": 1}], {"a": [1]}])
@pytest.mark.parametrize("case", FILES)
def test_odd_values_in_a_foreign_file_are_no_bug(case: str, odd: Any) -> None:
    def walk(value: Any) -> Any:
        """Yield the value with each of its parts replaced."""
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in list(pairs):
            copy = dict(value) if isinstance(value, dict) else list(value)
            for new in [odd, *(walk(inner) if isinstance(inner, (dict, list)) else ())]:
                copy[key] = new
                yield copy

    for data in walk(FILES[case][0]):
        with pytest.raises(SpecError):
            parse_polyaxonfile(data)
