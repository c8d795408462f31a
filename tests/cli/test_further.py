"""`check` reports all mistakes of a file at once: none hides another, and none is reported that is
not there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cli.conftest import Cli

RIGHT = """kind: operation
tags: [a]
params:
  lr: 0.5
  steps: 3
termination: {timeout: 60}
component:
  inputs:
  - {name: lr, type: float}
  - {name: steps, type: int, validation: {ge: 1}}
  run:
    kind: job
    volumes: [{name: data, emptyDir: {}}]
    init: [{file: {content: a, filename: b}}]
    environment: {labels: {team: a}}
    container:
      image: busybox
      command: [echo, "{{ lr }}", "{{ steps }}"]
      volumeMounts: [{name: data, mountPath: /data}]
      env: [{name: LEVEL, value: info}]
"""
Change = tuple[tuple[str | int, ...], Any]
#: One mistake each: what is changed (None: the key is removed), and the path of the report.
MISTAKES: dict[str, tuple[list[Change], str]] = {
    "an unknown key": ([(("tagz",), ["a"])], "tagz"),
    "an unknown key, deep": (
        [(("component", "run", "container", "imagePullPolcy"), "Always")],
        "container.imagePullPolcy",
    ),
    "a misspelt image": (
        [
            (("component", "run", "container", "imge"), "b"),
            (("component", "run", "container", "image"), None),
        ],
        "imge",
    ),
    "a wrong type": ([(("termination", "maxRetries"), "many")], "termination.maxRetries"),
    "a rule that is none": (
        [(("component", "inputs", 1, "validation", "minimum"), 1)],
        "validation.minimum",
    ),
    "a volume without its name": (
        [(("component", "run", "volumes", 0), {"nme": "data", "emptyDir": {}})],
        "volumes[0].nme",
    ),
    "a wrong value": ([(("params", "lr"), "fast")], "params.lr"),
    "a value that breaks a rule": ([(("params", "steps"), 0)], "params.steps"),
    "a number out of range": ([(("termination", "timeout"), -1)], "termination.timeout"),
    "an unknown name": (
        [(("component", "run", "container", "args"), ["{{ nobody }}"])],
        "container.args[0]",
    ),
    "a port that is none": (
        [(("component", "run", "container", "ports"), [{"containerPort": "http"}])],
        "containerPort",
    ),
    "a label that is none": (
        [(("component", "run", "environment", "labels", "team"), "a b")],
        "labels.team",
    ),
    "a file without content": (
        [(("component", "run", "init", 0, "file"), {"filename": "b"})],
        "file.content",
    ),
}


def spoil(data: Any, changes: list[Change]) -> None:
    for (*above, last), value in changes:
        inner = data
        for step in above:
            inner = inner[step]
        if value is None:
            del inner[last]
        else:
            inner[last] = value


@pytest.fixture
def told(cli: Cli, tmp_path: Path) -> Callable[[Mapping[str, Any]], list[str]]:
    def check(data: Mapping[str, Any]) -> list[str]:
        (tmp_path / "file.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        (report,) = json.loads(cli("check", "file.yaml", "-o", "json").out)
        return [error["path"] for error in report["errors"]]

    return check


@pytest.mark.parametrize(
    "names",
    [(), *((name,) for name in MISTAKES), *combinations(MISTAKES, 2), tuple(MISTAKES)],
    ids=" and ".join,
)
def test_each_mistake_is_reported_once_whatever_else_is_wrong(
    told: Callable[[Mapping[str, Any]], list[str]], names: tuple[str, ...]
) -> None:
    data = yaml.safe_load(RIGHT)
    for name in names:
        spoil(data, MISTAKES[name][0])
    found = told(data)
    assert len(found) == len(names), found
    assert all(any(path.endswith(MISTAKES[name][1]) for path in found) for name in names), found


def test_what_only_follows_from_a_mistake_is_not_reported(
    told: Callable[[Mapping[str, Any]], list[str]],
) -> None:
    for section, wrong in {"inputs": "inpts", "run": "rnu"}.items():
        data = yaml.safe_load(RIGHT)
        data["component"][wrong] = data["component"].pop(section)
        assert told(data) == [f"component.{wrong}"]
    nameless = yaml.safe_load(RIGHT)
    nameless["component"]["inputs"][0] = {"nme": "lr", "type": "float"}
    assert set(told(nameless)) == {"component.inputs[0].nme", "component.inputs[0].name"}
    kindless = yaml.safe_load(RIGHT)
    del kindless["component"]["run"]["kind"]
    assert told(kindless) == ["component.run.kind"]


def test_mistakes_in_an_object_for_kubectl_come_at_once_too(cli: Cli, tmp_path: Path) -> None:
    spec = yaml.safe_load(RIGHT)
    for name in ("an unknown key", "a wrong value", "a port that is none"):
        spoil(spec, MISTAKES[name][0])
    body = {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    (tmp_path / "object.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
    lines = cli("check", "object.yaml").out.splitlines()
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "params.lr",
        "run.container.ports[0].containerPort",
        "tagz",
    ]
