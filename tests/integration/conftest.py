"""One real API server and etcd per session, the real operator with the rights of manifests/, and no
kubelet: tests mark the Pods.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from opstrand.core.phase import parse_phase
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import NotFound
from opstrand.kube.resources import NAMESPACES, OPERATIONS, PODS, Resource
from opstrand.kube.session import open_session
from opstrand.types import Manifest
from tests.cluster.control_plane import METADATA_POLICY, ControlPlane
from tests.integration.rights import (
    SELDOM_BY_THE_API,
    SELDOM_BY_THE_OPERATOR,
    check_rights,
    is_whole_tier,
)
from tests.support.crds import wait_for_crds
from tests.support.operator_process import OperatorProcess

CHECKOUT = Path(__file__).resolve().parents[2]
KUBECTL = str(CHECKOUT / ".venv" / "bin" / "kubectl")
OPERATOR_USER = "opstrand-operator"
_namespaces = itertools.count(1)


def run_kubectl(
    kubeconfig: Path, *arguments: str, stdin: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", str(kubeconfig), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """Yield the API server that all tests share. After the last test, rights are checked."""
    with ControlPlane(audit_policy=METADATA_POLICY, controllers=True) as started:
        for path in (
            "crds/operation.yaml",
            "crds/component.yaml",
            "manifests/base/rbac-operator.yaml",
            "manifests/base/rbac-users.yaml",
        ):
            run_kubectl(started.kubeconfig, "apply", "--server-side", "-f", str(CHECKOUT / path))
        run_kubectl(
            started.kubeconfig,
            "create",
            "clusterrolebinding",
            "operator-of-the-tests",
            "--clusterrole=opstrand-operator",
            f"--user={OPERATOR_USER}",
        )
        wait_for_crds(started.kubeconfig)
        yield started
        if is_whole_tier(request.session.items):
            check_rights(started, OPERATOR_USER, "rbac-operator.yaml", SELDOM_BY_THE_OPERATOR)
            check_rights(started, API_USER, "rbac-api.yaml", SELDOM_BY_THE_API)


@pytest.fixture(scope="session")
def operator(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """Yield the operator that all tests share. Tests that kill or slow down an operator start their
    own, in their own namespace.
    """
    process = start_operator(
        control_plane, tmp_path_factory.mktemp("operator"), pending_grace=1, retry_backoff=1
    )
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.read_log(), process.read_log()


def start_operator(
    control_plane: ControlPlane, folder: Path, **settings: object
) -> OperatorProcess:
    process = OperatorProcess(
        control_plane.user(OPERATOR_USER), folder / "operator.log", **settings
    )
    process.start()
    process.wait_until_started()
    return process


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def kube(control_plane: ControlPlane) -> AsyncIterator[KubeApi]:
    async with await open_session(
        kubeconfig=str(control_plane.kubeconfig), connections=64
    ) as session:
        yield KubeApi(session)


@pytest.fixture(scope="session")
def quiet_plane() -> Iterator[ControlPlane]:
    """Yield a second API server, where only the operators of a test run."""
    with ControlPlane(audit_policy=METADATA_POLICY, controllers=True) as started:
        for path in (
            "crds/operation.yaml",
            "crds/component.yaml",
            "manifests/base/rbac-operator.yaml",
        ):
            run_kubectl(started.kubeconfig, "apply", "--server-side", "-f", str(CHECKOUT / path))
        binding = (
            "create",
            "clusterrolebinding",
            "operator-of-the-tests",
            "--clusterrole=opstrand-operator",
            f"--user={OPERATOR_USER}",
        )
        run_kubectl(started.kubeconfig, *binding)
        wait_for_crds(started.kubeconfig)
        yield started


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def quiet_kube(quiet_plane: ControlPlane) -> AsyncIterator[KubeApi]:
    async with await open_session(
        kubeconfig=str(quiet_plane.kubeconfig), connections=64
    ) as session:
        yield KubeApi(session)


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(kube: KubeApi) -> str:
    """Return a namespace that no other test uses, with its default account."""
    return await make_namespace(kube, f"test-{next(_namespaces)}")


async def make_namespace(kube: KubeApi, name: str) -> str:
    await kube.create(
        NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    )
    accounts = Resource("", "v1", "serviceaccounts", "ServiceAccount")
    for _ in range(1200):
        try:
            await kube.get(accounts, name, "default")
            return name
        except NotFound:
            await asyncio.sleep(0.05)
    raise AssertionError("no default service account")


def operation(name: str, spec: Mapping[str, Any] | None = None, **metadata: Any) -> Manifest:
    """Return an Operation of a small job; `spec` is merged over it."""
    component = {"run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}}
    return {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": {"name": name, **metadata},
        "spec": {"component": component, **(spec or {})},
    }


async def wait_for(
    kube: KubeApi, namespace: str, name: str, until: Callable[[Manifest], bool], seconds: float = 60
) -> Manifest:
    """Return the Operation as soon as `until` holds; the failure shows its YAML."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        body = await kube.get(OPERATIONS, namespace, name)
        if until(body):
            return body
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(
                f"not within {seconds} "
                f"s:\n{yaml.safe_dump({'spec': body.get('spec'), 'status': body.get('status')})}"
            )
        await asyncio.sleep(0.03)


def in_phase(*phases: str) -> Callable[[Manifest], bool]:
    return lambda body: parse_phase(body.get("status")).value in phases


async def pod_of(kube: KubeApi, namespace: str, body: Manifest) -> Manifest:
    """Return the Pod of a run that was frozen a moment ago."""
    for _ in range(3000):
        try:
            return await kube.get(PODS, namespace, body["status"]["pod"]["name"])
        except NotFound:
            await asyncio.sleep(0.02)
    raise AssertionError("no Pod")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add the end of the operator's log to a failure."""
    outcome = yield
    report = outcome.get_result()
    process = getattr(item, "funcargs", {}).get("operator")
    if report.failed and isinstance(process, OperatorProcess):
        report.sections.append(("operator log (end)", process.read_log()[-6000:]))


API_USER = "opstrand-api"


@pytest.fixture(scope="session")
def api_kubeconfig(control_plane: ControlPlane) -> str:
    return make_api_user(control_plane)


def make_api_user(plane: ControlPlane) -> str:
    """Give the API's user the rights of our manifests; return its kubeconfig."""
    run_kubectl(plane.kubeconfig, "create", "namespace", "opstrand", check=False)
    manifest = str(CHECKOUT / "manifests/base/rbac-api.yaml")
    run_kubectl(plane.kubeconfig, "apply", "--server-side", "-n", "opstrand", "-f", manifest)
    for role in ("opstrand-api", "system:service-account-issuer-discovery"):
        name = f"api-of-the-tests-{role.rpartition(':')[2]}"
        rights = (f"--clusterrole={role}", f"--user={API_USER}")
        run_kubectl(plane.kubeconfig, "create", "clusterrolebinding", name, *rights, check=False)
    return str(plane.user(API_USER))


AUDIENCE = "opstrand"


async def make_token(
    kube: KubeApi, namespace: str, account: str, *, pod: Manifest | None = None, audience: str = ""
) -> str:
    spec: dict[str, Any] = {"audiences": [audience] if audience else []}
    if pod is not None:
        spec["boundObjectRef"] = {
            "kind": "Pod",
            "apiVersion": "v1",
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        }
    requests = Resource("", "v1", f"serviceaccounts/{account}/token", "TokenRequest")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str((await kube.create(requests, namespace, body))["status"]["token"])


HOLD = {"annotations": {"test/hold": ""}}


def service(name: str, run: dict[str, Any] | None = None, **spec: Any) -> Manifest:
    container = {"image": "busybox", "command": ["httpd", "-f"]}
    made = {
        "kind": "service",
        "ports": [8000],
        "environment": HOLD,
        "container": container,
        **(run or {}),
    }
    return operation(name, {"component": {"run": made}, **spec})
