"""An object that is nested deeper than Python can read harms only itself: watches and lists go on,
and it ends with a reason.

It is sent as text, since our own client could not write it either.
"""

from __future__ import annotations

import json
from pathlib import Path

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import (
    make_namespace,
    operation,
    run_kubectl,
    start_operator,
    wait_for,
)

DEPTHS = (300, 900, 980, 1_100, 3_000, 9_000)


def is_decided(body: Manifest) -> bool:
    return bool((body.get("status") or {}).get("reason"))


def make_deep(name: str, depth: int, opening: str, closing: str) -> str:
    body = operation(name)
    body["spec"]["component"]["inputs"] = [{"name": "a", "type": "dict", "value": {"a": "DEEP"}}]
    return json.dumps(body).replace('"DEEP"', opening * depth + "1" + closing * depth)


def create_deep(plane: ControlPlane, place: str, folder: Path) -> list[str]:
    names = []
    for depth in DEPTHS:
        for kind, (opening, closing) in {"list": ("[", "]"), "object": ('{"a":', "}")}.items():
            names.append(f"deep-{kind}-{depth}")
            (folder / "deep.json").write_text(make_deep(names[-1], depth, opening, closing))
            target = f"/apis/opstrand.dev/v1/namespaces/{place}/operations"
            run_kubectl(
                plane.kubeconfig, "create", "--raw", target, "-f", str(folder / "deep.json")
            )
    return names


async def test_no_depth_of_nesting_ends_a_watch_or_a_list(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path: Path
) -> None:
    place = await make_namespace(quiet_kube, "deep")
    process = start_operator(quiet_plane, tmp_path, namespaces=place)
    names = create_deep(quiet_plane, place, tmp_path)
    for name in ("watched", "listed"):
        await quiet_kube.create(OPERATIONS, place, operation(name))
        assert (await wait_for(quiet_kube, place, name, is_decided))["status"][
            "reason"
        ] == "PodCreated"
        process.check_alive()
        process.kill()
        process.start()
        process.wait_until_started()
    for name in names:
        status = (await wait_for(quiet_kube, place, name, is_decided))["status"]
        assert (status["reason"], "nested more than" in status["message"]) == (
            "InvalidSpec",
            True,
        ), status
    assert process.stop() == 0
    assert "Traceback" not in process.read_log(), process.read_log()
