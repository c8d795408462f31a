"""The store behind the API: a run whose Operation is deleted is still answered, by the real API
over a real API server, to the published command line and client.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from opstrand.core.names import CREATED_BY
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import NAMESPACES, OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import (
    CHECKOUT,
    in_phase,
    make_namespace,
    make_token,
    operation,
    pod_of,
    run_kubectl,
    wait_for,
)
from tests.support.kubelet_stand_in import ended, mark, running
from tests.support.operator_process import OperatorProcess
from tests.support.postgres import PostgresServer, serve_postgres

PUBLISHED = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
STARTED = "2026-01-02T03:04:05Z"
#: Seconds until what was deleted is stored; the machine may be slow.
PATIENCE = 60.0
READ = """
import json
from polyaxon.client import RunClient
run = RunClient(owner="default", project={project!r}, run_uuid={uuid!r})
run.refresh_data()
statuses = [one.type for one in run.get_statuses()[1]]
print(json.dumps([run.run_data.status, run.get_inputs(), run.get_outputs(), statuses]))
"""


@dataclass
class Place:
    """The API as a process with a store, and a person of a namespace."""

    process: OperatorProcess
    url: str
    store: Path
    namespace: str
    token: str

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        url = f"{self.url}/api/v1/default/{self.namespace}{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body, headers=headers) as answer,
        ):
            return answer.status, await answer.json() if answer.status != 204 else None

    async def until(self, path: str, holds: Callable[[int, Any], bool]) -> Any:
        """Return the answer as soon as it is the expected one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status, answer = await self.ask("GET", path)
            if holds(status, answer):
                return answer
            assert time.monotonic() < deadline, (status, answer, self.process.read_log()[-3000:])
            await asyncio.sleep(0.1)

    async def polyaxon(self, *arguments: str) -> str:
        return await self.published("polyaxon", *arguments, "-p", self.namespace)

    async def published(self, program: str, *arguments: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            [str(PUBLISHED / "bin" / program), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={
                "HOME": str(self.store.parent),
                "PATH": os.defpath,
                "POLYAXON_HOST": self.url,
                "POLYAXON_AUTH_TOKEN": self.token,
                "POLYAXON_NO_COLOR": "1",
                "PYTHONUTF8": "1",
                "COLUMNS": "300",
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def restart(self) -> None:
        self.process.kill()
        await asyncio.to_thread(self.start)

    def start(self) -> None:
        """Start the process, and wait until a Service would send it requests."""
        self.process.start()
        self.process.wait_until_started(60)
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            assert time.monotonic() < deadline, self.process.read_log()[-3000:]
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        self.process.stop(20)
        assert "Traceback" not in self.process.read_log(), self.process.read_log()


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


def make_place(account: Path, store: Path, url: str, namespace: str, token: str) -> Place:
    """Return an API that is not started; its log is beside the folder of the store."""
    port = free_port("127.0.0.1")
    log = store.parent.parent / f"api-{port}.log"
    settings = {"api_listen_port": port, "store_url": url}
    process = OperatorProcess(account, log, module="opstrand.api", **settings)
    return Place(process, f"http://127.0.0.1:{port}", store, namespace, token)


def bind(plane: ControlPlane, namespace: str, account: str = "") -> None:
    subject = f"--serviceaccount={account or f'{namespace}:person'}"
    role = ("create", "rolebinding", "person", "--clusterrole=edit", subject)
    run_kubectl(plane.kubeconfig, "-n", namespace, *role)


async def make_run(
    kube: KubeApi,
    namespace: str,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    **spec: Any,
) -> Manifest:
    """Return a run that succeeded, with an input, outputs and a tag."""
    component = {
        "inputs": [{"name": "message", "type": "str", "value": "hello"}],
        "run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}},
    }
    whole = {"component": component, "tags": ["old"], **spec}
    await kube.create(OPERATIONS, namespace, operation(name, whole, labels=labels or {}))
    body = await wait_for(kube, namespace, name, in_phase("Starting", "Running"))
    pod = await pod_of(kube, namespace, body)
    await mark(kube, pod, running(STARTED))
    body = await wait_for(kube, namespace, name, in_phase("Running"))
    outputs = {"op": "add", "path": "/status/outputs", "value": {"loss": 0.25, "steps": 7}}
    await kube.json_patch(OPERATIONS, namespace, name, [outputs], subresource="status")
    await mark(kube, pod, ended(0, STARTED))
    return await wait_for(kube, namespace, name, in_phase("Succeeded"))


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


async def wait_until_stored(
    place: Place, body: Manifest, status: str = "succeeded", *, is_deleted: bool = False
) -> None:
    """Wait until the store has the run in this status ("" is any), and as deleted if asked for."""
    deadline, uid = time.monotonic() + PATIENCE, body["metadata"]["uid"]
    while True:
        found = (await asyncio.to_thread(read_rows, place.store)).get(uid)
        if found and status in ("", found[0]) and (found[1] or not is_deleted):
            return
        assert time.monotonic() < deadline, place.process.read_log()
        await asyncio.sleep(0.1)


def read_rows(path: Path) -> dict[str, tuple[str, bool]]:
    """Return the status of each run by its uid, and whether it is deleted."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT uid, status, deleted_at FROM runs")
        return {uid: (status, deleted_at is not None) for uid, status, deleted_at in rows}


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
