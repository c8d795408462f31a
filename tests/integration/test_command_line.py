"""The command line against a real API server and the real operator; the test writes what a kubelet
would write to Pods.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from opstrand.core.names import run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import EVENTS, OPERATIONS, PODS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, operation, pod_of, run_kubectl, wait_for
from tests.support.command_line import OPSTRAND, SAMPLES, Ran, environment, run_opstrand
from tests.support.kubelet_stand_in import KubeletStandIn, ended, mark, running

pytestmark = pytest.mark.usefixtures("operator")
STARTED = "2026-01-01T00:00:00Z"
ECHO = SAMPLES / "echo.yaml"

Cli = Callable[..., Awaitable[Ran]]


@pytest.fixture
def env(control_plane: ControlPlane, namespace: str) -> dict[str, str]:
    return {"KUBECONFIG": str(control_plane.kubeconfig), "OPSTRAND_PROJECT": namespace}


@pytest.fixture
def cli(env: dict[str, str]) -> Cli:
    """Run a command in the test's project."""

    async def run(*arguments: str | Path, **more: str) -> Ran:
        return await asyncio.to_thread(run_opstrand, *arguments, env={**env, **more})

    return run


async def make(
    kube: KubeApi, namespace: str, name: str, phase: str = "Starting", **spec: Any
) -> Manifest:
    await kube.create(OPERATIONS, namespace, operation(name, spec))
    return await wait_for(kube, namespace, name, in_phase(phase))


async def finish(
    kube: KubeApi, namespace: str, body: Manifest, code: int = 0, message: str = ""
) -> Manifest:
    await mark(kube, await pod_of(kube, namespace, body), ended(code, STARTED, message))
    return await wait_for(
        kube, namespace, body["metadata"]["name"], in_phase("Succeeded" if code == 0 else "Failed")
    )


async def test_run_creates_an_operation_and_says_how_to_come_back(
    cli: Cli, kube: KubeApi, namespace: str
) -> None:
    ran = await cli("run", "-f", ECHO, "-P", "message=test 1", "-o", "name")
    assert ran.code == 0, ran
    name = ran.out.strip().removeprefix("operation.opstrand.dev/")
    body = await kube.get(OPERATIONS, namespace, name)
    assert name.startswith("echo-")
    assert body["spec"]["params"] == {"message": {"value": "test 1"}}
    assert body["spec"]["component"] == yaml.safe_load(ECHO.read_text())
    assert body["metadata"]["labels"]["opstrand.dev/created-by"] == "cli"
    assert f"opstrand logs -f {name} --project {namespace}" in ran.stderr


@pytest.mark.parametrize("file", [ECHO, SAMPLES / "orders.yaml"], ids=["echo", "orders"])
async def test_the_plan_in_the_cluster_is_the_one_that_render_shows(
    cli: Cli, kube: KubeApi, namespace: str, file: Path
) -> None:
    asked = ("-f", file, "-P", "zoe=1", "-P", "message=it's $(HOME) $$", "--name", "echo")
    assert (await cli("run", *asked)).code == 0
    body = await wait_for(kube, namespace, "echo", in_phase("Starting"))
    pod = await pod_of(kube, namespace, body)
    rendered = await cli("render", *asked, "--uuid", body["metadata"]["uid"], "-o", "json")
    digest = json.loads(rendered.out)["metadata"]["annotations"]["opstrand.dev/plan-digest"]
    assert pod["metadata"]["annotations"]["opstrand.dev/plan-digest"] == digest


@pytest.mark.parametrize(
    ("flags", "phase"), [((), "Starting"), (("--platform-retries", "0"), "Failed")]
)
async def test_at_most_once_can_be_asked_for_by_a_flag(
    cli: Cli,
    kube: KubeApi,
    control_plane: ControlPlane,
    namespace: str,
    flags: tuple[str, ...],
    phase: str,
) -> None:
    """A Pod that a person deletes is followed by another one, unless the flag asks for at most
    once.
    """
    assert (await cli("run", "-f", ECHO, "--name", "echo", *flags)).code == 0
    pod = await pod_of(
        kube, namespace, await wait_for(kube, namespace, "echo", in_phase("Starting"))
    )
    await mark(kube, pod, running(STARTED))
    first = await wait_for(kube, namespace, "echo", in_phase("Running"))
    forced = ("--force", "--grace-period=0")
    run_kubectl(
        control_plane.kubeconfig, "-n", namespace, "delete", "pod", pod["metadata"]["name"], *forced
    )

    def is_decided(body: Manifest) -> bool:
        return bool(in_phase("Failed")(body) or body["status"]["pod"] != first["status"]["pod"])

    last = await wait_for(kube, namespace, "echo", is_decided)
    last = await wait_for(kube, namespace, "echo", in_phase("Starting", "Failed"))
    assert (last["status"]["phase"], last["status"].get("attempt", 0)) == (phase, 0 if flags else 1)
    if not flags:
        await pod_of(kube, namespace, last)  # the status is written before the Pod is created
    assert len((await kube.list(PODS, namespace))[0]) == (0 if flags else 1)


@pytest.mark.parametrize(
    ("code", "result", "words"), [(0, 0, "Succeeded"), (3, 1, "exit code 3: boom")]
)
async def test_a_watched_run_ends_with_its_result(
    cli: Cli, kube: KubeApi, namespace: str, code: int, result: int, words: str
) -> None:
    watching = asyncio.create_task(cli("run", "-f", ECHO, "--name", "echo", "-w", "-o", "json"))
    body = await _appear(kube, namespace, "echo", "Starting")
    pod = await pod_of(kube, namespace, body)
    await mark(kube, pod, running(STARTED))
    await wait_for(kube, namespace, "echo", in_phase("Running"))
    await finish(kube, namespace, body, code, "boom" if code else "")
    ran = await watching
    assert ran.code == result, ran
    assert words in ran.stderr
    assert "echo: Running" in ran.stderr
    assert json.loads(ran.out)["status"]["finishedAt"]


async def _appear(kube: KubeApi, namespace: str, name: str, phase: str) -> Manifest:
    for _ in range(1200):
        listed, _ = await kube.list(OPERATIONS, namespace, fields=f"metadata.name={name}")
        if listed:
            return await wait_for(kube, namespace, name, in_phase(phase))
        await asyncio.sleep(0.05)
    raise AssertionError("was not created")


async def test_a_watched_run_that_cannot_start_says_why_before_its_status_does(
    cli: Cli, kube: KubeApi, namespace: str
) -> None:
    """The operator reads the Events of a Pod later, for it has many: the command reads them."""
    watching = asyncio.create_task(
        cli("run", "-f", ECHO, "--name", "echo", "-w", "--timeout", "12")
    )
    body = await _appear(kube, namespace, "echo", "Starting")
    pod = await pod_of(kube, namespace, body)
    cause = 'MountVolume.SetUp failed for volume "a" : secret "a" not found'
    involved = {"kind": "Pod", **{key: pod["metadata"][key] for key in ("name", "uid")}}
    event = {
        "metadata": {"generateName": "echo."},
        "involvedObject": {**involved, "namespace": namespace},
        "type": "Warning",
        "reason": "FailedMount",
        "message": cause,
        "lastTimestamp": STARTED,
    }
    await kube.create(EVENTS, namespace, event)
    ran = await watching
    assert ran.code == 124, ran
    told = f"echo: Starting (VolumeNotMounted): {cause}\n"
    assert ran.stderr.count(told) == 1, ran.stderr
    assert "hint: Create the Secret, ConfigMap or claim" in ran.stderr


async def test_an_interrupt_leaves_the_run_alone(
    kube: KubeApi, namespace: str, env: dict[str, str], control_plane: ControlPlane
) -> None:
    command = [str(OPSTRAND), "run", "-f", str(ECHO), "--name", "echo", "-l"]
    pipe, before = asyncio.subprocess.PIPE, await count_watches(control_plane)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=pipe, stderr=pipe, env=environment(**env)
    )
    await _appear(kube, namespace, "echo", "Starting")
    await more_watches(control_plane, before)
    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()
    assert (process.returncode, out) == (130, b""), errors
    assert f"opstrand logs -f echo --project {namespace}".encode() in errors
    assert (await kube.get(OPERATIONS, namespace, "echo"))["status"]["phase"] == "Starting"


async def test_a_limit_leaves_the_run_alone(cli: Cli, kube: KubeApi, namespace: str) -> None:
    ran = await cli("run", "-f", ECHO, "--name", "echo", "--timeout", "1")
    assert ran.code == 124, ran
    assert f"opstrand wait echo --project {namespace}" in ran.stderr
    assert (await cli("wait", "echo", "--timeout", "0.5")).code == 124
    await wait_for(kube, namespace, "echo", in_phase("Starting"))


async def begin_to_wait(cli: Cli, control_plane: ControlPlane, name: str) -> asyncio.Future[Ran]:
    """Start `opstrand wait` and return once it watches."""
    before = await count_watches(control_plane)
    waiting = asyncio.ensure_future(cli("wait", name))
    await more_watches(control_plane, before)
    return waiting


async def more_watches(control_plane: ControlPlane, before: float) -> None:
    """Wait until the API server reports more watches of one namespace's Operations than before."""
    for _ in range(600):
        if await count_watches(control_plane) > before:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("nobody began to watch")


async def count_watches(control_plane: ControlPlane) -> float:
    metrics = await asyncio.to_thread(
        run_kubectl, control_plane.kubeconfig, "get", "--raw", "/metrics"
    )
    lines = [
        line
        for line in metrics.stdout.splitlines()
        if line.startswith("apiserver_longrunning_requests{")
    ]
    return sum(
        float(line.split()[-1])
        for line in lines
        if 'resource="operations"' in line and 'scope="cluster"' not in line
    )


async def test_a_run_that_is_deleted_while_it_is_watched(
    cli: Cli, kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    await make(kube, namespace, "a")
    waiting = await begin_to_wait(cli, control_plane, "a")
    await kube.delete(OPERATIONS, namespace, "a")
    ran = await waiting
    assert (ran.code, ran.errors) == (4, ["error: the run a was deleted"])


async def test_a_watch_goes_on_when_the_api_server_ends_it(
    cli: Cli, kube: KubeApi, namespace: str, control_plane: ControlPlane
) -> None:
    """The API server's process is stopped for a while: connections hang, then go on or break."""
    body = await make(kube, namespace, "a")
    waiting = await begin_to_wait(cli, control_plane, "a")
    pid = control_plane.processes["kube-apiserver"].pid()
    assert pid
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(0.5)
    os.kill(pid, signal.SIGCONT)
    await finish(kube, namespace, body)
    assert (await waiting).code == 0


async def test_looking_at_runs(cli: Cli, kube: KubeApi, namespace: str) -> None:
    assert (await cli("ls")).stderr.strip() == f"no runs in project {namespace}"
    done = await finish(kube, namespace, await make(kube, namespace, "done"))
    waits = await make(
        kube,
        namespace,
        "waits",
        "Waiting",
        params={"x": {"ref": "ops.nobody", "value": "outputs.x"}},
    )
    table = (await cli("ls", "--sort", "name")).out.splitlines()
    assert [line.split()[:3] for line in table[1:]] == [
        ["done", "job", "Succeeded"],
        ["waits", "job", "Waiting"],
    ]
    assert (
        await cli("ls", "--status", "succeeded", "-o", "name")
    ).out == "operation.opstrand.dev/done\n"
    assert (
        await cli("ls", "--status", "waiting", "--status", "failed", "-o", "name")
    ).out == "operation.opstrand.dev/waits\n"
    assert namespace in (await cli("ls", "-a")).out
    assert len(json.loads((await cli("ls", "-o", "json", "--limit", "1")).out)["items"]) == 1
    told = (await cli("get", "waits")).out
    assert "Waiting (UpstreamNotFound)" in told
    assert "ops.nobody" in told
    assert "to do:" in told
    for run in (
        "done",
        run_uuid(done["metadata"]["uid"]),
        done["metadata"]["uid"],
        done["metadata"]["uid"][:10],
        "don",
        "d",
        "operation.opstrand.dev/done",
        "op/done",
    ):
        assert (await cli("get", run, "-o", "name")).out == "operation.opstrand.dev/done\n"
    assert (
        await cli("get", "wait", "-o", "name")
    ).out == f"operation.opstrand.dev/{waits['metadata']['name']}\n"


async def test_a_run_that_is_not_there(cli: Cli, kube: KubeApi, namespace: str) -> None:
    await make(kube, namespace, "train-1")
    await make(kube, namespace, "train-2")
    missing = await cli("get", "tarin-1")
    assert missing.code == 4
    assert "did you mean 'train-1'?" in missing.errors[0]
    either = await cli("logs", "train")
    assert either.code == 2
    assert "train-1, train-2" in either.errors[0]
    for odd in ("../secrets", "a b", "", "x" * 300):
        assert (await cli("get", odd)).code == 4


async def test_a_project_that_is_not_there(cli: Cli) -> None:
    for command in (["ls"], ["get", "x"], ["run", "-f", ECHO], ["components", "ls"], ["stop", "x"]):
        ran = await cli(*command, "-p", "no-such-place")
        assert ran.code == 4, (command, ran)
        assert "no-such-place" in ran.errors[0]
        assert len(ran.errors) == 1


async def test_a_name_is_taken(cli: Cli, kube: KubeApi, namespace: str) -> None:
    await make(kube, namespace, "echo")
    ran = await cli("run", "-f", ECHO, "--name", "echo")
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "already" in ran.errors[0]


async def test_a_run_that_waits_for_a_misspelt_name_says_what_is_near(
    cli: Cli, kube: KubeApi, namespace: str
) -> None:
    await make(kube, namespace, "train")
    asked = {"x": {"ref": "ops.trian", "value": "outputs.x"}}
    waits = await make(kube, namespace, "late", "Waiting", params=asked)
    assert waits["status"]["message"].endswith("; did you mean 'ops.train'?")
    assert (await cli("components", "apply", "-f", ECHO, "--name", "tiny")).code == 0
    ran = await cli("run", "--hub", "tinyy", "--name", "hub", "-w", "--timeout", "5")
    assert ran.code == 124, ran
    assert "hub: Waiting (ComponentNotFound)" in ran.stderr
    assert "; did you mean 'tiny'?" in ran.stderr
    assert "hint: Apply the Component" in ran.stderr


async def test_orders(cli: Cli, kube: KubeApi, namespace: str) -> None:
    held = await make(kube, namespace, "held", "Waiting", isApproved=False)
    assert "AwaitingApproval" in (await cli("ls")).out
    assert (await cli("approve", "held")).code == 0
    await wait_for(kube, namespace, "held", in_phase("Starting"))
    late = {"x": {"ref": "ops.nobody", "value": "outputs.x"}}
    await make(kube, namespace, "late", "Waiting", params=late, control={"invalidate": False})
    assert (await cli("skip", "late")).code == 0
    skipped = await wait_for(kube, namespace, "late", in_phase("Skipped"))
    assert skipped["spec"]["control"] == {"invalidate": False, "skip": True}
    ran = await cli("stop", "held", "nobody", "late")
    assert ran.code == 4
    assert "held: stop requested" in ran.stderr
    assert "late: has ended already (Skipped)" in ran.stderr
    await wait_for(kube, namespace, "held", in_phase("Stopped", "Stopping"))
    assert held["metadata"]["name"] == "held"


async def test_waiting_for_several_ends_with_the_worst(
    cli: Cli, kube: KubeApi, namespace: str
) -> None:
    for name, code in (("good", 0), ("bad", 1)):
        await finish(kube, namespace, await make(kube, namespace, name), code)
    await make(
        kube,
        namespace,
        "late",
        "Waiting",
        params={"x": {"ref": "ops.nobody", "value": "outputs.x"}},
    )
    await cli("skip", "late")
    assert (await cli("wait", "good")).code == 0
    assert (await cli("wait", "good", "late")).code == 3
    assert (await cli("wait", "good", "late", "bad")).code == 1


async def test_deleting_what_has_not_ended_asks(cli: Cli, kube: KubeApi, namespace: str) -> None:
    await make(kube, namespace, "a")
    asked = await cli("rm", "a")
    assert (asked.code, len((await kube.list(OPERATIONS, namespace))[0])) == (2, 1)
    assert (await cli("rm", "a", "-y")).code == 0
    assert (await kube.list(OPERATIONS, namespace))[0] == []


async def test_lineage_and_explanation(cli: Cli, kube: KubeApi, namespace: str) -> None:
    up = await make(kube, namespace, "up")
    ops = [{"op": "add", "path": "/status/outputs/acc", "value": 0.5}]
    await kube.json_patch(OPERATIONS, namespace, "up", ops, subresource="status")
    await finish(kube, namespace, up)
    params = {
        "acc": {"ref": "ops.up", "value": "outputs.acc"},
        "who": {"value": "{{ globals.name }}"},
    }
    await make(kube, namespace, "down", params=params)
    assert (await cli("lineage", "up")).out.splitlines()[
        1
    ] == "`-> down (Starting)  acc = outputs.acc"
    explained = {
        one["name"]: one
        for one in json.loads((await cli("get", "down", "--explain", "-o", "json")).out)
    }
    uuid = run_uuid(up["metadata"]["uid"])
    assert explained["acc"] == {
        "name": "acc",
        "value": 0.5,
        "source": "ref",
        "detail": "ops.up outputs.acc",
        "run": uuid,
    }
    assert (explained["who"]["value"], explained["who"]["source"]) == ("down", "template")
    assert "down" in (await cli("get", "up")).out.partition("downstream:")[2]


async def test_components(cli: Cli, kube: KubeApi, namespace: str, tmp_path: Path) -> None:
    for number, message in enumerate(("created", "replaced")):
        ran = await cli("components", "apply", "-f", ECHO, "--name", "echo:v2")
        assert f"component echo.v2 {message}" in ran.stderr, (number, ran)
    assert (await cli("components", "ls", "-o", "name")).out == "echo:v2\n"
    assert yaml.safe_load((await cli("components", "get", "echo:v2")).out) == yaml.safe_load(
        ECHO.read_text()
    )
    missing = await cli("components", "get", "ecko:v2")
    assert missing.code == 4
    assert "did you mean 'echo:v2'?" in missing.errors[0]
    assert (
        await cli("run", "--hub", "echo:v2", "-P", "message=from the hub", "--name", "run")
    ).code == 0
    body = await wait_for(kube, namespace, "run", in_phase("Starting"))
    assert body["status"]["inputs"] == {"message": "from the hub"}
    (tmp_path / "op.yaml").write_text("kind: operation\nhubRef: echo\n")
    assert (await cli("components", "apply", "-f", tmp_path / "op.yaml", "--name", "x")).code == 2
    assert (await cli("components", "apply", "-f", ECHO, "--name", "Echo!")).code == 2


async def test_logs_of_what_has_none(cli: Cli, kube: KubeApi, namespace: str) -> None:
    await make(
        kube,
        namespace,
        "late",
        "Waiting",
        params={"x": {"ref": "ops.nobody", "value": "outputs.x"}},
    )
    ran = await cli("logs", "late")
    assert ran.code == 2
    assert "has no Pod yet (UpstreamNotFound)" in ran.errors[0]
    assert f"hint: opstrand logs -f late --project {namespace} waits for it." in ran.stderr
    assert (await cli("skip", "late")).code == 0
    await wait_for(kube, namespace, "late", in_phase("Skipped"))
    ended = await cli("logs", "late")
    assert ended.code == 4
    assert "it ended before it had a Pod (Skipped): skipped on request" in ended.errors[0]
    assert "waits for it" not in ended.stderr


async def test_logs_of_a_container_that_is_not_there(
    cli: Cli, kube: KubeApi, namespace: str
) -> None:
    await make(kube, namespace, "echo")
    ran = await cli("logs", "echo", "-c", "mian")
    assert ran.code == 4, ran
    assert "did you mean 'main'?" in ran.errors[0]
    assert "waits for it" not in ran.stderr


async def test_doctor_finds_what_is_missing(
    cli: Cli, control_plane: ControlPlane, namespace: str
) -> None:
    ran = await cli("doctor", "-o", "json")
    findings = {one["name"]: one for one in json.loads(ran.out)["findings"]}
    good = ("cluster", "clock", "project", "crd operations", "crd components", "rights")
    assert {name: findings[name]["verdict"] for name in good} == dict.fromkeys(good, "ok"), findings
    # Neither operator nor API is installed as a Deployment here.
    assert findings["operator"]["verdict"] == findings["api"]["verdict"] == "failed"
    assert all(one["todo"] for one in findings.values() if one["verdict"] != "ok")
    assert ran.code == 1
    stranger = await cli("doctor", KUBECONFIG=str(control_plane.user("stranger")))
    assert stranger.code == 1
    assert f"failed   rights: missing in {namespace}: get operations" in stranger.out
    refused = await cli("ls", KUBECONFIG=str(control_plane.user("stranger")))
    assert refused.code == 5
    assert "opstrand doctor" in refused.stderr


async def test_a_cluster_without_opstrand(
    cli: Cli, control_plane: ControlPlane, tmp_path: Path
) -> None:
    with ControlPlane() as bare:
        env = {"KUBECONFIG": str(bare.kubeconfig), "OPSTRAND_PROJECT": "default"}
        for command in (["ls"], ["run", "-f", ECHO], ["get", "x"]):
            ran = await cli(*command, **env)
            assert ran.code == 5, (command, ran)
            assert "kubectl apply -k manifests/" in ran.stderr
        assert "is not installed" in (await cli("doctor", **env)).out
    assert control_plane.is_ready()


async def test_runs_end_to_end_while_many_are_watched(cli: Cli, kube: KubeApi) -> None:
    async with KubeletStandIn(kube):
        codes = await asyncio.gather(*((cli("run", "-f", ECHO, "-w")) for _ in range(4)))
    assert [ran.code for ran in codes] == [0] * 4
