"""Our command line on runs whose Operation is gone, by a kubeconfig with a client certificate: the
real API with its store, behind the aggregation layer of a real API server.
"""

from __future__ import annotations

import asyncio
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from opstrand.core.names import child_name, run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import NAMESPACES, OPERATIONS, PODS
from opstrand.kube.session import open_session
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import (
    CHECKOUT,
    make_namespace,
    make_token,
    operation,
    run_kubectl,
)
from tests.support.aggregated_api import SECRET, USER, install, wait_until_available
from tests.support.command_line import Ran, run_opstrand
from tests.support.crds import wait_for_crds
from tests.support.operator_process import OperatorProcess
from tests.support.talking_kubelet import TalkingKubelet

PROJECT = "team"
#: Seconds until a deleted run is stored; the machine may be slow.
PATIENCE = 60


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """Yield an API server of these tests alone: an APIService concerns every namespace."""
    with ControlPlane(controllers=True) as started:
        files = ("crds/operation.yaml", "crds/component.yaml", "manifests/base/rbac-users.yaml")
        for path in files:
            run_kubectl(started.kubeconfig, "apply", "--server-side", "-f", str(CHECKOUT / path))
        wait_for_crds(started.kubeconfig)
        yield started


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def admin(plane: ControlPlane) -> AsyncIterator[KubeApi]:
    async with await open_session(kubeconfig=str(plane.kubeconfig)) as session:
        await make_namespace(KubeApi(session), PROJECT)
        for user, role in (("emil", "edit"), ("anna", "view")):
            words = ("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
            run_kubectl(plane.kubeconfig, "-n", PROJECT, *words)
        yield KubeApi(session)


async def opstrand(plane: ControlPlane, *arguments: str, user: str = "anna") -> Ran:
    env = {"KUBECONFIG": str(plane.user(user))}
    return await asyncio.to_thread(run_opstrand, *arguments, "-n", PROJECT, env=env)


async def make_run(kube: KubeApi, name: str, phase: str = "Succeeded", **metadata: Any) -> str:
    """Make a run that has succeeded, or is in this phase, and return its uuid."""
    body = await kube.create(OPERATIONS, PROJECT, operation(name, {"name": "train"}, **metadata))
    uuid = str(body["metadata"]["uid"]).replace("-", "")
    times = {"startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:05:05Z"}
    status = {"uuid": uuid, "kind": "job", "phase": phase, "reason": phase, **times}
    status |= {"inputs": {"message": "hello"}, "outputs": {"loss": 0.25}, "attempt": 0}
    status["pod"] = {"name": f"{name}-0", "uid": "x"}
    ops = [{"op": "add", "path": "/status", "value": status}]
    await kube.json_patch(OPERATIONS, PROJECT, name, ops, subresource="status")
    return uuid


async def test_without_the_component_the_command_line_says_what_to_install(
    plane: ControlPlane, admin: KubeApi
) -> None:
    for command in (("get", "no-such"), ("logs", "no-such")):
        done = await opstrand(plane, *command)
        assert done.code == 4
        assert done.errors == ["error: there is no run 'no-such' in project 'team'"]
        assert "kustomize edit add component aggregated" in done.stderr
    await make_run(admin, "lonely")
    files = await opstrand(plane, "artifacts", "ls", "lonely")
    assert files.code == 5
    assert "the files of lonely cannot be reached" in files.stderr
    assert "kustomize edit add component aggregated" in files.stderr
    drawn = await opstrand(plane, "metrics", "lonely")
    assert drawn.code == 5
    assert "the metrics of lonely cannot be reached" in drawn.stderr
    assert "kustomize edit add component aggregated" in drawn.stderr
    await admin.delete(OPERATIONS, PROJECT, "lonely")
    await make_run(admin, "early")
    done = await opstrand(plane, "logs", "early")
    assert (done.code, done.errors) == (4, ["error: the Pod early-0 of early is gone"])
    assert "kustomize edit add component aggregated" in done.stderr
    await admin.delete(OPERATIONS, PROJECT, "early")
    listed = await opstrand(plane, "ls", "--all")
    assert listed.code == 5
    assert "runs whose Operation is gone are not kept in this cluster" in listed.stderr
    assert "kustomize edit add component aggregated" in listed.stderr


@dataclass(frozen=True)
class Api:
    """The API of these tests. `data`: where it keeps files and logs."""

    url: str
    data: Path


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def api(
    plane: ControlPlane, admin: KubeApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    port, tokens = free_port("127.0.0.1"), free_port("127.0.0.1")
    await install(admin, port)
    process = OperatorProcess(
        Path(plane.user(USER)),
        folder / "api.log",
        module="opstrand.api",
        api_listen_port=tokens,
        api_aggregated_port=port,
        api_aggregated_secret=SECRET,
        store_url=f"sqlite://{folder / 'store' / 'runs.db'}",
        data=folder / "data",
    )
    process.start()
    await asyncio.to_thread(process.wait_until_started, PATIENCE)
    await wait_until_available(admin)
    yield Api(f"http://127.0.0.1:{tokens}", folder / "data")
    assert process.stop(30) == 0
    assert "Traceback" not in process.read_log(), process.read_log()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def gone(plane: ControlPlane, admin: KubeApi, api: Api) -> str:
    """Return the uuid of the run `old` whose Operation is gone, beside the run `new`."""
    uuid = await make_run(admin, "old")
    await make_run(admin, "new")
    await delete_run(plane, admin, "old")
    return uuid


async def delete_run(plane: ControlPlane, kube: KubeApi, name: str) -> None:
    """Delete an Operation, and wait until the run is read from the store."""
    await kube.delete(OPERATIONS, PROJECT, name)
    for _ in range(PATIENCE):
        if (await opstrand(plane, "get", name)).code == 0:
            return
        await asyncio.sleep(1)
    raise AssertionError(f"{name} is not kept")


async def test_a_list_of_all_has_the_runs_that_are_gone(plane: ControlPlane, gone: str) -> None:
    assert (await opstrand(plane, "ls", "-q")).out == "new\n"
    assert sorted((await opstrand(plane, "ls", "--all", "-q")).out.split()) == ["new", "old"]
    shown = (await opstrand(plane, "ls", "--all", "--no-headers")).out
    assert {tuple(line.split()[:3]) for line in shown.splitlines()} == {
        ("new", "job", "Succeeded"),
        ("old", "job", "Succeeded"),
    }
    assert (await opstrand(plane, "ls", "--all", "-q", "--status", "failed")).out == ""
    assert (await opstrand(plane, "ls", "--all", "-q", "-l", "a=b")).out == ""
    everywhere = await opstrand(plane, "ls", "--all", "-A", user="anna")
    assert everywhere.code == 5
    assert 'User "anna" cannot list resource "runs"' in everywhere.stderr


async def test_a_run_that_is_gone_is_shown_by_its_name_and_uuid(
    plane: ControlPlane, gone: str
) -> None:
    for name in ("old", gone):
        shown = await opstrand(plane, "get", name, "-o", "json")
        assert shown.code == 0, shown.stderr
        body = json.loads(shown.out)
        assert (body["kind"], body["metadata"]["name"]) == ("Run", "old")
        assert body["status"]["outputs"] == {"loss": 0.25}
        assert body["spec"]["name"] == "train"
    text = (await opstrand(plane, "get", "old")).out
    assert "Succeeded" in text
    assert "0.25" in text
    explained = await opstrand(plane, "get", "old", "--explain")
    assert (explained.code, explained.stderr) == (0, "")
    assert (await opstrand(plane, "lineage", "old")).code == 0


def keep_metric(folder: Path) -> None:
    """Write the files of a run that logged `loss`, as the collector stores them."""
    (folder / "events" / "metric").mkdir(parents=True)
    lines = ["step|timestamp|metric", "0|2026-01-01|0.5", "1|2026-01-02|nan", "2|2026-01-03|0.25"]
    (folder / "events" / "metric" / "loss.plx").write_text("\n".join(lines))


async def test_metrics_of_a_run_that_is_gone(
    plane: ControlPlane, admin: KubeApi, api: Api, gone: str
) -> None:
    uid = (await admin.get(NAMESPACES, None, PROJECT))["metadata"]["uid"]
    keep_metric(api.data / "artifacts" / uid / gone)
    done = await opstrand(plane, "metrics", "old", "-o", "json")
    assert done.code == 0, done.stderr
    (run,) = json.loads(done.out)
    assert (run["uuid"], run["metrics"][0]["values"]) == (gone, [0.5, None, 0.25])
    drawn = await opstrand(plane, "metrics", gone, "new", "--metric", "loss")
    assert drawn.out.splitlines()[0].strip() == "loss"
    nothing = await opstrand(plane, "metrics", "new")
    assert (nothing.code, nothing.out) == (0, "")
    assert "no metric of new is kept" in nothing.stderr


async def test_doctor_says_that_any_kubeconfig_reads_runs(plane: ControlPlane, gone: str) -> None:
    found = json.loads((await opstrand(plane, "doctor", "-o", "json")).out)["findings"]
    (finding,) = [one for one in found if one["name"] == "aggregated"]
    assert finding["verdict"] == "ok"


async def test_what_is_not_kept_either_is_not_found(plane: ControlPlane, gone: str) -> None:
    done = await opstrand(plane, "get", "no-such")
    assert (done.code, len(done.errors)) == (4, 1)
    assert "there is no run 'no-such' in project 'team'" in done.stderr
    assert "aggregated" not in done.stderr
    done = await opstrand(plane, "stop", "old", user="emil")
    assert done.code == 4
    nobody = await opstrand(plane, "get", "old", user="nora")
    assert nobody.code == 5
    assert "nora" in nobody.stderr


async def test_a_log_of_which_nothing_is_kept_is_said_so(plane: ControlPlane, gone: str) -> None:
    for arguments in (("logs", "old"), ("logs", gone, "--tail", "1"), ("logs", "-f", "old")):
        done = await opstrand(plane, *arguments)
        assert done.code == 4
        assert "no line of the log of old is kept" in done.stderr
    done = await opstrand(plane, "logs", "new")
    assert done.code == 4
    assert "the Pod new-0 of new is gone, and its log with it" in done.stderr


LINES = [f"line {number}" for number in range(3000)]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(plane: ControlPlane, admin: KubeApi) -> AsyncIterator[TalkingKubelet]:
    async with TalkingKubelet(admin, plane.authority) as talking:
        yield talking


async def run_and_write(
    kube: KubeApi, kubelet: TalkingKubelet, api: Api, name: str, lines: list[str], **metadata: Any
) -> str:
    """Make a run whose Pod writes these lines and ends; the log is kept, then the Pod is deleted.

    Returns the run's uuid.
    """
    spec = {"nodeName": kubelet.name, "containers": [{"name": "main", "image": "x"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-0"}, "spec": spec}
    await kube.create(PODS, PROJECT, pod)
    uuid = await make_run(kube, name, "Running", **metadata)
    for line in lines:
        kubelet.write(f"{name}-0", line)
    kubelet.end(f"{name}-0")
    ops = [{"op": "replace", "path": "/status/phase", "value": "Succeeded"}]
    await kube.json_patch(OPERATIONS, PROJECT, name, ops, subresource="status")
    await wait_for_file(api.data, f"logs/*/{uuid}/0/main/complete")
    await kube.delete(PODS, PROJECT, f"{name}-0")
    return uuid


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def written(plane: ControlPlane, admin: KubeApi, api: Api, kubelet: TalkingKubelet) -> str:
    """Return the uuid of the run `written`, whose Pod wrote `LINES` and whose Operation is gone."""
    uuid = await run_and_write(admin, kubelet, api, "written", LINES)
    words = ("delete", "pod", "written-0", "--force", "--grace-period=0", "--ignore-not-found")
    run_kubectl(plane.kubeconfig, "-n", PROJECT, *words)
    with pytest.raises(NotFound):
        await admin.get(PODS, PROJECT, "written-0")
    await delete_run(plane, admin, "written")
    return uuid


async def wait_for_file(folder: Path, pattern: str) -> None:
    for _ in range(PATIENCE * 10):
        if await asyncio.to_thread(lambda: next(folder.glob(pattern), None)):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"no {pattern}")


async def test_the_log_of_a_run_that_is_gone_is_shown(plane: ControlPlane, written: str) -> None:
    whole = await opstrand(plane, "logs", "written")
    assert (whole.code, whole.out.splitlines()) == (0, LINES)
    for words, expected in (
        (("--tail", "2"), LINES[-2:]),
        (("--attempt", "0", "--tail", "1"), LINES[-1:]),
        (("--since", "1h"), LINES),
        (("--grep", "line 29[0-9]*$"), [line for line in LINES if line.startswith("line 29")]),
        (("-f",), LINES),
    ):
        done = await opstrand(plane, "logs", written, *words)
        assert (done.code, done.out.splitlines()) == (0, expected), words
    for words in (("--all-containers",), ("-c", "init")):
        done = await opstrand(plane, "logs", "written", *words)
        assert (done.code, done.out) == (4, "")
        assert "the Pod of written is gone, and only the log of 'main' is kept" in done.stderr
    stamped = (await opstrand(plane, "logs", "written", "--timestamps", "--tail", "1")).out
    assert stamped.split(" ", 1)[1] == f"{LINES[-1]}\n"
    missing = await opstrand(plane, "logs", "written", "--attempt", "1")
    assert (missing.code, "--attempt 1: written has no such attempt" in missing.stderr) == (4, True)


async def test_the_published_route_has_the_log_of_a_run_that_is_gone(
    admin: KubeApi, plane: ControlPlane, api: Api, written: str
) -> None:
    words = ("create", "rolebinding", "default-views", "--clusterrole=view")
    account = f"--serviceaccount={PROJECT}:default"
    run_kubectl(plane.kubeconfig, "-n", PROJECT, *words, account)
    headers = {"Authorization": f"Bearer {await make_token(admin, PROJECT, 'default')}"}
    path = f"{api.url}/streams/v1/{PROJECT}/default/{PROJECT}/runs/{written}/logs"
    cursor: str | None = ""
    found: list[dict[str, Any]] = []
    async with aiohttp.ClientSession(headers=headers) as session:
        while cursor is not None:
            async with session.get(path, params={"last_file": cursor}) as answer:
                assert answer.status == 200, await answer.text()
                part = await answer.json()
            cursor = part["last_file"]
            found += part["logs"]
    assert [line["value"] for line in found] == LINES
    assert {line["container"] for line in found} == {"polyaxon-main"}


async def test_files_of_runs_are_put_listed_copied_and_deleted(
    plane: ControlPlane, gone: str, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    files = {"a %2f ü#?": b"1", "deep/model": bytes(range(256)) * 40_000, "empty": b""}
    for name, data in files.items():
        (source / name).write_bytes(data)
    for run in ("old", "new"):
        put = await opstrand(plane, "artifacts", "put", run, str(source), "in", user="emil")
        assert (put.code, put.stderr) == (0, f"copied 3 files, 9.8 MiB, to {run}:in\n")
        listed = await opstrand(plane, "artifacts", "ls", "-r", run, "in", "-o", "name")
        assert sorted(listed.out.splitlines()) == [f"in/{name}" for name in sorted(files)]
        back = tmp_path / run
        got = await opstrand(plane, "artifacts", "get", run, "in", str(back))
        assert got.code == 0, got.stderr
        for name, data in files.items():
            assert (back / name).read_bytes() == data
        again = await opstrand(plane, "artifacts", "get", run, "in", str(back))
        assert "3 files were there already" in again.stderr
        packed = await opstrand(plane, "artifacts", "get", "--archive", run, "in", f"{back}.tgz")
        assert packed.code == 0, packed.stderr
        with tarfile.open(f"{back}.tgz") as archive:
            assert sorted(archive.getnames()) == sorted(files)
        one = await opstrand(plane, "artifacts", "get", run, "in/a %2f ü#?", "-")
        assert one.out == "1"
        removed = await opstrand(plane, "artifacts", "rm", run, "in/empty", user="emil")
        assert removed.code == 0, removed.stderr
        removed = await opstrand(plane, "artifacts", "rm", "-y", run, "in", user="emil")
        assert removed.code == 0, removed.stderr
        missing = await opstrand(plane, "artifacts", "get", run, "in")
        assert missing.code == 4


async def test_who_may_only_read_cannot_change_files(
    plane: ControlPlane, gone: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("text")
    put = await opstrand(plane, "artifacts", "put", "old", str(tmp_path / "file"))
    assert put.code == 5
    assert 'User "anna" cannot update resource "runs/artifacts"' in put.stderr
    done = await opstrand(
        plane, "artifacts", "put", "old", str(tmp_path / "file"), "kept", user="emil"
    )
    assert done.code == 0, done.stderr
    removed = await opstrand(plane, "artifacts", "rm", "old", "kept")
    assert removed.code == 5
    assert 'User "anna" cannot delete resource "runs/artifacts"' in removed.stderr
    read = await opstrand(plane, "artifacts", "get", "old", "kept", "-")
    assert read.out == "text"
    for arguments in (("ls", "old"), ("get", "old", "kept", "-")):
        refused = await opstrand(plane, "artifacts", *arguments, user="nora")
        assert refused.code == 5


async def test_rm_removes_the_record_and_the_files_too(
    plane: ControlPlane, admin: KubeApi, api: Api, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("text")
    uuids = {}
    for name in ("away", "here"):
        uuids[name] = await make_run(admin, name)
        put = await opstrand(plane, "artifacts", "put", name, str(tmp_path / "file"), user="emil")
        assert put.code == 0, put.stderr
    await delete_run(plane, admin, "away")
    for name in ("away", "here"):
        refused = await opstrand(plane, "rm", name)
        assert refused.code == 5
        assert "anna" in refused.stderr
    for name in ("away", "here"):
        done = await opstrand(plane, "rm", name, user="emil")
        assert (done.code, done.stderr) == (0, f"{name}: deleted, with its record and files\n")
        for found in (name, uuids[name]):
            assert (await opstrand(plane, "get", found)).code == 4
            assert (await opstrand(plane, "artifacts", "ls", found)).code == 4
    assert (await opstrand(plane, "rm", "away", user="emil")).code == 4
    for uuid in uuids.values():
        assert not await asyncio.to_thread(lambda uuid=uuid: list(api.data.glob(f"*/*/{uuid}")))
    # A run that is not over needs -y as ever.
    await admin.create(OPERATIONS, PROJECT, operation("young", {"name": "train"}))
    asked = await opstrand(plane, "rm", "young", user="emil")
    assert asked.code == 2
    assert "-y deletes without asking" in asked.stderr
    done = await opstrand(plane, "rm", "young", "-y", user="emil")
    assert done.code == 0, done.stderr


async def test_the_log_of_a_pipeline_that_is_gone_has_those_of_its_runs(
    plane: ControlPlane, admin: KubeApi, api: Api, kubelet: TalkingKubelet
) -> None:
    run = {"kind": "job", "container": {"image": "x"}}
    made = [{"name": name, "component": {"run": run}} for name in ("prepare", "train")]
    component = {"kind": "component", "run": {"kind": "dag", "operations": made}}
    body = await admin.create(OPERATIONS, PROJECT, operation("flow", {"component": component}))
    uid = body["metadata"]["uid"]
    owner = {"apiVersion": body["apiVersion"], "kind": body["kind"], "name": "flow", "uid": uid}
    names = {one["name"]: child_name("flow", run_uuid(uid), one["name"]) for one in made}
    for name, child in names.items():
        owners = [{**owner, "controller": True}]
        lines = [f"{name} begins", f"{name} ends"]
        await run_and_write(admin, kubelet, api, child, lines, ownerReferences=owners)
    states = {"states": "ss", "total": 2}
    status = {"uuid": run_uuid(uid), "kind": "dag", "phase": "Succeeded", "children": states}
    ops = [{"op": "add", "path": "/status", "value": status}]
    await admin.json_patch(OPERATIONS, PROJECT, "flow", ops, subresource="status")
    for child in names.values():
        await delete_run(plane, admin, child)
    await delete_run(plane, admin, "flow")
    shown = await opstrand(plane, "logs", "flow")
    assert shown.code == 0, shown.stderr
    assert shown.out.splitlines() == [
        "[prepare] prepare begins",
        "[prepare] prepare ends",
        "[train] train begins",
        "[train] train ends",
    ]
