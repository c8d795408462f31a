"""A run keeps the connections with which it started: what the owner changes in the catalog since is
for later runs.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import (
    OPERATOR_USER,
    in_phase,
    make_namespace,
    operation,
    pod_of,
    wait_for,
)
from tests.support.kubelet_stand_in import ended, mark
from tests.support.operator_process import OperatorProcess

_numbers = itertools.count(1)
CODE = {"name": "code", "kind": "git", "schema": {"url": "https://git.test/a"}}
STORE = {"name": "store", "kind": "volume_claim", "schema": {"volumeClaim": "a", "mountPath": "/s"}}
FIRST = {"artifactsStore": STORE, "connections": [{**CODE, "secret": {"name": "first"}}]}
RUN = {
    "connections": ["code"],
    "container": {"image": "busybox", "command": ["echo", "{{ connections.code.url }}"]},
}


def seen(pod: Manifest) -> dict[str, Any]:
    """Return the Pod's spec without what differs between attempts."""
    return {key: pod["spec"][key] for key in ("containers", "initContainers", "volumes")}


@pytest.mark.parametrize(
    "later",
    [{}, {"connections": [{**CODE, "schema": {"url": "x.test"}, "secret": {"name": "second"}}]}],
    ids=["emptied", "changed"],
)
async def test_a_later_attempt_has_the_connections_of_the_first(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path, later: dict[str, Any]
) -> None:
    namespace = await make_namespace(quiet_kube, f"catalog-{next(_numbers)}")
    catalog = tmp_path / "connections.yaml"
    catalog.write_text(json.dumps(FIRST))
    operator = OperatorProcess(
        quiet_plane.user(OPERATOR_USER),
        tmp_path / "operator.log",
        namespaces=namespace,
        connections=catalog,
        retry_backoff=0,
    )
    component = {"run": {"kind": "job", **RUN}}
    spec = {"component": component, "termination": {"maxRetries": 1}}
    operator.start()
    try:
        operator.wait_until_started()
        await quiet_kube.create(OPERATIONS, namespace, operation("run", spec))
        body = await wait_for(quiet_kube, namespace, "run", in_phase("Starting"))
        first = await pod_of(quiet_kube, namespace, body)
        operator.kill()
        catalog.write_text(json.dumps(later))
        await mark(quiet_kube, first, ended(1, "2026-01-01T00:00:00Z"))
        operator.start()
        operator.wait_until_started()
        body = await wait_for(
            quiet_kube,
            namespace,
            "run",
            lambda one: one["status"].get("attempt") == 1 and in_phase("Starting")(one),
        )
        again = await pod_of(quiet_kube, namespace, body)
    finally:
        operator.kill()
    assert again["metadata"]["name"] != first["metadata"]["name"]
    assert seen(again)["containers"][0]["envFrom"] == [{"secretRef": {"name": "first"}}]
    assert json.dumps(seen(again)) == json.dumps(seen(first)).replace(
        first["metadata"]["name"], again["metadata"]["name"]
    )
