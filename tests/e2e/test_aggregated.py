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
from tests.e2e.conftest import SAMPLES, kubectl, opstrand, succeed
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
