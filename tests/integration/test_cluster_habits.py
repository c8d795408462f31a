"""Habits of lists, dry runs and restarts against a real API server. The table of them all, with
local runs, is tests/cli/test_habits.py.
"""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from opstrand.core.names import run_uuid
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import in_phase, operation, wait_for
from tests.support.command_line import OPSTRAND, SAMPLES, Ran, environment, run_opstrand

pytestmark = pytest.mark.usefixtures("operator")
ECHO = SAMPLES / "echo.yaml"
#: Seconds that a busy machine may take for a line.
PATIENCE = 60


@pytest.fixture
def env(control_plane: ControlPlane, namespace: str) -> dict[str, str]:
    return {"KUBECONFIG": str(control_plane.kubeconfig), "OPSTRAND_PROJECT": namespace}


async def call(env: dict[str, str], *arguments: str | Path) -> Ran:
    return await asyncio.to_thread(run_opstrand, *arguments, env=env)


async def test_a_list_that_is_watched_shows_what_comes_and_what_goes(
    kube: KubeApi, namespace: str, env: dict[str, str]
) -> None:
    await kube.create(OPERATIONS, namespace, operation("first", {}))
    process = await asyncio.create_subprocess_exec(
        *(str(OPSTRAND), "ls", "-w", "--no-headers"),
        stdout=asyncio.subprocess.PIPE,
        env=environment(**env),
    )
    assert process.stdout is not None

    async def read_until(name: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not (await process.stdout.readline()).decode().startswith(f"{name} "):  # type: ignore[union-attr]
                pass

    await read_until("first")
    await kube.create(OPERATIONS, namespace, operation("second", {}))
    await read_until("second")
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 130


async def test_lists_by_labels_and_the_newest_run(
    kube: KubeApi, namespace: str, env: dict[str, str]
) -> None:
    for name, team in (("one", "a"), ("two", "b")):
        body = operation(name, {})
        body["metadata"]["labels"] = {"team": team}
        await kube.create(OPERATIONS, namespace, body)
        await asyncio.sleep(1.1)  # the API server counts whole seconds
    assert (await call(env, "ls", "-q", "-l", "team in (a, c)")).out == "one\n"
    assert (await call(env, "get", "@latest", "-q")).out == "two\n"
    shown = await call(env, "ls", "-o", "jsonpath={.items[*].metadata.name}", "--sort-by", "name")
    assert shown.out == "one two\n"


async def test_a_dry_run_by_the_server_creates_nothing(
    kube: KubeApi, namespace: str, env: dict[str, str]
) -> None:
    ran = await call(env, "run", "--dry-run=server", ECHO, "--name", "x", "-o", "json")
    assert ran.code == 0, ran
    assert f"would create run x in project {namespace} (the API server accepts it)" in ran.stderr
    assert json.loads(ran.out)["metadata"]["uid"]
    assert (await kube.list(OPERATIONS, namespace))[0] == []


async def test_a_restart_names_its_origin_and_takes_other_params(
    kube: KubeApi, namespace: str, env: dict[str, str]
) -> None:
    await call(env, "run", ECHO, "-P", "message=a", "--name", "first")
    first = await wait_for(kube, namespace, "first", in_phase("Starting"))
    ran = await call(env, "restart", "first", "-P", "message=b", "--name", "again")
    assert ran.code == 0, ran
    body = await kube.get(OPERATIONS, namespace, "again")
    assert body["spec"]["params"] == {"message": {"value": "b"}}
    origin = body["metadata"]["annotations"]["opstrand.dev/restart-of"]
    assert origin == run_uuid(first["metadata"]["uid"])
