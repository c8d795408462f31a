"""A status that a user with the rights edited by hand, as far as a real API server stores it: the
operator repairs it, and the run comes to its end.

tests/unit/core/lifecycle/test_any_status.py tries any status without a cluster.
"""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, operation, pod_of, service, wait_for
from tests.support.command_line import run_opstrand
from tests.support.kubelet_stand_in import ended, mark, running
from tests.support.operator_process import OperatorProcess

STARTED = "2026-01-01T00:00:00Z"


async def edit(kube: KubeApi, namespace: str, **values: Any) -> None:
    """Edit as `kubectl edit --subresource=status` does; None removes a key."""
    body = await kube.get(OPERATIONS, namespace, "run")
    ops = [
        {"op": "remove", "path": f"/status/{key}"}
        if value is None
        else {"op": "add", "path": f"/status/{key}", "value": value}
        for key, value in values.items()
        if value is not None or key in body["status"]
    ]
    await kube.json_patch(OPERATIONS, namespace, "run", ops, subresource="status")


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    "edited",
    [
        {"pod": {"name": "../../x"}},
        {"pod": {"name": "../configmaps/kube-root-ca.crt"}},
        {"pod": {}},
        {"pod": None},
        {"service": {"name": "x"}},
        {"attempt": None},
        {"startedAt": None},
        {"history": [], "conditions": []},
        {"inputs": None, "outputs": None},
        {"uuid": None},
        {"kind": "service"},
    ],
    ids=lambda edited: "-".join(f"{key}:{value}" for key, value in edited.items()),
)
async def test_a_run_comes_to_its_end(
    kube: KubeApi, namespace: str, operator: OperatorProcess, edited: dict[str, Any]
) -> None:
    await kube.create(OPERATIONS, namespace, operation("run"))
    pod = await pod_of(
        kube, namespace, await wait_for(kube, namespace, "run", in_phase("Starting"))
    )
    await mark(kube, pod, running(STARTED))
    await wait_for(kube, namespace, "run", in_phase("Running"))
    await edit(kube, namespace, **edited)
    await mark(kube, pod, ended(0, STARTED))
    final = await wait_for(kube, namespace, "run", in_phase("Succeeded", "Failed"))
    assert final["status"]["phase"] == "Succeeded", final["status"]
    assert (final["status"].get("pod") or {}).get("name", pod["metadata"]["name"]) == pod[
        "metadata"
    ]["name"]
    assert "this is a bug" not in operator.read_log()


@pytest.mark.usefixtures("operator")
async def test_an_end_without_a_time_is_read_by_everything(
    kube: KubeApi, namespace: str, control_plane: ControlPlane, operator: OperatorProcess
) -> None:
    await kube.create(OPERATIONS, namespace, operation("run"))
    pod = await pod_of(
        kube, namespace, await wait_for(kube, namespace, "run", in_phase("Starting"))
    )
    await mark(kube, pod, ended(0, STARTED))
    await wait_for(kube, namespace, "run", in_phase("Succeeded"))
    await edit(
        kube, namespace, finishedAt=None, startedAt=None, duration=None, history=[], conditions=[]
    )
    env = {"KUBECONFIG": str(control_plane.kubeconfig), "OPSTRAND_PROJECT": namespace}
    for words in (
        ("get", "run"),
        ("ls", "-o", "wide"),
        ("get", "run", "--explain"),
        ("wait", "run"),
        ("lineage", "run"),
    ):
        ran = run_opstrand(*words, env=env)
        assert (ran.code, "Traceback" in ran.stderr) == (0, False), (words, ran)
    assert "this is a bug" not in operator.read_log()


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("edited", [{"name": "x"}, {}, {"name": "../../x", "host": "h"}])
async def test_a_service_is_made_whole_again(
    kube: KubeApi, namespace: str, operator: OperatorProcess, edited: dict[str, Any]
) -> None:
    made: Manifest = service("run")
    await kube.create(OPERATIONS, namespace, made)
    before = await wait_for(
        kube, namespace, "run", lambda body: "service" in (body.get("status") or {})
    )
    await edit(kube, namespace, service=edited)

    def is_whole(body: Manifest) -> bool:
        found = body["status"].get("service") or {}
        return all(found.get(key) == before["status"]["service"][key] for key in ("name", "host"))

    await wait_for(kube, namespace, "run", is_whole)
    assert "this is a bug" not in operator.read_log()
