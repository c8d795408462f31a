"""The cluster that `make cluster` started, with manifests/ applied unchanged: real Pods, real
containers, the real image.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import secrets
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.resources import NAMESPACES, OPERATIONS
from opstrand.kube.session import open_session
from opstrand.types import Manifest
from tests.cluster.cluster import Cluster, read_cluster
from tests.e2e import token_life
from tests.support.install import KUBECTL, install

if TYPE_CHECKING:
    from tests.e2e.node_loss import Witnessed

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLES = CHECKOUT / "tests" / "samples"
PUBLISHED = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
_namespaces = itertools.count(1)


#: Fixtures that take the cluster minutes start with the first test, and the last tests wait for
#: them: the shortest first.
BEGUN_EARLY = ("lost_node", "run_with_a_short_token")


def _begun_early(item: pytest.Item) -> int:
    """Return the position of a test's fixture in that list, from 1; 0 for all other tests."""
    return max(
        number * (name in getattr(item, "fixturenames", ()))
        for number, name in enumerate(BEGUN_EARLY, 1)
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_begun_early)


@pytest.fixture(scope="session", autouse=True)
def begun_early(request: pytest.FixtureRequest) -> None:
    for number in sorted({_begun_early(item) for item in request.session.items} - {0}):
        request.getfixturevalue(BEGUN_EARLY[number - 1])


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Update the cluster, its images and our installation, and yield the cluster."""
    # `up` starts nothing if a healthy cluster runs: it builds the images whose content changed.
    subprocess.run(
        [str(CHECKOUT / ".venv/bin/python"), "-m", "tests.cluster", "up"],
        cwd=CHECKOUT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    found = read_cluster()
    before, os.environ["KUBECONFIG"] = os.environ.get("KUBECONFIG"), found.kubeconfig
    install()
    yield found
    if before is None:
        del os.environ["KUBECONFIG"]


@pytest.fixture(scope="session")
def every_image(cluster: Cluster) -> None:
    """Build also the images that are built on request only."""
    del cluster
    subprocess.run(
        [str(CHECKOUT / ".venv/bin/python"), "-m", "tests.cluster", "images", "--all"],
        cwd=CHECKOUT,
        check=True,
    )


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def kube(cluster: Cluster) -> AsyncIterator[KubeApi]:
    async with await open_session(kubeconfig=cluster.kubeconfig) as session:
        yield KubeApi(session)


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(kube: KubeApi) -> AsyncIterator[str]:
    """Yield a project that no other test uses; it is deleted afterwards."""
    name = f"e2e-{next(_namespaces)}-{secrets.token_hex(3)}"
    await make_namespace(kube, name)
    yield name
    await kube.delete(NAMESPACES, None, name)


@dataclass(frozen=True)
class ShortTokenRun:
    """The run of `token_life`. `token` is another short token of its Pod, which is not used yet."""

    namespace: str
    name: str
    token: str
    until: float


@pytest.fixture(scope="session")
def run_with_a_short_token(cluster: Cluster) -> Iterator[ShortTokenRun]:
    """The run takes ten minutes: other tests run during this time."""
    del cluster
    namespace, name = f"e2e-token-{int(time.time()) % 100000}", token_life.NAME
    kubectl("create", "namespace", namespace)
    wait_for_output("-n", namespace, "get", "serviceaccount", "default", "-o", "name")
    kubectl(
        "-n",
        namespace,
        "create",
        "-f",
        "-",
        stdin=json.dumps(operation(name, token_life.token_life_spec())),
    )
    pod = wait_for_output(
        "-n", namespace, "get", "operation", name, "-o", "jsonpath={.status.pod.name}"
    )
    token = make_token(namespace, pod, seconds=token_life.LIFE)
    yield ShortTokenRun(namespace, name, token, time.monotonic() + token_life.PATIENCE)
    kubectl("delete", "namespace", namespace, "--wait=false")


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def lost_node(
    cluster: Cluster, kube: KubeApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[asyncio.Task[Witnessed]]:
    """Run on a node that goes silent, as `node_loss` describes."""
    from tests.e2e.node_loss import witness

    namespace = f"e2e-node-{int(time.time()) % 100000}"
    await make_namespace(kube, namespace)
    task = asyncio.create_task(
        witness(kube, cluster.kubeconfig, namespace, tmp_path_factory.mktemp("lost-node"))
    )
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await kube.delete(NAMESPACES, None, namespace)


def make_token(namespace: str, pod: str, *, audience: str = "opstrand", seconds: int = 3600) -> str:
    """Return a token like the one that is mounted in the Pod."""
    uid = wait_for_output("-n", namespace, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    bound = ("--bound-object-kind", "Pod", "--bound-object-name", pod, "--bound-object-uid", uid)
    made = kubectl(
        "-n",
        namespace,
        "create",
        "token",
        "default",
        "--audience",
        audience,
        "--duration",
        f"{seconds}s",
        *bound,
    )
    return made.stdout.strip()


def wait_for_output(*arguments: str, seconds: float = 60) -> str:
    """Return kubectl's output, as soon as it prints something."""
    deadline = time.monotonic() + seconds
    while True:
        done = kubectl(*arguments, check=False)
        if done.returncode == 0 and done.stdout:
            return done.stdout
        assert time.monotonic() < deadline, (
            f"kubectl {' '.join(arguments)}: nothing within {seconds} s: {done.stderr}"
        )
        time.sleep(0.1)


@contextmanager
def forward_api(folder: Path) -> Iterator[str]:
    """Yield the API's address as a laptop has it: through a port-forward, which lives as long as
    the Pod behind it.
    """
    log = folder / "port-forward.log"
    command = [
        KUBECTL,
        "-n",
        "opstrand",
        "port-forward",
        "service/opstrand-api",
        ":8000",
        "--address",
        "127.0.0.1",
    ]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield f"https://127.0.0.1:{_wait_for_port(process, log)}"
    finally:
        process.terminate()
        process.wait(60)


def read_authority() -> str:
    """Return the authority by which clients trust the installation's API, read as a user with
    rights in its namespace reads it.
    """
    found = kubectl(
        "-n", "opstrand", "get", "configmap", "opstrand-api-ca", "-o", "jsonpath={.data.ca\\.crt}"
    ).stdout
    assert "-----BEGIN CERTIFICATE-----" in found
    return found


def open_http(token: str) -> aiohttp.ClientSession:
    """Return a session for requests to the API, whose certificate it verifies."""
    trust = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=read_authority()))
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, connector=trust)


@pytest.fixture
def api_url(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    del cluster
    with forward_api(tmp_path) as url:
        yield url


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(600):
        found = re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"no port within 60 s: {log.read_text()}")


async def make_namespace(kube: KubeApi, name: str) -> None:
    await kube.create(
        NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    for _ in range(1200):
        if kubectl("-n", name, "get", "serviceaccount", "default", check=False).returncode == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no default service account")


def kubectl(
    *arguments: str, stdin: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([KUBECTL, *arguments], input=stdin, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done


def opstrand(*arguments: str, timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the real command line, without a terminal."""
    command = [str(CHECKOUT / ".venv/bin/opstrand"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env={**os.environ, **env}
    )


def operation(name: str, spec: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": {"name": name},
        "spec": spec,
    }


def script(
    source: str, image: str = "polyaxon/polyaxon-quick-start", **fields: Any
) -> dict[str, Any]:
    """Return a component that writes this Python file and runs it; `fields` are merged over the
    component.
    """
    run = {
        "kind": "job",
        "init": [{"file": {"filename": "main.py", "content": source}}],
        "container": {
            "image": image,
            "workingDir": "{{ globals.artifacts_path }}",
            "command": ["python3", "-u", "main.py"],
        },
    }
    return {"run": run, **fields}


async def wait_for(
    kube: KubeApi, namespace: str, name: str, until: Callable[[Manifest], bool], seconds: float = 90
) -> Manifest:
    """Return the Operation as soon as `until` holds; the failure shows all that is known of it."""
    deadline = time.monotonic() + seconds
    while True:
        body = await kube.get(OPERATIONS, namespace, name)
        if until(body):
            return body
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s:\n{describe(namespace, body)}")
        await asyncio.sleep(0.2)


def describe(namespace: str, body: Manifest) -> str:
    pod = (body.get("status") or {}).get("pod", {}).get("name", "none")
    parts = [
        yaml.safe_dump({"spec": body.get("spec"), "status": body.get("status")}),
        kubectl("-n", namespace, "get", "pod", pod, "-o", "yaml", check=False).stdout[-3000:],
        kubectl("-n", namespace, "logs", pod, "--all-containers", "--tail=40", check=False).stdout,
        kubectl(
            "-n", "opstrand", "logs", "deployment/opstrand-operator", "--tail=30", check=False
        ).stdout,
        kubectl(
            "-n", "opstrand", "logs", "deployment/opstrand-api", "--tail=30", check=False
        ).stdout,
    ]
    return "\n---\n".join(parts)


def in_phase(*phases: str) -> Callable[[Manifest], bool]:
    return lambda body: parse_phase(body.get("status")).value in phases


def is_final(body: Manifest) -> bool:
    return parse_phase(body.get("status")).is_final


async def succeed(kube: KubeApi, namespace: str, name: str, seconds: float = 90) -> Manifest:
    """Return the run once it has succeeded."""
    body = await wait_for(kube, namespace, name, is_final, seconds)
    assert body["status"]["phase"] == "Succeeded", describe(namespace, body)
    return body


def main_log(namespace: str, body: Manifest) -> str:
    return kubectl("-n", namespace, "logs", body["status"]["pod"]["name"], "-c", "main").stdout


def main_log_lines(namespace: str, body: Manifest) -> list[str]:
    """Return its lines sorted: the container runtime reads stdout and stderr by two pipes, so their
    relative order is not fixed.
    """
    return sorted(main_log(namespace, body).splitlines())
