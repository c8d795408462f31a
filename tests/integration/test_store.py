"""The store behind the API: a run whose Operation is deleted is still answered, by the real API
over a real API server, to the published command line and client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from opstrand.core.names import CREATED_BY
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import NAMESPACES, OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import (
    in_phase,
    make_namespace,
    make_token,
    operation,
    pod_of,
    run_kubectl,
    wait_for,
)
from tests.integration.stored_runs import (
    PATIENCE,
    Place,
    make_place,
    make_run,
    wait_until_stored,
)
from tests.support.kubelet_stand_in import ended, mark
from tests.support.postgres import PostgresServer, serve_postgres

READ = """
import json
from polyaxon.client import RunClient
run = RunClient(owner="default", project={project!r}, run_uuid={uuid!r})
run.refresh_data()
statuses = [one.type for one in run.get_statuses()[1]]
print(json.dumps([run.run_data.status, run.get_inputs(), run.get_outputs(), statuses]))
"""


@pytest_asyncio.fixture(loop_scope="session")
async def place(
    api_kubeconfig: str,
    control_plane: ControlPlane,
    kube: KubeApi,
    namespace: str,
    tmp_path: Path,
) -> AsyncIterator[Place]:
    make_person(control_plane, namespace)
    token = await make_token(kube, namespace, "person")
    store = tmp_path / "store" / "runs.db"
    found = make_place(Path(api_kubeconfig), store, f"sqlite://{store}", namespace, token)
    await asyncio.to_thread(found.start)
    yield found
    found.stop()


def make_person(plane: ControlPlane, namespace: str) -> None:
    run_kubectl(plane.kubeconfig, "-n", namespace, "create", "serviceaccount", "person")
    bind(plane, namespace)


def bind(plane: ControlPlane, namespace: str, account: str = "") -> None:
    subject = f"--serviceaccount={account or f'{namespace}:person'}"
    role = ("create", "rolebinding", "person", "--clusterrole=edit", subject)
    run_kubectl(plane.kubeconfig, "-n", namespace, *role)


async def delete(plane: ControlPlane, namespace: str, name: str) -> None:
    await asyncio.to_thread(
        run_kubectl, plane.kubeconfig, "-n", namespace, "delete", "operation", name
    )


def is_listed(uuid: str) -> Callable[[int, Any], bool]:
    return lambda status, answer: (
        status == 200 and uuid in [run["uuid"] for run in answer["results"]]
    )


@pytest.mark.usefixtures("operator")
async def test_a_run_whose_operation_is_deleted_is_answered_as_before(
    kube: KubeApi, control_plane: ControlPlane, place: Place
) -> None:
    first = await make_run(kube, place.namespace, "first")
    uuid = first["status"]["uuid"]
    ref = {"message": {"ref": f"runs.{uuid}", "value": "outputs.loss"}}
    component = {
        "inputs": [{"name": "message", "type": "float"}],
        "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
    }
    second = await make_run(kube, place.namespace, "second", component=component, params=ref)
    paths = (
        f"/runs/{uuid}",
        f"/runs/{uuid}/statuses",
        f"/runs/{uuid}/lineage/downstream",
        f"/runs/{second['status']['uuid']}/lineage/upstream",
        "/runs?sort=name",
        "/runs?query=metrics.loss:0.25,tags:old&sort=name",
        "/runs?query=name:first",
    )
    before = [await place.ask("GET", path) for path in paths]
    assert [answer[1].get("count") for answer in before] == [None, None, 1, 1, 2, 2, 1]

    await delete(control_plane, place.namespace, "first")
    await place.until("/runs", lambda _, found: found["count"] == 2)
    assert [await place.ask("GET", path) for path in paths] == before
    await wait_until_stored(place, first, is_deleted=True)
    await place.restart()
    assert [await place.ask("GET", path) for path in paths] == before

    listed = await place.polyaxon("ops", "ls")
    assert "first" in listed
    assert "second" in listed
    got = await place.polyaxon("ops", "get", "-uid", uuid)
    assert "succeeded" in got
    assert "succeeded" in await place.polyaxon("ops", "statuses", "-uid", uuid)
    read = READ.format(project=place.namespace, uuid=uuid)
    assert (await place.published("python", "-c", read)).splitlines()[-1] == (
        '["succeeded", {"message": "hello"}, {"loss": 0.25, "steps": 7}, '
        '["created", "starting", "running", "succeeded"]]'
    )


@pytest.mark.usefixtures("operator")
async def test_a_run_that_is_deleted_before_its_end_is_kept_as_stopped(
    kube: KubeApi, control_plane: ControlPlane, place: Place
) -> None:
    await kube.create(OPERATIONS, place.namespace, operation("cut-off"))
    body = await wait_for(kube, place.namespace, "cut-off", in_phase("Starting", "Running"))
    await place.until("/runs", is_listed(body["status"]["uuid"]))
    await delete(control_plane, place.namespace, "cut-off")
    path = f"/runs/{body['status']['uuid']}"
    await place.until(path, lambda _, found: found.get("status") == "stopped")
    _, statuses = await place.ask("GET", path + "/statuses")
    last = statuses["status_conditions"][-1]
    assert (last["type"], last["reason"]) == ("stopped", "Deleted")


@pytest.mark.usefixtures("operator")
async def test_what_is_deleted_while_the_api_is_down_is_not_listed_as_living(
    kube: KubeApi, control_plane: ControlPlane, place: Place
) -> None:
    body = await make_run(kube, place.namespace, "early")
    path = f"/runs/{body['status']['uuid']}"
    await place.until(path, lambda status, found: found.get("status") == "succeeded")
    await wait_until_stored(place, body)
    await kube.create(OPERATIONS, place.namespace, operation("cut-off"))
    cut_off = await wait_for(kube, place.namespace, "cut-off", in_phase("Starting", "Running"))
    await wait_until_stored(place, cut_off, "")
    place.process.kill()
    await delete(control_plane, place.namespace, "early")
    await delete(control_plane, place.namespace, "cut-off")
    late = await make_run(kube, place.namespace, "late")
    await asyncio.to_thread(place.start)
    found = await place.until("/runs", lambda _, found: found.get("count") == 3)
    assert {run["name"]: run["status"] for run in found["results"]} == {
        "early": "succeeded",
        "cut-off": "stopped",
        "late": "succeeded",
    }
    await wait_until_stored(place, late)


@pytest.mark.usefixtures("operator")
async def test_a_run_that_is_deleted_through_the_api_leaves_no_record(
    kube: KubeApi, control_plane: ControlPlane, place: Place
) -> None:
    living = await make_run(kube, place.namespace, "living")
    gone = await make_run(kube, place.namespace, "gone")
    await delete(control_plane, place.namespace, "gone")
    paths = [f"/runs/{one['status']['uuid']}" for one in (living, gone)]
    await place.until("/runs", lambda _, found: found.get("count") == 2)
    refused = await place.ask("PATCH", paths[1], {"tags": ["new"]})
    assert refused[0] == 400
    assert "is deleted" in refused[1]["detail"]
    for path in paths:
        assert (await place.ask("DELETE", path))[0] == 204
        await place.until(path, lambda status, _: status == 404)
    await place.restart()
    assert (await place.ask("GET", "/runs"))[1]["count"] == 0


@pytest.mark.usefixtures("operator")
async def test_a_namespace_of_the_same_name_does_not_show_the_runs_of_the_one_before(
    kube: KubeApi, control_plane: ControlPlane, place: Place
) -> None:
    place.namespace = f"{place.namespace}-again"
    await make_namespace(kube, place.namespace)
    bind(control_plane, place.namespace, f"{place.namespace.removesuffix('-again')}:person")
    body = await make_run(kube, place.namespace, "secret")
    path = f"/runs/{body['status']['uuid']}"
    await delete(control_plane, place.namespace, "secret")
    await place.until("/runs", lambda _, found: found.get("count") == 1)
    await wait_until_stored(place, body)
    await kube.delete(NAMESPACES, None, place.namespace)
    await place.until("/runs", lambda status, _: status == 404)
    await make_namespace(kube, place.namespace)
    bind(control_plane, place.namespace, f"{place.namespace.removesuffix('-again')}:person")
    await place.until("/runs", lambda status, found: status == 200 and found["count"] == 0)
    assert (await place.ask("GET", path))[0] == 404


@pytest.mark.usefixtures("operator")
async def test_an_old_operation_is_deleted_once_it_is_stored_and_answered_as_before(
    kube: KubeApi, place: Place
) -> None:
    """Only one that our tools made: another could be of a GitOps tool, which runs it again."""
    ours = await make_run(kube, place.namespace, "ours", labels={CREATED_BY: "cli"})
    applied = await make_run(kube, place.namespace, "applied")
    for one in (ours, applied):
        await wait_until_stored(place, one)
    path = f"/runs/{ours['status']['uuid']}"
    before = await place.ask("GET", path)
    place.process.environment["OPSTRAND_RETAIN_SECONDS"] = "1"
    await place.restart()
    deadline = time.monotonic() + 2 * PATIENCE  # the API looks once a minute
    while [one["metadata"]["name"] for one in await operations(kube, place)] != ["applied"]:
        assert time.monotonic() < deadline, place.process.read_log()
        await asyncio.sleep(0.1)
    assert await place.ask("GET", path) == before
    assert (await place.ask("GET", "/runs"))[1]["count"] == 2


async def operations(kube: KubeApi, place: Place) -> Sequence[Manifest]:
    items, _ = await kube.list(OPERATIONS, place.namespace)
    return items


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    yield from serve_postgres()


@pytest.mark.usefixtures("operator")
async def test_two_replicas_with_postgresql_answer_alike(
    api_kubeconfig: str,
    control_plane: ControlPlane,
    kube: KubeApi,
    namespace: str,
    tmp_path: Path,
    postgres: PostgresServer,
) -> None:
    make_person(control_plane, namespace)
    token, url = await make_token(kube, namespace, "person"), postgres.new_database()
    store = tmp_path / "store" / "none"
    replicas = [make_place(Path(api_kubeconfig), store, url, namespace, token) for _ in range(2)]
    await asyncio.gather(*(asyncio.to_thread(one.start) for one in replicas))
    try:
        gone = await make_run(kube, namespace, "gone")
        path = f"/runs/{gone['status']['uuid']}"
        _, before = await replicas[0].ask("GET", path)
        await delete(control_plane, namespace, "gone")
        for one in replicas:
            await one.until("/runs", is_listed(gone["status"]["uuid"]))
            assert await one.ask("GET", path) == (200, before)
        # Only a run whose store answered is known not to be there.
        await asyncio.to_thread(postgres.stop)
        assert (await replicas[0].ask("GET", f"/runs/{uuid4().hex}"))[0] == 503
        await asyncio.to_thread(postgres.start)
        await replicas[0].until(path, lambda status, found: (status, found) == (200, before))
        assert (await replicas[1].ask("DELETE", path))[0] == 204
        for one in replicas:
            await one.until(path, lambda status, _: status == 404)
    finally:
        for one in replicas:
            await asyncio.to_thread(one.stop)


@pytest.mark.usefixtures("operator")
async def test_the_published_command_line_resumes_restarts_and_copies(
    kube: KubeApi, control_plane: ControlPlane, place: Place
) -> None:
    namespace = place.namespace
    uuid = (await make_run(kube, namespace, "a"))["status"]["uuid"]
    await place.until(f"/runs/{uuid}", lambda _, found: found.get("status") == "succeeded")
    assert f"resumed with uid {uuid}" in await place.polyaxon("ops", "resume", "-uid", uuid)
    body = await wait_for(
        kube,
        namespace,
        "a",
        lambda one: in_phase("Starting")(one) and one["status"].get("attempt") == 1,
    )
    await mark(kube, await pod_of(kube, namespace, body), ended(0, "2026-01-01T00:00:00Z"))
    await wait_for(kube, namespace, "a", in_phase("Succeeded"))
    statuses = await place.until(
        f"/runs/{uuid}/statuses", lambda _, found: found.get("status") == "succeeded"
    )
    assert "resuming" in [one["type"] for one in statuses["status_conditions"]]
    await delete(control_plane, namespace, "a")
    path = f"/runs/{uuid}/resume"
    await wait_until_stored(place, body, is_deleted=True)
    status, refusal = await place.ask("POST", path, {})
    assert (status, "is deleted" in refusal["detail"]) == (400, True)
    assert "restarted with uid" in await place.polyaxon("ops", "restart", "-uid", uuid)
    options = ("--copy", "--copy-dir", "outputs/m")
    assert "copied with uid" in await place.polyaxon("ops", "restart", "-uid", uuid, *options)
    _, clones = await place.ask("GET", f"/runs/{uuid}/lineage/clones")
    kinds = {one["cloning_kind"]: one["uuid"] for one in clones["results"]}
    assert kinds.keys() == {"restart", "copy"}
    _, copy = await place.ask("GET", f"/runs/{kinds['copy']}")
    assert copy["original"]["uuid"] == uuid
