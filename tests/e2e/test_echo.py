"""The two programs of the run client's page, byte for byte, through kubectl and through our command
line.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS, PODS
from tests.cluster.cluster import Cluster
from tests.e2e.conftest import CHECKOUT, SAMPLES, kubectl, main_log, operation, opstrand, succeed
from tests.support.audit import count_requests

MESSAGES = {
    "test-1": "test 1",
    "test-2": "test 2",
    "default": None,
    "quoted": 'it\'s "quoted" $(HOME) $$ \\n ünïcode',
}
PROGRAMS = {"client": "echo.yaml", "tracking": "echo-tracking.yaml"}


def printed(message: str | None) -> str:
    return f"{ {'message': 'Default message' if message is None else message} }\n"


def audit_size(cluster: Cluster) -> int:
    return Path(cluster.audit_log).stat().st_size


async def test_every_message_through_both_programs_by_kubectl(
    kube: KubeApi, namespace: str
) -> None:
    for program, file in PROGRAMS.items():
        component = yaml.safe_load((SAMPLES / file).read_text())
        for label, message in MESSAGES.items():
            params = {} if message is None else {"params": {"message": {"value": message}}}
            manifest = operation(f"{program}-{label}", {**params, "component": component})
            kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(manifest))
    kubectl(
        "-n", namespace, "wait", "--for=condition=Finished", "operation", "--all", "--timeout=150s"
    )
    for program in PROGRAMS:
        for label, message in MESSAGES.items():
            body = await succeed(kube, namespace, f"{program}-{label}")
            assert main_log(namespace, body) == printed(message), f"{program}-{label}"
    shown = kubectl("-n", namespace, "get", "operations").stdout.splitlines()
    columns = ["NAME", "KIND", "PHASE", "REASON", "CHILDREN", "STARTED", "DURATION"]
    assert shown[0].split()[:7] == columns
    assert shown[1].split()[1:4] == ["job", "Succeeded", "Succeeded"]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_opstrand_run_follows_the_log_and_exits_with_the_result(
    namespace: str, cluster: Cluster, program: str
) -> None:
    del cluster
    message = MESSAGES["quoted"]
    done = await asyncio.to_thread(
        opstrand,
        "run",
        "-f",
        str(SAMPLES / PROGRAMS[program]),
        "-P",
        f"message={message}",
        "-l",
        "-p",
        namespace,
        "--name",
        "run",
    )
    assert (done.returncode, done.stdout) == (0, printed(message)), done.stderr


async def test_the_plan_is_the_same_bytes_in_the_cluster_and_on_the_laptop(
    kube: KubeApi, namespace: str, tmp_path: Path
) -> None:
    file, message = str(SAMPLES / "echo.yaml"), MESSAGES["quoted"]
    done = await asyncio.to_thread(
        opstrand,
        "run",
        "-f",
        file,
        "-P",
        f"message={message}",
        "-w",
        "-p",
        namespace,
        "--name",
        "plan",
    )
    assert done.returncode == 0, done.stderr
    body = await kube.get(OPERATIONS, namespace, "plan")
    pod = await kube.get(PODS, namespace, body["status"]["pod"]["name"])
    identity = ("--uuid", body["status"]["uuid"], "--project", namespace, "--name", "plan")
    rendered = await asyncio.to_thread(
        opstrand,
        "render",
        "-f",
        file,
        "-P",
        f"message={message}",
        "--stage",
        "plan",
        "-o",
        "json",
        *identity,
    )
    assert rendered.returncode == 0, rendered.stderr
    digest = hashlib.sha256(rendered.stdout.removesuffix("\n").encode()).hexdigest()
    assert digest == pod["metadata"]["annotations"]["opstrand.dev/plan-digest"]


async def test_the_api_writes_nothing_for_the_first_program_and_once_for_the_second(
    kube: KubeApi, namespace: str, cluster: Cluster
) -> None:
    if not cluster.audit_log:
        pytest.skip(
            "kind's API server keeps no audit log that can be read; the integration tier counts "
            "the same"
        )
    users = [f"system:serviceaccount:opstrand:opstrand-{part}" for part in ("operator", "api")]
    for program, writes in (("client", 0), ("tracking", 1)):
        offset = audit_size(cluster)
        component = yaml.safe_load((SAMPLES / PROGRAMS[program]).read_text())
        await kube.create(OPERATIONS, namespace, operation(program, {"component": component}))
        await succeed(kube, namespace, program)
        await asyncio.sleep(0.5)
        ours, api = (
            count_requests(Path(cluster.audit_log), user, after=offset, namespace=namespace)
            for user in users
        )
        assert ours["create", "pods", 201] == 1
        assert ours["patch", "operations/status", 200] in (2, 3)
        assert api["patch", "operations/status", 200] == writes
        assert not [key for key in (*ours, *api) if key[2] == 409]


async def test_deployments_are_as_small_as_they_say(cluster: Cluster) -> None:
    del cluster
    found = json.loads(kubectl("-n", "opstrand", "get", "pods", "-o", "json").stdout)["items"]
    running = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    assert len(running) == 2
    for pod in running:
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


def test_doctor_finds_nothing_wrong(cluster: Cluster) -> None:
    done = subprocess.run(
        [str(CHECKOUT / ".venv/bin/opstrand"), "doctor"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    del cluster
