"""A container's variables on a laptop: in a kubelet's order and by its rules, and none is silently
empty.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from opstrand.local.environment import build_environment, find_missing, list_taken

POD: dict[str, Any] = {
    "metadata": {
        "name": "echo-0",
        "namespace": "quick-start",
        "uid": "4f0c",
        "labels": {"team": "a", "example.org/b": "c"},
        "annotations": {"note": "$(A)"},
    },
    "spec": {"serviceAccountName": "runner"},
}
SECRET = {"secretKeyRef": {"name": "s", "key": "k"}}
CONFIG = {"configMapKeyRef": {"name": "c", "key": "k"}}


def build(
    env: list[dict[str, Any]], caller: Mapping[str, str] = {}, **container: Any
) -> dict[str, str]:
    return build_environment(POD, {"env": env, **container}, caller)


def missing(
    env: list[dict[str, Any]], caller: Mapping[str, str] = {}, **container: Any
) -> list[str]:
    return list(find_missing(POD, {"env": env, **container}, caller))


def test_each_value_is_expanded_over_those_before_it() -> None:
    env = build(
        [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)$(C)"},
            {"name": "C", "value": "3"},
            {
                "name": "NOTE",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['note']"}},
            },
            {"name": "OF_NOTE", "value": "<$(NOTE)>"},
            {"name": "EMPTY", "value": ""},
            {"name": "OF_EMPTY", "value": "<$(EMPTY)>"},
            {"name": "NOTHING"},
            {"name": "OF_CALLER", "value": "$(HOME)"},
        ],
        caller={"HOME": "/root"},
    )
    assert env == {
        "A": "1",
        "B": "1$(C)",
        "C": "3",
        "NOTE": "$(A)",
        "OF_NOTE": "<$(A)>",
        "EMPTY": "",
        "OF_EMPTY": "<>",
        "NOTHING": "",
        "OF_CALLER": "$(HOME)",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "echo-0"),
        ("metadata.namespace", "quick-start"),
        ("metadata.uid", "4f0c"),
        ("metadata.labels['team']", "a"),
        ("metadata.labels['example.org/b']", "c"),
        ("metadata.labels['other']", ""),
        ("spec.nodeName", "local"),
        ("spec.serviceAccountName", "runner"),
        ("status.podIP", "127.0.0.1"),
        ("status.hostIPs", "127.0.0.1"),
    ],
)
def test_fields(path: str, value: str) -> None:
    env = [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    assert missing(env) == []
    assert build(env) == {"X": value}


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", None, "2"),
        ("limits.cpu", "1m", "1500"),
        ("requests.cpu", None, "1"),
        ("requests.cpu", "1m", "250"),
        ("limits.memory", None, str(2**30)),
        ("limits.memory", "1Mi", "1024"),
        ("limits.memory", "1G", "2"),
        ("requests.memory", "1Mi", "1024"),
        ("requests.ephemeral-storage", None, "0"),
        ("limits.ephemeral-storage", "1E", "1"),
    ],
)
def test_resources_are_whole_units_rounded_up(
    resource: str, divisor: str | None, value: str
) -> None:
    source = {"resource": resource, **({"divisor": divisor} if divisor else {})}
    env = [{"name": "X", "valueFrom": {"resourceFieldRef": source}}]
    resources = {"limits": {"cpu": "1500m", "memory": "1Gi"}, "requests": {"cpu": "250m"}}
    assert missing(env, resources=resources) == []
    assert build(env, resources=resources) == {"X": value}


def test_a_limit_that_is_not_given_is_the_machines() -> None:
    env = [
        {
            "name": "X",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "containerName": "main"}},
        }
    ]
    assert build(env) == {"X": str(os.cpu_count())}


@pytest.mark.parametrize("source", [SECRET, CONFIG])
def test_a_clusters_key_is_the_callers_variable_or_refused_by_name(source: dict[str, Any]) -> None:
    env = [
        {"name": "TOKEN", "valueFrom": source},
        {"name": "URL", "value": "http://x?token=$(TOKEN)"},
    ]
    (words,) = missing(env)
    assert "run.container.env: TOKEN is the key 'k' of the" in words
    assert "set TOKEN in the environment of --local" in words
    assert missing(env, {"TOKEN": "$(HOME)"}) == []
    assert list_taken({"env": env}, {"TOKEN": "t", "URL": "u"}) == ["TOKEN"]
    assert build(env, {"TOKEN": "$(HOME)"}) == {"TOKEN": "$(HOME)", "URL": "http://x?token=$(HOME)"}


def test_an_optional_key_that_is_not_there_is_no_variable() -> None:
    optional = {"secretKeyRef": {**SECRET["secretKeyRef"], "optional": True}}
    env = [{"name": "TOKEN", "valueFrom": optional}, {"name": "URL", "value": "$(TOKEN)"}]
    assert missing(env) == []
    assert build(env) == {"URL": "$(TOKEN)"}


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (
            {"envFrom": [{"secretRef": {"name": "s"}}]},
            "run.container.envFrom: the variables of the Secret 's' need a cluster",
        ),
        (
            {"envFrom": [{"prefix": "A_", "configMapRef": {"name": "c"}}]},
            "the variables of the ConfigMap 'c' need a cluster",
        ),
        ({"envFrom": [{"somethingNew": {"name": "c"}}]}, "somethingNew needs a cluster"),
        (
            {"env": [{"name": "X", "valueFrom": {"fileKeyRef": {"path": "a"}}}]},
            "X is a fileKeyRef, which needs a cluster",
        ),
        (
            {"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]},
            "X asks for 'spec.x'",
        ),
        (
            {
                "env": [
                    {
                        "name": "X",
                        "valueFrom": {"resourceFieldRef": {"resource": "limits.nvidia.com/gpu"}},
                    }
                ]
            },
            "X asks for 'limits.nvidia",
        ),
        (
            {
                "env": [
                    {
                        "name": "X",
                        "valueFrom": {
                            "resourceFieldRef": {"resource": "limits.cpu", "containerName": "db"}
                        },
                    }
                ]
            },
            "X asks for a resource of 'db'",
        ),
    ],
)
def test_what_cannot_be_had_is_refused(container: dict[str, Any], words: str) -> None:
    (found,) = find_missing(POD, container, {"X": "x"})
    assert words in found


def test_an_optional_set_is_empty() -> None:
    assert missing([], envFrom=[{"secretRef": {"name": "s", "optional": True}}]) == []
