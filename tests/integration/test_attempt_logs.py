"""The logs of a retried run in a cluster: `run -l` and `logs -f` show every attempt, and each can
be read later.

The API server, the operator and the command line are real; behind the API server is a kubelet that
serves what the test writes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

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
#: The exit codes of the attempts.
CODES = (1, 1, 0)


def write_job(folder: Path, node: str) -> Path:
    run = {
        "kind": "job",
        "environment": {"nodeName": node},
        "container": {"image": "x", "command": ["true"]},
    }
    component = {"kind": "component", "termination": {"maxRetries": len(CODES) - 1}, "run": run}
    (folder / "job.yaml").write_text(yaml.safe_dump(component))
    return folder / "job.yaml"


async def live(
    kube: KubeApi, kubelet: TalkingKubelet, namespace: str, number: int, code: int
) -> None:
    """Play one attempt: its Pod runs, writes and ends."""

    def is_there(body: Manifest) -> bool:
        status = body.get("status") or {}
        return bool(status.get("attempt", 0) == number and in_phase("Starting")(body))

    body = await wait_for(kube, namespace, "again", is_there, 60)
    pod = await pod_of(kube, namespace, body)
    name = pod["metadata"]["name"]
    pod = await mark(kube, pod, running(STARTED))
    await wait_for(kube, namespace, "again", in_phase("Running"), 60)
    for line in ("begins", "ends"):
        kubelet.write(name, f"{number} {line}")
    await mark(kube, pod, ended(code, STARTED))
    kubelet.end(name)


async def appear(kube: KubeApi, namespace: str) -> None:
    for _ in range(1200):
        try:
            await kube.get(OPERATIONS, namespace, "again")
            return
        except NotFound:
            await asyncio.sleep(0.05)
    raise AssertionError("was not created")


async def test_every_attempt_is_shown_and_can_be_asked_for(
    control_plane: ControlPlane, kube: KubeApi, namespace: str, tmp_path: Path
) -> None:
    env = {"KUBECONFIG": str(control_plane.kubeconfig), "OPSTRAND_PROJECT": namespace}

    async def cli(*arguments: Any) -> Ran:
        return await asyncio.to_thread(run_opstrand, *arguments, env=env)

    async with TalkingKubelet(kube, control_plane.authority) as kubelet:
        file = write_job(tmp_path, kubelet.name)
        shown = asyncio.create_task(cli("run", "-f", file, "--name", "again", "-l"))
        await appear(kube, namespace)
        followed = asyncio.create_task(cli("logs", "-f", "again"))
        for number, code in enumerate(CODES):
            await live(kube, kubelet, namespace, number, code)
        each = [f"{number} begins\n{number} ends\n" for number in range(len(CODES))]
        for ran in (await shown, await followed):
            assert (ran.code, ran.out) == (0, "".join(each)), ran
        for words, expected in (
            (("-f",), "".join(each)),
            ((), each[2]),
            (("--previous",), each[1]),
            (("--attempt", "0"), each[0]),
            (("--attempt", "1"), each[1]),
        ):
            assert (await cli("logs", "again", *words)).out == expected, words
        missing = await cli("logs", "again", "--attempt", "3")
        assert (missing.code, "there are attempts 0 to 2" in missing.stderr) == (4, True)
