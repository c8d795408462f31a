"""What the kind path decides without a Docker: which Kubernetes a node has, whether its pulls
use the proxy, and which images it pulls.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.cluster.kind import (
    NODE_IMAGE,
    NODE_IMAGE_VARIABLE,
    PYTHON_IMAGES,
    REGISTRY,
    REGISTRY_IMAGE,
    of_hub,
    past_the_proxy,
)
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


def test_every_image_of_the_hub_is_pinned_by_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NODE_IMAGE_VARIABLE, raising=False)
    images = [NODE_IMAGE, REGISTRY_IMAGE, *PYTHON_IMAGES.values()]
    for image in images:
        assert re.fullmatch(r"[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}", image), image
        assert of_hub(image) == image
    dockerfile = Path(__file__).parents[3] / "Dockerfile"
    assert f"ARG BASE={PYTHON_IMAGES['trixie']}\n" in dockerfile.read_text()


def test_a_machine_with_images_of_its_own_has_them_behind_the_tags(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(NODE_IMAGE_VARIABLE, "localhost/node:1")
    assert of_hub(REGISTRY_IMAGE) == "registry:2"
    assert of_hub(PYTHON_IMAGES["bookworm"]) == "python:3.11-slim"
