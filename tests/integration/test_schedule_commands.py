"""A schedule through the command line, on a real API server with the real operator."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, wait_for
from tests.support.command_line import CHECKOUT, Ran, run_opstrand
from tests.support.scripted_kubelet import ScriptedKubelet

pytestmark = pytest.mark.usefixtures("operator", "kubelet")
NIGHTLY = CHECKOUT / "manifests" / "samples" / "nightly.yaml"

Cli = Callable[..., Awaitable[Ran]]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def kubelet(kube: KubeApi) -> AsyncIterator[ScriptedKubelet]:
    async with ScriptedKubelet(kube) as kubelet:
        yield kubelet


@pytest.fixture
def cli(control_plane: ControlPlane, namespace: str) -> Cli:
    env = {"KUBECONFIG": str(control_plane.kubeconfig), "OPSTRAND_PROJECT": namespace}

    async def run(*arguments: Any) -> Ran:
        return await asyncio.to_thread(run_opstrand, *arguments, env=env)

    return run


async def test_the_nightly_sample_says_when_it_runs_and_is_suspended_and_resumed(
    kube: KubeApi, namespace: str, cli: Cli
) -> None:
    await kube.create(OPERATIONS, namespace, yaml.safe_load(NIGHTLY.read_text()))
    await wait_for(kube, namespace, "nightly", in_phase("Running"))
    shown = (await cli("get", "nightly")).out
    times = re.findall(r"^  (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (\S+)$", shown, re.MULTILINE)
    assert len(times) == 3, shown
    assert {zone for _, zone in times} == {"Europe/Berlin"}
    assert re.search(r"^message: +next run at \S+T02:30:00\+0[12]:00$", shown, re.MULTILINE)
    assert "runs: 0 runs" in shown
    ran = await cli("suspend", "nightly")
    assert (ran.code, "suspended" in ran.stderr) == (0, True), ran

    def is_suspended(body: Any) -> bool:
        return bool(body["status"]["reason"] == "Suspended")

    await wait_for(kube, namespace, "nightly", is_suspended)
    assert "none: it is suspended" in (await cli("get", "nightly")).out
    ran = await cli("resume", "nightly")
    assert ran.code == 0, ran
    await wait_for(kube, namespace, "nightly", lambda one: not is_suspended(one))
    listed = (await cli("ls")).out
    assert re.search(r"nightly +schedule +Running", listed), listed
    ran = await cli("stop", "nightly")
    assert ran.code == 0, ran
    await wait_for(kube, namespace, "nightly", in_phase("Stopped"))
    assert "has ended already" in (await cli("suspend", "nightly")).stderr


async def test_a_submitted_schedule_shows_its_ends_and_lists_its_runs(
    kube: KubeApi, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    component = {
        "run": {
            "kind": "job",
            "environment": {"annotations": {"test/until": "Running"}},
            "container": {"image": "busybox", "command": ["true"]},
        }
    }
    section = {"kind": "interval", "frequency": 1, "maxRuns": 2}
    file = tmp_path / "often.yaml"
    file.write_text(
        yaml.safe_dump({"kind": "operation", "schedule": section, "component": component})
    )
    ran = await cli("run", "-f", file, "--name", "often")
    assert ran.code == 0, ran
    await wait_for(kube, namespace, "often", in_phase("Succeeded"), 90)
    shown = (await cli("get", "often")).out
    assert re.search(r"^runs: 2 runs, 2 succeeded", shown, re.MULTILINE), shown
    listed = (await cli("ls", "--pipeline", "often", "-q")).out.split()
    assert sorted(listed) == sorted(re.findall(r"Succeeded +(often-\S+)", shown))
    assert (await cli("ls", "-q")).out.split() == ["often"]
    ran = await cli("suspend", listed[0])
    assert "has ended already" in ran.stderr
