"""What the operator lacks at its start, or loses later: one line says what is wrong, it exits, and
its Deployment starts it again.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import CHECKOUT, OPERATOR_USER, run_kubectl
from tests.support.crds import wait_for_crds
from tests.support.operator_process import OperatorProcess

CRDS = ("-f", str(CHECKOUT / "crds/operation.yaml"), "-f", str(CHECKOUT / "crds/component.yaml"))
RIGHTS = (
    "clusterrolebinding",
    "operator-of-the-tests",
    "--clusterrole=opstrand-operator",
    f"--user={OPERATOR_USER}",
)


@pytest.fixture(scope="module")
def bare_plane() -> Iterator[ControlPlane]:
    """Yield an API server without our CRDs."""
    with ControlPlane() as started:
        yield started


def install(plane: ControlPlane) -> None:
    run_kubectl(
        plane.kubeconfig,
        "apply",
        "--server-side",
        *CRDS,
        "-f",
        str(CHECKOUT / "manifests/base/rbac-operator.yaml"),
    )
    wait_for_crds(plane.kubeconfig)


def last_word(process: OperatorProcess, seconds: float = 60) -> str:
    """Return its last line before it exits with 5; no traceback of ours is allowed."""
    assert process.process is not None
    assert process.process.wait(seconds) == 5, process.read_log()
    told: list[dict[str, Any]] = [json.loads(line) for line in process.read_log().splitlines()]
    ours = [entry for entry in told if entry["logger"].startswith("opstrand")]
    assert not any("traceback" in entry for entry in ours), ours
    return str(ours[-1]["message"])


def test_what_only_a_person_can_fix_is_one_line(bare_plane: ControlPlane, tmp_path: Path) -> None:
    def start(kubeconfig: Path, **settings: object) -> str:
        process = OperatorProcess(kubeconfig, tmp_path / f"{time.monotonic_ns()}.log", **settings)
        process.start()
        return last_word(process)

    assert start(tmp_path / "nowhere").endswith(f"there is no kubeconfig at {tmp_path}/nowhere")
    assert (
        start(bare_plane.kubeconfig, concurrency="many")
        == "OPSTRAND_CONCURRENCY: expected a whole number, found 'many'"
    )
    assert (
        start(bare_plane.kubeconfig)
        == "the cluster knows no Operations or Components: apply crds/ first"
    )
    install(bare_plane)
    assert "cannot list resource" in start(bare_plane.user("nobody"))
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert "address already in use" in start(
            bare_plane.kubeconfig, health_port=taken.getsockname()[1]
        )


def test_definitions_that_are_taken_away_end_it_and_it_starts_when_they_are_back(
    bare_plane: ControlPlane, tmp_path: Path
) -> None:
    install(bare_plane)
    run_kubectl(bare_plane.kubeconfig, "create", *RIGHTS)
    process = OperatorProcess(bare_plane.user(OPERATOR_USER), tmp_path / "operator.log")
    process.start()
    process.wait_until_started()
    run_kubectl(bare_plane.kubeconfig, "delete", *CRDS)
    assert "404 page not found" in last_word(process)
    install(bare_plane)
    process.start()
    process.wait_until_started()
    assert process.stop() == 0
