"""A real API server accepts what manifests/ installs."""

from __future__ import annotations

from pathlib import Path

import pytest

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
