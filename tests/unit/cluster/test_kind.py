"""What the kind path decides without a Docker: which Kubernetes a node has, and whether its pulls
use the proxy.
"""

from __future__ import annotations

import re

import pytest
from tests.cluster.kind import NODE_IMAGE, REGISTRY, past_the_proxy
from tests.cluster.programs import KUBERNETES


def test_the_node_has_the_minor_version_that_the_other_tests_run_on() -> None:
    found = re.fullmatch(r"kindest/node:v(\d+\.\d+)\.\d+@sha256:[0-9a-f]{64}", NODE_IMAGE)
    assert found is not None
    assert found[1] == KUBERNETES.rpartition(".")[0]


@pytest.mark.parametrize(
    ("given", "direct"),
    [
        ({}, REGISTRY),
        ({"NO_PROXY": "a.example"}, f"a.example,{REGISTRY}"),
        ({"no_proxy": "b.example,,c.example"}, f"b.example,c.example,{REGISTRY}"),
        ({"NO_PROXY": "a", "no_proxy": f"a,{REGISTRY}"}, f"a,{REGISTRY}"),
    ],
)
def test_a_proxy_never_stands_between_the_node_and_its_registry(
    given: dict[str, str], direct: str
) -> None:
    found = past_the_proxy({"HTTP_PROXY": "http://192.0.2.99:1", **given})
    assert found["HTTP_PROXY"] == "http://192.0.2.99:1"
    assert found["NO_PROXY"] == found["no_proxy"] == direct
