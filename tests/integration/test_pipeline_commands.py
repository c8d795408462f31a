"""A pipeline through the command line, on a real API server with the real operator: the logs of its
runs, its tree while it runs, its lists and its stop.

Behind the API server is a kubelet that serves the logs that the test writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from opstrand.core.names import child_name, run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import OPERATIONS
from opstrand.types import Manifest
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, pod_of, wait_for
from tests.support.command_line import Ran, run_opstrand
from tests.support.kubelet_stand_in import ended, mark, running
from tests.support.talking_kubelet import TalkingKubelet

pytestmark = pytest.mark.usefixtures("operator")
STARTED = "2026-01-01T00:00:00Z"

Cli = Callable[..., Awaitable[Ran]]


@pytest.fixture
def cli(control_plane: ControlPlane, namespace: str) -> Cli:
    env = {"KUBECONFIG": str(control_plane.kubeconfig), "OPSTRAND_PROJECT": namespace}

    async def run(*arguments: Any) -> Ran:
        return await asyncio.to_thread(run_opstrand, *arguments, env=env)

    return run


def job(name: str, node: str, *dependencies: str) -> dict[str, Any]:
    environment = {"nodeName": node} if node else {}
    container = {"image": "x", "command": ["true"]}
    run = {"kind": "job", "environment": environment, "container": container}
    return {"name": name, "dependencies": list(dependencies), "component": {"run": run}}


def write(folder: Path, *operations: Mapping[str, Any], **run: Any) -> Path:
    component = {"kind": "component", "run": {"kind": "dag", "operations": [*operations], **run}}
    (folder / "dag.yaml").write_text(yaml.safe_dump(component))
    return folder / "dag.yaml"


async def appear(kube: KubeApi, namespace: str, name: str) -> Manifest:
    for _ in range(1200):
        try:
            return await kube.get(OPERATIONS, namespace, name)
        except NotFound:
            await asyncio.sleep(0.05)
    raise AssertionError(f"{name} was not created")


async def child(kube: KubeApi, pipeline: Manifest, op: str) -> Manifest:
    metadata = pipeline["metadata"]
    name = child_name(metadata["name"], run_uuid(metadata["uid"]), op)
    return await appear(kube, metadata["namespace"], name)


async def begin(kube: KubeApi, body: Manifest) -> Manifest:
    """Let the Pod of a run begin, and return it."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    body = await wait_for(kube, namespace, name, in_phase("Starting"), 60)
    pod = await mark(kube, await pod_of(kube, namespace, body), running(STARTED))
    await wait_for(kube, namespace, name, in_phase("Running"), 60)
    return pod


async def live(kube: KubeApi, kubelet: TalkingKubelet, body: Manifest, code: int = 0) -> None:
    pod = await begin(kube, body)
    for line in ("begins", "ends"):
        kubelet.write(pod["metadata"]["name"], line)
    await mark(kube, pod, ended(code, STARTED))
    kubelet.end(pod["metadata"]["name"])


def by_run(out: str) -> dict[str, list[str]]:
    """Return the lines of each run in their order: those of two runs may come in any order."""
    found: dict[str, list[str]] = {}
    for line in out.splitlines():
        prefix, _, text = line.partition(" ")
        found.setdefault(prefix, []).append(text)
    return found


async def test_the_log_of_a_pipeline_has_every_line_of_its_runs(
    cli: Cli, control_plane: ControlPlane, kube: KubeApi, namespace: str, tmp_path: Path
) -> None:
    async with TalkingKubelet(kube, control_plane.authority) as kubelet:
        node = kubelet.name
        inner = {"kind": "dag", "operations": [job("a", node), job("b", node, "a")]}
        nested = {"name": "inner", "dependencies": ["prep"], "component": {"run": inner}}
        file = write(tmp_path, job("prep", node), nested, job("last", node, "inner"))
        shown = asyncio.create_task(cli("run", "-f", file, "--name", "flow", "-l"))
        flow = await appear(kube, namespace, "flow")
        followed = asyncio.create_task(cli("logs", "-f", "flow"))
        await live(kube, kubelet, await child(kube, flow, "prep"))
        below = await child(kube, flow, "inner")
        part = asyncio.create_task(cli("logs", "-f", "flow/inner"))
        await live(kube, kubelet, await child(kube, below, "a"))
        await live(kube, kubelet, await child(kube, below, "b"))
        await live(kube, kubelet, await child(kube, flow, "last"), code=1)
        paths = ("prep", "inner/a", "inner/b", "last")
        each = "".join(f"[{path}] begins\n[{path}] ends\n" for path in paths)
        for ran in (await shown, await followed):
            assert (ran.code, by_run(ran.out)) == (1, by_run(each)), ran
        inside = "".join(f"[{path}] begins\n[{path}] ends\n" for path in "ab")
        assert by_run((await part).out) == by_run(inside)
        assert by_run((await cli("logs", "flow")).out) == by_run(each)
        assert (await cli("logs", "flow/inner/b")).out == "begins\nends\n"


async def test_the_tree_and_the_lists_follow_a_pipeline_to_its_stop(
    cli: Cli, kube: KubeApi, namespace: str, tmp_path: Path
) -> None:
    ops = (job("one", ""), job("two", ""), job("last", "", "one"))
    file = write(tmp_path, *ops, concurrency=1)
    assert (await cli("run", "-f", file, "--name", "flow")).code == 0
    flow = await appear(kube, namespace, "flow")
    one = await child(kube, flow, "one")
    await begin(kube, one)
    await wait_for(kube, namespace, "flow", in_phase("Running"), 60)
    shown = (await cli("get", "flow")).out
    lines = {line.split()[1]: line for line in shown.splitlines() if "─" in line}
    assert "Running" in lines["one"]
    assert "waits for a place: 1 of 1 run (concurrency)" in lines["two"]
    assert "waits for one (Running)" in lines["last"]
    assert "message:   waits for one (Running)" in (await cli("get", "flow/last")).out
    assert (await cli("ls", "-q")).out == "flow\n"
    assert (await cli("ls", "-q", "--pipeline", "flow")).out == f"{one['metadata']['name']}\n"
    assert (await cli("ls", "-q", "--all-children", "--sort", "name")).out.split() == [
        "flow",
        one["metadata"]["name"],
    ]
    watched = asyncio.create_task(cli("get", "flow", "-w"))
    assert (await cli("stop", "flow")).code == 0
    pod = await pod_of(
        kube, namespace, await kube.get(OPERATIONS, namespace, one["metadata"]["name"])
    )
    await mark(kube, pod, ended(143, STARTED, reason="DeadlineExceeded"))
    assert (await watched).code == 3
    assert (await cli("wait", "flow/one")).code == 3
    shown = (await cli("get", "flow")).out
    assert shown.count("not run, or its run is gone: the pipeline was stopped") == 2
