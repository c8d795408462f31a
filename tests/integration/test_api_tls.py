"""The API's process with a certificate of its own authority: the published client works with it unmodified, and so does ours."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opstrand.core.names import run_uuid
from opstrand.core.pods.init_steps import CA_PATH
from opstrand.kube.api import OPERATIONS, PODS, KubeApi
from opstrand.tracking.certificates import issue
from tests.cluster.control_plane import ControlPlane, free_port
from tests.integration.conftest import CHECKOUT, make_namespace, operation, run_kubectl
from tests.integration.test_api import API_USER, AUDIENCE, make_token
from tests.support.operator_process import OperatorProcess

PUBLISHED = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published") / "bin" / "python"
#: Python, where the package comes from, and the name of its client.
CLIENTS = {
    "published": (PUBLISHED, "", "polyaxon.client"),
    "ours": (Path(sys.executable), str(CHECKOUT / "operator"), "opstrand.client"),
}
REPORT = """
import json, sys, importlib
run = importlib.import_module(sys.argv[1]).RunClient()
run.refresh_data()
run.log_outputs(said_by=sys.argv[1], message=run.get_inputs()["message"])
"""
TRACK = "from polyaxon import tracking; tracking.init(); tracking.log_outputs(tracked=True); tracking.end()"


@dataclass(frozen=True)
class Place:
    """The process, and the files that it is trusted by."""

    url: str
    authority: Path
    another: Path


@pytest.fixture(scope="module")
def place(quiet_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    kubeconfig, folder = quiet_plane.kubeconfig, tmp_path_factory.mktemp("tls")
    run_kubectl(kubeconfig, "create", "namespace", "opstrand", check=False)
    run_kubectl(kubeconfig, "apply", "--server-side", "-n", "opstrand", "-f", str(CHECKOUT / "manifests/base/rbac-api.yaml"))
    run_kubectl(kubeconfig, "create", "clusterrolebinding", "api-with-tls", "--clusterrole=opstrand-api", f"--user={API_USER}")
    issued = issue(["127.0.0.1", "localhost"])
    for name, text in (("crt", issued.certificate), ("key", issued.key), ("ca", issued.authority), ("other", issue(["x"]).authority)):
        (folder / name).write_text(text)
    port = free_port("127.0.0.1")
    settings = {"api_listen_port": port, "api_tls_cert": folder / "crt", "api_tls_key": folder / "key"}
    process = OperatorProcess(Path(quiet_plane.user(API_USER)), folder / "api.log", module="opstrand.tracking", **settings)
    process.start()
    process.wait_until_started()
    yield Place(f"https://127.0.0.1:{port}", folder / "ca", folder / "other")
    assert process.stop() == 0
    entries = [json.loads(line) for line in process.read_log().splitlines()]
    assert [entry for entry in entries if entry["level"] == "error" or "traceback" in entry] == []


@pytest.fixture
def make_environment(quiet_kube: KubeApi, place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """What the operator gives to the Pod of a run that it has started."""

    async def make(namespace: str) -> dict[str, str]:
        await make_namespace(quiet_kube, namespace)
        pod = {"metadata": {"name": "a-0"}, "spec": {"containers": [{"name": "main", "image": "x"}]}}
        pod = await quiet_kube.create(PODS, namespace, pod)
        body = await quiet_kube.create(OPERATIONS, namespace, operation("a"))
        uuid = run_uuid(body["metadata"]["uid"])
        known = {"uuid": uuid, "kind": "job", "phase": "Running", "inputs": {"message": "test 1"}, "outputs": {}, "meta": {}}
        status = {**known, "pod": {"name": "a-0", "uid": pod["metadata"]["uid"]}}
        ops = [{"op": "add", "path": "/status", "value": status}]
        await quiet_kube.json_patch(OPERATIONS, namespace, "a", ops, subresource="status")
        return {
            "HOME": str(tmp_path),
            "PATH": os.defpath,
            "POLYAXON_HOST": place.url,
            "POLYAXON_VERIFY_SSL": "true",
            "POLYAXON_SSL_CA_CERT": str(place.authority),
            "POLYAXON_IS_MANAGED": "true",
            "POLYAXON_API_VERSION": "v1",
            "POLYAXON_RUN_INSTANCE": f"default.{namespace}.runs.{uuid}",
            "POLYAXON_AUTH_TOKEN": await make_token(quiet_kube, namespace, "default", pod=pod, audience=AUDIENCE),
            "POLYAXON_CONTEXT_ROOT": str(tmp_path),
        }

    return make


async def run_client(name: str, program: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    python, path, module = CLIENTS[name]
    if not python.exists() and os.environ.get("CI") != "true":
        pytest.skip("needs the published package: make published")
    command = [str(python), "-c", program, module]
    env = {**environment, "PYTHONPATH": path}
    return await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, timeout=240)


async def outputs(kube: KubeApi, namespace: str) -> dict[str, Any]:
    return dict((await kube.get(OPERATIONS, namespace, "a"))["status"]["outputs"])


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_in_a_run_works_with_it(quiet_kube: KubeApi, make_environment: Any, client: str) -> None:
    namespace = f"tls-{client}"
    environment = await make_environment(namespace)
    done = await run_client(client, REPORT, environment)
    assert done.returncode == 0, done.stderr
    assert await outputs(quiet_kube, namespace) == {"said_by": CLIENTS[client][2], "message": "test 1"}
    if client == "published":
        done = await run_client(client, TRACK, environment)
        assert done.returncode == 0, done.stderr
        assert (await outputs(quiet_kube, namespace))["tracked"] is True


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_gives_its_token_to_no_one_else(quiet_kube: KubeApi, make_environment: Any, place: Place, client: str) -> None:
    namespace = f"tls-wrong-{client}"
    environment = await make_environment(namespace)
    impatient = REPORT.replace("RunClient()", "RunClient()\nif hasattr(run, '_connection'): run._connection.patience = 1\nrun = run")
    for wrong in ({"POLYAXON_SSL_CA_CERT": str(place.another)}, {"POLYAXON_SSL_CA_CERT": ""}):
        done = await run_client(client, impatient, environment | wrong)
        assert done.returncode != 0, done.stdout
        assert "certificate verify failed" in done.stderr.lower()
    assert await outputs(quiet_kube, namespace) == {}


async def test_who_does_not_ask_for_proof_gets_none(quiet_kube: KubeApi, make_environment: Any) -> None:
    environment = await make_environment("tls-unverified")
    done = await run_client("ours", REPORT, environment | {"POLYAXON_VERIFY_SSL": "false", "POLYAXON_SSL_CA_CERT": ""})
    assert done.returncode == 0, done.stderr


async def test_nothing_is_said_in_clear(place: Place) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(place.url.replace("https", "http") + "/healthz")


def test_a_run_is_handed_the_file_where_it_looks() -> None:
    assert CA_PATH == "/plx-context/.configs/ca.crt"
