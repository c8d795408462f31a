"""`check` and a real API server agree about every odd Pod, and the enumerations of `check` are that
server's own.
"""

from __future__ import annotations

import json
from pathlib import Path

from opstrand.errors import SpecError
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import run_kubectl
from tests.support.kubernetes_enums import TARGET, render
from tests.support.kubernetes_pods import CASES, render_unchecked


def test_the_enumerations_are_those_of_the_server(control_plane: ControlPlane) -> None:
    status, document = control_plane.get("/openapi/v3/api/v1")
    assert status == 200
    assert TARGET.read_text() == render(json.loads(document)), (
        f"{TARGET.name} is out of date: tests/support/kubernetes_enums.py writes it"
    )


def test_the_server_refuses_what_check_refuses_and_nothing_else(
    control_plane: ControlPlane,
) -> None:
    pods, unsent = {}, set()
    for number, case in enumerate(CASES):
        try:
            pods[f"odd-{number}"] = render_unchecked(case["run"], f"odd-{number}")
        except SpecError:
            unsent.add(f"odd-{number}")  # its shape cannot be sent
    accepted = create_dry(control_plane.kubeconfig, list(pods.values()))
    refused = {
        f"odd-{number}"
        for number, case in enumerate(CASES)
        if case["refused"] and "only" not in case
    }
    found = (pods.keys() - accepted) | unsent
    differing = {name: CASES[int(name.removeprefix("odd-"))] for name in found ^ refused}
    assert differing == {}
    assert len(accepted) > 100
    assert len(refused) > 200


def create_dry(kubeconfig: Path, pods: list[dict[str, object]]) -> set[str]:
    """Return the names of the Pods that the server would create."""
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    done = run_kubectl(
        kubeconfig,
        "create",
        "--dry-run=server",
        "--validate=false",
        "-o",
        "name",
        "-f",
        "-",
        stdin=manifest,
        check=False,
    )
    assert done.stdout, done.stderr
    return {line.removeprefix("pod/") for line in done.stdout.splitlines()}
