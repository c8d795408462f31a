"""A real API server accepts what manifests/ installs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import yaml

from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import CHECKOUT, run_kubectl

FILES = sorted(
    path
    for folder in ("base", "policies")
    for path in (CHECKOUT / "manifests" / folder).glob("*.yaml")
)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.name != "kustomization.yaml"],
    ids=lambda path: path.stem,
)
def test_it_is_taken(control_plane: ControlPlane, path: Path) -> None:
    run_kubectl(control_plane.kubeconfig, "create", "namespace", "opstrand", check=False)
    arguments = (
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "-n",
        "opstrand",
        "-f",
        str(path),
    )
    assert "serverside-applied" in run_kubectl(control_plane.kubeconfig, *arguments).stdout


RUN = """apiVersion: opstrand.dev/v1
kind: Operation
metadata: {generateName: run-}
spec: {component: {run: {kind: job, container: {image: a}}}, %s}
"""
#: Seconds until a new policy is in force.
PATIENCE = 60


def test_the_optional_policy_refuses_an_unknown_key_at_a_dry_run(
    control_plane: ControlPlane, namespace: str
) -> None:
    """It is bound to the namespace of this test alone: the API server is shared."""
    text = (CHECKOUT / "manifests/policies/known-keys.yaml").read_text()
    only_here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    policy, binding = yaml.safe_load_all(text)
    binding["spec"]["matchResources"] = only_here
    manifest = yaml.safe_dump_all([policy, binding])
    run_kubectl(control_plane.kubeconfig, "apply", "-f", "-", stdin=manifest)

    def preview(keys: str) -> tuple[int, str]:
        words = ("create", "-n", namespace, "--dry-run=server", "-f", "-")
        done = run_kubectl(control_plane.kubeconfig, *words, stdin=RUN % keys, check=False)
        return done.returncode, done.stderr

    try:
        deadline = time.monotonic() + PATIENCE
        while preview("termiantion: {}, presests: []")[0] == 0:
            assert time.monotonic() < deadline, "the policy is not in force"
            time.sleep(0.5)
        _, words = preview("termiantion: {}, presests: []")
        # The API server gives the keys in any order.
        assert re.search(
            r"unknown: (spec.presests, spec.termiantion|spec.termiantion, spec.presests); "
            "`kubectl explain operation.spec`",
            words,
        ), words
        assert preview("termination: {maxRetries: 1}") == (0, "")
    finally:
        run_kubectl(control_plane.kubeconfig, "delete", "-f", "-", stdin=manifest)
