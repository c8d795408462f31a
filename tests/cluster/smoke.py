"""Proves, by running Pods, that a cluster does what tests rely on.

Owns one Pod that tries everything from inside (init container, shared folder, projected token,
names, a Service to a Pod, a Service to a process of this machine) and the reading of its log. Must
leave nothing behind.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.cluster.cluster import Cluster
from tests.cluster.console import Failure, run, say, step
from tests.cluster.images import BASE
from tests.cluster.programs import kubectl

NAMESPACE = "cluster-smoke"
WEB_PORT = 8080
GREETING = "hello from the host"
# This runs in the Pod. Endpoints take a moment to reach the proxy's tables, so each address is
# retried for a while.
CHECKS = """
import pathlib, socket, time, urllib.request

def read(url):
    for attempt in range(60):
        try:
            return urllib.request.urlopen(url, timeout=2).read().decode()
        except OSError as error:
            last = error
            time.sleep(0.5)
    raise SystemExit(f"{url}: {last}")

print("file:", pathlib.Path("/shared/from-init").read_text())
print("token parts:", pathlib.Path("/token/token").read_text().count(".") + 1)
print("api server:", socket.gethostbyname("kubernetes.default.svc.cluster.local"))
print("service to a pod:", "Directory listing" in read("http://web/"))
print("service to the host:", read("http://host/"))
print("host by address:", read("http://%s/"))
"""
EXPECTED = [
    "file: written",
    "token parts: 3",
    "service to a pod: True",
    f"service to the host: {GREETING}",
    f"host by address: {GREETING}",
]


def run_smoke(cluster: Cluster) -> None:
    """Run the Pod. Raises `Failure` with its log and events if anything is not as expected."""
    with answering_on(cluster.host_address) as port:
        try:
            with step("creating Pods and Services"):
                ask(cluster, "create", "namespace", NAMESPACE)
                ask(
                    cluster,
                    "apply",
                    "--filename",
                    "-",
                    given=json.dumps(objects(cluster.host_address, port)),
                )
            with step("waiting for the Pod that tries everything"):
                ask(
                    cluster,
                    "wait",
                    "pod/client",
                    "--for=jsonpath={.status.phase}=Succeeded",
                    "--timeout=90s",
                )
            check_log(ask(cluster, "logs", "client"))
            with step("exec, and from this machine to a Service"):
                ask(cluster, "exec", "web", "--", "true")
                if cluster.provider == "bare":  # only its node reaches kind's Services
                    address = ask(
                        cluster, "get", "service", "web", "--output=jsonpath={.spec.clusterIP}"
                    )
                    urllib.request.urlopen(f"http://{address}/", timeout=5).close()
        except Failure as failure:
            state = run(words(cluster, "describe", "pod", "client"), check=False).stdout
            raise Failure(
                str(failure), run(words(cluster, "logs", "client"), check=False).stdout + state
            ) from failure
        finally:
            with step("deleting them"):
                run(
                    [
                        *words(cluster, "delete", "namespace", NAMESPACE, "--ignore-not-found"),
                        "--timeout=90s",
                    ],
                    check=False,
                )


def check_log(log: str) -> None:
    for line in log.splitlines():
        say(f"    {line}")
    missing = [line for line in EXPECTED if line not in log.splitlines()]
    if missing:
        raise Failure(f"the Pod did not say: {'; '.join(missing)}")


def words(cluster: Cluster, *arguments: str) -> list[str]:
    return [kubectl(), "--kubeconfig", cluster.kubeconfig, "--namespace", NAMESPACE, *arguments]


def ask(cluster: Cluster, *arguments: str, given: str = "") -> str:
    done = subprocess.run(
        words(cluster, *arguments), input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failure(f"kubectl {' '.join(arguments[:3])} exited {done.returncode}", done.stderr)
    return done.stdout


@contextlib.contextmanager
def answering_on(address: str) -> Iterator[int]:
    """Run a server of this machine on the address that Pods reach.

    Yields its port.
    """

    class Greeter(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(GREETING.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((address, 0), Greeter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def objects(host: str, port: int) -> dict[str, Any]:
    services = [
        service("web", WEB_PORT, {"app": "web"}),
        service("host", port),
        host_slice(host, port),
    ]
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [web_pod(), client_pod(f"{host}:{port}"), *services],
    }


def web_pod() -> dict[str, Any]:
    command = ["python3", "-m", "http.server", str(WEB_PORT)]
    container = {"name": "main", "image": BASE.name, "command": command, "workingDir": "/srv"}
    return pod("web", {"containers": [container], "terminationGracePeriodSeconds": 0})


def client_pod(host: str) -> dict[str, Any]:
    write = ["python3", "-c", "open('/shared/from-init', 'w').write('written')"]
    shared, token = (
        {"name": "shared", "mountPath": "/shared"},
        {"name": "token", "mountPath": "/token"},
    )
    projected = {
        "serviceAccountToken": {"audience": "smoke", "expirationSeconds": 3600, "path": "token"}
    }
    return pod("client", {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "volumes": [{"name": "shared", "emptyDir": {}},
                    {"name": "token", "projected": {"sources": [projected]}}],
        "initContainers": [
            {"name": "init", "image": BASE.name, "command": write, "volumeMounts": [shared]}
        ],
        "containers": [
            {"name": "main", "image": BASE.name, "command": ["python3", "-c", CHECKS % host],
             "volumeMounts": [shared, token]}
        ],
    })  # fmt: skip


def pod(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }


def service(name: str, target: int, selector: dict[str, str] | None = None) -> dict[str, Any]:
    spec = {
        "ports": [{"name": "http", "port": 80, "targetPort": target}],
        **({"selector": selector} if selector else {}),
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def host_slice(host: str, port: int) -> dict[str, Any]:
    """Return a slice for a Service without a selector: it leads out of the cluster, to this
    machine.
    """
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "host-by-hand", "labels": {"kubernetes.io/service-name": "host"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": [host]}],
    }
