"""The cluster that `make cluster` brought up, with manifests/ applied as they are: real Pods, real containers, the real image."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from opstrand.core.phase import parse_phase
from opstrand.kube.api import NAMESPACES, OPERATIONS, KubeApi, Manifest
from opstrand.kube.session import open_session
from tests.cluster.cluster import Cluster, read_cluster
from tests.support.install import KUBECTL, install

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLES = CHECKOUT / "tests" / "samples"
PUBLISHED = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
_namespaces = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, its images and our installation brought up to date."""
    # `up` starts nothing where a healthy cluster is: it builds the images whose content changed.
    subprocess.run([str(CHECKOUT / ".venv/bin/python"), "-m", "tests.cluster", "up"], cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)
    found = read_cluster()
    before, os.environ["KUBECONFIG"] = os.environ.get("KUBECONFIG"), found.kubeconfig
    install()
    yield found
    if before is None:
        del os.environ["KUBECONFIG"]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def kube(cluster: Cluster) -> AsyncIterator[KubeApi]:
    async with await open_session(kubeconfig=cluster.kubeconfig) as session:
        yield KubeApi(session)


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(kube: KubeApi) -> AsyncIterator[str]:
    """A project that no other test knows; gone afterwards."""
    name = f"e2e-{next(_namespaces)}-{int(time.time()) % 100000}"
    await make_namespace(kube, name)
    yield name
    await kube.delete(NAMESPACES, None, name)


async def make_namespace(kube: KubeApi, name: str) -> None:
    await kube.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for _ in range(200):
        if kubectl("-n", name, "get", "serviceaccount", "default", check=False).returncode == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no default service account")


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([KUBECTL, *arguments], input=stdin, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done


def opstrand(*arguments: str, timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
    """The real command line, as a person's terminal would not be."""
    command = [str(CHECKOUT / ".venv/bin/opstrand"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env={**os.environ, **env})


def operation(name: str, spec: dict[str, Any]) -> Manifest:
    return {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "metadata": {"name": name}, "spec": spec}


def script(source: str, image: str = "polyaxon/polyaxon-quick-start", **fields: Any) -> dict[str, Any]:
    """A component that writes this Python beside it and runs it; `fields` are laid over the component."""
    run = {
        "kind": "job",
        "init": [{"file": {"filename": "main.py", "content": source}}],
        "container": {"image": image, "workingDir": "{{ globals.artifacts_path }}", "command": ["python3", "-u", "main.py"]},
    }
    return {"run": run, **fields}


async def wait_for(kube: KubeApi, namespace: str, name: str, until: Callable[[Manifest], bool], seconds: float = 90) -> Manifest:
    """The Operation as soon as `until` holds; all that is known of it in the failure otherwise."""
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
        kubectl("-n", "opstrand", "logs", "deployment/opstrand-operator", "--tail=30", check=False).stdout,
        kubectl("-n", "opstrand", "logs", "deployment/opstrand-api", "--tail=30", check=False).stdout,
    ]
    return "\n---\n".join(parts)


def in_phase(*phases: str) -> Callable[[Manifest], bool]:
    return lambda body: parse_phase(body.get("status")).value in phases


def is_final(body: Manifest) -> bool:
    return parse_phase(body.get("status")).is_final


async def succeed(kube: KubeApi, namespace: str, name: str, seconds: float = 90) -> Manifest:
    """The run, once it has ended well."""
    body = await wait_for(kube, namespace, name, is_final, seconds)
    assert body["status"]["phase"] == "Succeeded", describe(namespace, body)
    return body


def main_log(namespace: str, body: Manifest) -> str:
    return kubectl("-n", namespace, "logs", body["status"]["pod"]["name"], "-c", "main").stdout
