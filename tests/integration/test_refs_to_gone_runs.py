"""New runs read values of runs whose Operation is gone: the real operator asks the real API, which
has them in its store. The two are alone on an API server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import (
    AUDIENCE,
    in_phase,
    make_api_user,
    make_namespace,
    make_token,
    operation,
    run_kubectl,
    start_operator,
    wait_for,
)
from tests.integration.stored_runs import Place, make_place, make_run, wait_until_stored
from tests.support.command_line import run_opstrand

#: Seconds: how long a run waits for a run that does not exist.
PATIENCE = 4


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def place(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """Yield the API with its store; an operator that may ask it runs beside it."""
    folder = tmp_path_factory.mktemp("gone")
    store, account = folder / "store" / "runs.db", Path(make_api_user(quiet_plane))
    create = ("-n", "opstrand", "create", "serviceaccount", "opstrand-operator")
    run_kubectl(quiet_plane.kubeconfig, *create, check=False)
    token = folder / "token"
    token.write_text(
        await make_token(quiet_kube, "opstrand", "opstrand-operator", audience=AUDIENCE)
    )
    place = make_place(account, store, f"sqlite://{store}", "", token.read_text())
    await asyncio.to_thread(place.start)
    operator = start_operator(
        quiet_plane,
        folder,
        api_url=place.url,
        api_token=token,
        upstream_patience=PATIENCE,
    )
    yield place
    assert operator.stop() == 0
    assert "Traceback" not in operator.read_log(), operator.read_log()
    place.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def team(quiet_kube: KubeApi) -> str:
    return await make_namespace(quiet_kube, f"gone-{uuid4().hex[:6]}")


async def make_gone_run(kube: KubeApi, place: Place, namespace: str, name: str) -> str:
    """Make a run that succeeded, whose Operation is gone and which is stored; return its uuid."""
    body = await make_run(kube, namespace, name)
    await kube.delete(OPERATIONS, namespace, name)
    await wait_until_stored(place, body, is_deleted=True)
    return str(body["status"]["uuid"])


async def refer(
    kube: KubeApi, namespace: str, name: str, uuid: str, value: str = "outputs.loss"
) -> None:
    component = {
        "inputs": [{"name": "loss", "type": "float"}],
        "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
    }
    params = {"loss": {"ref": f"runs.{uuid}", "value": value}}
    await kube.create(
        OPERATIONS, namespace, operation(name, {"component": component, "params": params})
    )


def reasons(body: Manifest) -> list[str]:
    return [one["reason"] for one in body["status"]["history"] if one.get("reason")]


def waits_for_the_store(body: Mapping[str, Any]) -> bool:
    return (body.get("status") or {}).get("reason") == "StoreUnavailable"


async def test_a_ref_to_a_gone_run_has_its_value_and_costs_no_write(
    quiet_plane: ControlPlane, quiet_kube: KubeApi, place: Place, team: str
) -> None:
    uuid = await make_gone_run(quiet_kube, place, team, "first")
    await refer(quiet_kube, team, "second", uuid)
    body = await wait_for(quiet_kube, team, "second", in_phase("Starting", "Failed"))
    assert body["status"]["inputs"] == {"loss": 0.25}
    (edge,) = body["status"]["upstream"]
    assert (edge["uuid"], edge["name"]) == (uuid, "first")
    assert edge["values"] == {"loss": "outputs.loss"}
    assert "StoreUnavailable" not in reasons(body)
    env = {"KUBECONFIG": str(quiet_plane.kubeconfig)}
    for command in ("lineage", "get"):
        shown = await asyncio.to_thread(run_opstrand, command, "second", "-n", team, env=env)
        assert (shown.code, "first" in shown.out) == (0, True), shown


async def test_a_value_that_a_gone_run_lacks_is_named(
    quiet_kube: KubeApi, place: Place, team: str
) -> None:
    uuid = await make_gone_run(quiet_kube, place, team, "first")
    await refer(quiet_kube, team, "second", uuid, "outputs.los")
    body = await wait_for(quiet_kube, team, "second", in_phase("Failed"))
    assert "run 'first' has no output 'los'" in body["status"]["message"]
    assert "did you mean 'loss'" in body["status"]["message"]


async def test_a_join_finds_runs_with_and_without_an_operation(
    quiet_kube: KubeApi, place: Place, team: str
) -> None:
    for name in ("b", "d", "f"):
        await make_run(quiet_kube, team, name)
    gone = {name: await make_gone_run(quiet_kube, place, team, name) for name in ("a", "c", "e")}
    component = {
        "inputs": [{"name": "names", "type": "str", "isList": True}],
        "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
    }
    for label, query in (("plain", "tags: old"), ("made", "tags: {{ 'OLD' | lower }}")):
        join = {"query": query, "sort": "-name", "limit": 4, "offset": 1}
        join["params"] = {"names": {"value": "globals.name"}}
        spec = {"component": component, "joins": [join]}
        await quiet_kube.create(OPERATIONS, team, operation(label, spec))
        body = await wait_for(quiet_kube, team, label, in_phase("Starting", "Failed"))
        assert body["status"].get("inputs") == {"names": ["e", "d", "c", "b"]}, body["status"]
        edges = {one["name"]: one["uuid"] for one in body["status"]["upstream"]}
        assert {name: edges[name] for name in ("c", "e")} == {"c": gone["c"], "e": gone["e"]}


async def test_a_run_that_is_nowhere_is_not_found_as_before(
    quiet_kube: KubeApi, place: Place, team: str
) -> None:
    uuid = uuid4().hex
    await refer(quiet_kube, team, "second", uuid)
    body = await wait_for(quiet_kube, team, "second", in_phase("Failed"))
    assert (body["status"]["reason"], body["status"]["message"]) == (
        "UpstreamNotFound",
        f"params.loss: there is no run 'runs.{uuid}' here: gave up after {PATIENCE} s",
    )


async def test_another_namespaces_gone_run_is_not_found(
    quiet_kube: KubeApi, place: Place, team: str
) -> None:
    other = await make_namespace(quiet_kube, f"{team}-other")
    uuid = await make_gone_run(quiet_kube, place, other, "first")
    await refer(quiet_kube, team, "second", uuid)
    body = await wait_for(quiet_kube, team, "second", in_phase("Failed"))
    assert body["status"]["reason"] == "UpstreamNotFound"


async def test_while_the_api_is_away_a_run_waits_and_other_runs_go_on(
    quiet_kube: KubeApi, place: Place, team: str
) -> None:
    uuid, unknown = await make_gone_run(quiet_kube, place, team, "first"), uuid4().hex
    place.process.kill()
    await refer(quiet_kube, team, "second", uuid)
    await refer(quiet_kube, team, "third", unknown)
    for name, target in (("second", uuid), ("third", unknown)):
        body = await wait_for(quiet_kube, team, name, waits_for_the_store)
        assert body["status"]["phase"] == "Waiting"
        assert body["status"]["message"] == (
            f"params.loss: it is not known whether there is a run 'runs.{target}': the API does "
            "not answer"
        )
        (resolved,) = (c for c in body["status"]["conditions"] if c["type"] == "RefsResolved")
        assert (resolved["status"], resolved["reason"]) == ("False", "StoreUnavailable")
    await quiet_kube.create(OPERATIONS, team, operation("other"))
    await wait_for(quiet_kube, team, "other", in_phase("Starting"))
    await asyncio.to_thread(place.start)
    body = await wait_for(quiet_kube, team, "second", in_phase("Starting", "Failed"))
    assert body["status"]["inputs"] == {"loss": 0.25}
    body = await wait_for(quiet_kube, team, "third", in_phase("Failed"))
    # Its patience began with the answer.
    assert reasons(body)[-3:] == ["StoreUnavailable", "UpstreamNotFound", "UpstreamNotFound"]
