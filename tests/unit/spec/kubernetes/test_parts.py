"""Kubernetes objects inside a polyaxonfile: typos, snake_case, lists in the places of lists;
templates are left alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opstrand.spec.kubernetes.parts import find_faults, known_keys

CHECKOUT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("kind", "value", "path", "words"),
    [
        (
            "Container",
            {"imagePullPolcy": "a"},
            ("imagePullPolcy",),
            "did you mean 'imagePullPolicy'?",
        ),
        ("Container", {"comand": ["a"]}, ("comand",), "did you mean 'command'?"),
        ("Container", {"working_dir": "a"}, ("working_dir",), "Kubernetes writes it 'workingDir'"),
        ("Container", {"env": [{"nam": "a"}]}, ("env", 0, "nam"), "did you mean 'name'?"),
        ("Container", {"env": {"A": "1"}}, ("env",), "expected a list, found a mapping (A)"),
        ("Container", {"command": {"a": "b"}}, ("command",), "expected a list, found a mapping"),
        ("Container", {"args": [["a"]]}, ("args", 0), "expected text, found a list of 1"),
        (
            "Container",
            {"resources": {"limts": {}}},
            ("resources", "limts"),
            "did you mean 'limits'?",
        ),
        ("Container", {"resources": "2"}, ("resources",), "expected a mapping"),
        (
            "Container",
            {"volumeMounts": [{"mount_path": "/a"}]},
            ("volumeMounts", 0, "mount_path"),
            "'mountPath'",
        ),
        (
            "Container",
            {"livenessProbe": {"httpGet": {"prt": 1}}},
            ("livenessProbe", "httpGet", "prt"),
            "did you mean 'port'?",
        ),
        ("Volume", {"emptydir": {}}, ("emptydir",), "did you mean 'emptyDir'?"),
        ("Volume", {"zzz": {}}, ("zzz",), "a Volume of Kubernetes"),
        (
            "Affinity",
            {"nodeAffinity": []},
            ("nodeAffinity",),
            "expected a mapping, found an empty list",
        ),
    ],
)
def test_a_wrong_shape_is_found_with_its_path(
    kind: str, value: Any, path: tuple[Any, ...], words: str
) -> None:
    ((where, _, message),) = find_faults(kind, value)
    assert where == path
    assert words in message


@pytest.mark.parametrize(
    "value",
    [
        {"image": "a", "command": ["a", 1, None, "{{ b }}"], "args": "{{ args }}"},
        {"image": "a", "command": "python a.py", "args": 5},
        {"{{ key }}": 1, "env": ["{{ entry }}"], "ports": [{"containerPort": "{{ port }}"}]},
        {"resources": {"limits": {"example.org/device": "{{ n }}", "cpu": 1}}},
        {"securityContext": None, "env": None},
        {"restartPolicyRules": [], "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}},
    ],
)
def test_what_kubernetes_or_a_template_may_make_of_it_is_left_alone(value: Any) -> None:
    assert list(find_faults("Container", value)) == []


def test_the_table_of_keys_is_what_the_schemas_give() -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "tests/support/kubernetes_keys.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {"image", "command", "env"} <= known_keys()["Container"].keys()
