"""A user with nothing but a client certificate, as kubeadm and kind give it, reads a run and its
log without a port-forward, also after the Operation and its Pod are gone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from opstrand.kube.client import KubeApi
from tests.cluster.cluster import Cluster
from tests.e2e.conftest import (
    SAMPLES,
    kubectl,
    open_http,
    operation,
    opstrand,
    script,
    succeed,
    wait_for_output,
)
from tests.support.install import install

USER = "anna-of-the-tests"
API_SERVICE = "v1alpha1.runs.opstrand.dev"
#: Seconds until the API server passes requests on, and until a deleted run is kept.
PATIENCE = 120


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[None]:
    """Install the component, and remove its APIService as soon as the tests are over: without the
    port behind it, no namespace of the cluster could be deleted.
    """
    del cluster
    try:
        install("aggregated")
        kubectl(
            "wait",
            "--for=condition=Available",
            f"--timeout={PATIENCE}s",
            f"apiservice/{API_SERVICE}",
        )
        yield
    finally:
        kubectl("delete", "apiservice", API_SERVICE, "--ignore-not-found")
        install()


@pytest.fixture(scope="module")
def kubeconfig(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a kubeconfig of a user whose certificate the cluster signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, USER)])
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    spec = {
        "request": base64.b64encode(request.public_bytes(form)).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }
    meta = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    body = {**meta, "metadata": {"name": USER}, "spec": spec}
    kubectl("delete", "csr", USER, "--ignore-not-found")
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    kubectl("certificate", "approve", USER)
    path = "jsonpath={.status.certificate}"
    kubectl("wait", f"--for={path}", "--timeout=60s", f"csr/{USER}")
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    user = {
        "client-certificate-data": kubectl("get", "csr", USER, "-o", path).stdout,
        "client-key-data": base64.b64encode(key.private_bytes(form, *plain)).decode(),
    }
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    config["users"] = [{"name": one["name"], "user": user} for one in config["users"]]
    file = tmp_path_factory.mktemp("user") / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


async def test_a_run_and_its_log_are_read_by_a_client_certificate(
    kube: KubeApi, namespace: str, installed: None, kubeconfig: Path
) -> None:
    def ask(*arguments: str) -> tuple[int, str]:
        done = opstrand(*arguments, "-n", namespace, KUBECONFIG=str(kubeconfig))
        return done.returncode, done.stdout

    def read(path: str) -> str:
        own = ("--kubeconfig", str(kubeconfig), "get", "--raw")
        root = f"/apis/runs.opstrand.dev/v1alpha1/namespaces/{namespace}/runs"
        return kubectl(*own, root + path, check=False).stdout

    assert read("") == ""
    words = ("create", "rolebinding", USER, "--clusterrole=edit", f"--user={USER}")
    kubectl("-n", namespace, *words)
    code, _ = ask("run", str(SAMPLES / "echo.yaml"), "--name", "echo", "-P", "message=hello")
    assert code == 0
    uid = (await succeed(kube, namespace, "echo"))["metadata"]["uid"]
    log = ask("logs", "echo")
    assert "hello" in log[1]
    assert read("/echo/log") == log[1]
    assert ask("ls", "--all", "-q") == (0, "echo\n")
    kubectl("-n", namespace, "delete", "operation", "echo", "--timeout=60s")
    deadline = time.monotonic() + PATIENCE
    while ask("get", "echo")[0] != 0:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
    code, text = ask("get", uid, "-o", "json")
    body = json.loads(text)
    assert (code, body["kind"], body["status"]["phase"]) == (0, "Run", "Succeeded")
    assert ask("ls", "--all", "-q") == (0, "echo\n")
    assert ask("ls", "-q") == (0, "")


#: It is more than one answer of the API, and than one chunk of a kept log. It waits a little at its
#: end: on a busy node containerd drops what a program prints right before.
TALKER = """
import time
for number in range(6000):
    print(f"line {number} of the tëst", "x" * 1000 if number % 2 else "", flush=True)
time.sleep(4)
"""
LINES = [f"line {number} of the tëst {'x' * 1000 if number % 2 else ''}" for number in range(6000)]


async def read_by_published_route(url: str, token: str, namespace: str, uuid: str) -> list[str]:
    """Read a log as the published client does, answer after answer."""
    path = f"{url}/streams/v1/{namespace}/default/{namespace}/runs/{uuid}/logs"
    lines: list[str] = []
    cursor: str | None = ""
    async with open_http(token) as http:
        while cursor is not None:
            async with http.get(path, params={"last_file": cursor}) as answer:
                assert answer.status == 200, await answer.text()
                part = await answer.json()
            lines += [line["value"] for line in part["logs"]]
            cursor = part["last_file"]
    return lines


async def test_a_log_is_whole_when_its_pod_and_its_operation_are_gone(
    kube: KubeApi, namespace: str, installed: None, kubeconfig: Path, api_url: str
) -> None:
    kubectl("-n", namespace, "create", "serviceaccount", "reader")
    for name, subject in (
        (USER, f"--user={USER}"),
        ("reader", f"--serviceaccount={namespace}:reader"),
    ):
        kubectl("-n", namespace, "create", "rolebinding", name, "--clusterrole=view", subject)
    token = kubectl("-n", namespace, "create", "token", "reader").stdout.strip()
    spec = {"component": script(TALKER, "localhost/python-base:1")}
    kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(operation("talker", spec)))
    status = (await succeed(kube, namespace, "talker"))["status"]
    find = f"ls -d /var/lib/opstrand/logs/*/{status['uuid']}/0/main/complete"
    api = ("-n", "opstrand", "exec", "deployment/opstrand-api", "--", "sh", "-c", find)
    await asyncio.to_thread(wait_for_output, *api)
    assert await read_by_published_route(api_url, token, namespace, status["uuid"]) == LINES
    kubectl("-n", namespace, "delete", "pod", status["pod"]["name"], "--timeout=60s")
    own = {"KUBECONFIG": str(kubeconfig)}
    shown = await asyncio.to_thread(opstrand, "logs", "talker", "-n", namespace, **own)
    assert shown.stdout.splitlines() == LINES, shown.stderr
    kubectl("-n", namespace, "delete", "operation", "talker", "--timeout=60s")
    deadline = time.monotonic() + PATIENCE
    while opstrand("get", "talker", "-n", namespace, **own).returncode != 0:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
    shown = await asyncio.to_thread(opstrand, "logs", "talker", "-n", namespace, **own)
    assert shown.stdout.splitlines() == LINES, shown.stderr
    assert await read_by_published_route(api_url, token, namespace, status["uuid"]) == LINES
