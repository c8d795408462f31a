"""The cluster where Docker answers: kind, with the same images from the same Dockerfiles out of a registry on loopback.

Owns the calls to docker and kind, and nothing else: lists, keys, tags and mirrors are shared with the bare machine's cluster.
It has no audit log of the API server's; what counts requests runs against `control_plane`.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .cluster import Cluster
from .console import Failure, run, say, step
from .control_plane import is_answering, wait_until
from .images import refresh
from .programs import kubectl, program
from .registry import HOST, PORT, URL, write_mirrors

NAME = "opstrand"
NODE = f"{NAME}-control-plane"
REGISTRY = "opstrand-registry"
REGISTRY_IMAGE = "registry:2"
MIRRORS = "/etc/containerd/certs.d"
# The hub's images with Python and nothing else, for the Debian releases that a bare machine takes it from.
PYTHON_IMAGES = {"bullseye": "python:3.9-slim", "bookworm": "python:3.11-slim", "trixie": "python:3.13-slim"}
CONFIGURATION = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "containerdConfigPatches": [f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{MIRRORS}"\n'],
}


def kind() -> str | Path:
    """The machine's own, else one that is built from its module."""
    return shutil.which("kind") or program("kind")


def docker_answers() -> bool:
    return bool(shutil.which("docker")) and run(["docker", "info"], check=False).returncode == 0


class Docker:
    """Builds images with Docker; the counterpart of `buildah.Buildah`."""

    def make_base(self, suite: str, name: str) -> None:
        run(["docker", "pull", PYTHON_IMAGES[suite]])
        run(["docker", "tag", PYTHON_IMAGES[suite], name])

    def build(self, context: Path, name: str, arguments: Mapping[str, str]) -> None:
        words = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        run(["docker", "build", "--network", "host", *words, "--tag", name, context])

    def push(self, name: str, repository: str, tag: str) -> None:
        run(["docker", "tag", name, f"{HOST}/{repository}:{tag}"])
        run(["docker", "push", f"{HOST}/{repository}:{tag}"])


class KindCluster:
    """A kind cluster and a registry container beside it."""

    name = "kind"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"

    def up(self) -> Cluster:
        self.folder.mkdir(parents=True, exist_ok=True)
        start_registry()
        if self.problems():
            self._create()
        else:
            say("the cluster is up already")
        self.build_images(everything=False)
        cluster = Cluster(self.name, self._version(), str(self.kubeconfig), "", host_address(), HOST)
        cluster.save(self.folder)
        return cluster

    def down(self) -> None:
        """The registry goes too; its images live on in Docker's own cache of layers."""
        with step("deleting the kind cluster and its registry"):
            run([kind(), "delete", "cluster", "--name", NAME])
            run(["docker", "rm", "--force", "--volumes", REGISTRY], check=False)
            shutil.rmtree(self.folder, ignore_errors=True)

    def build_images(self, *, everything: bool) -> None:
        start_registry()
        for name in refresh(Docker(), everything=everything):
            run(["docker", "exec", NODE, "crictl", "rmi", name], check=False)

    def problems(self) -> list[str]:
        ask = [kubectl(), "--kubeconfig", str(self.kubeconfig), "wait", f"node/{NODE}", "--for=condition=Ready", "--timeout=1s"]
        return [] if run(ask, check=False).returncode == 0 else ["its node does not answer that it is ready"]

    def _create(self) -> None:
        configuration = self.folder / "kind.json"
        configuration.write_text(json.dumps(CONFIGURATION))
        run([kind(), "delete", "cluster", "--name", NAME], check=False)
        with step("creating a kind cluster"):
            words: list[str | Path] = ["--name", NAME, "--kubeconfig", self.kubeconfig, "--config", configuration, "--wait", "180s"]
            run([kind(), "create", "cluster", *words])
            run(["docker", "network", "connect", "kind", REGISTRY], check=False)  # refused where it is connected already
            copy_mirrors()

    def _version(self) -> str:
        answer = run([kubectl(), "--kubeconfig", self.kubeconfig, "version", "--output=json"]).stdout
        return str(json.loads(answer)["serverVersion"]["gitVersion"])


def start_registry() -> None:
    running = run(["docker", "inspect", "--format", "{{.State.Running}}", REGISTRY], check=False)
    if running.stdout.strip() != "true":
        run(["docker", "rm", "--force", REGISTRY], check=False)
        publish = ["--publish", f"{HOST}:5000", "--env", "REGISTRY_STORAGE_DELETE_ENABLED=true"]
        run(["docker", "run", "--detach", "--name", REGISTRY, *publish, REGISTRY_IMAGE])
    wait_until(lambda: is_answering(f"{URL}/v2/"), f"the image registry on port {PORT} was not ready")


def copy_mirrors() -> None:
    """Inside the node the registry is known by its container's name; what it does not have comes from the hub."""
    with tempfile.TemporaryDirectory() as folder:
        write_mirrors(Path(folder), server=f"http://{REGISTRY}:5000", elsewhere="")
        run(["docker", "exec", NODE, "mkdir", "-p", MIRRORS])
        run(["docker", "cp", f"{folder}/.", f"{NODE}:{MIRRORS}"])


def host_address() -> str:
    """The gateway of kind's network: this machine, as Pods reach it."""
    networks = json.loads(run(["docker", "network", "inspect", "kind"]).stdout)
    gateways = [entry.get("Gateway", "") for entry in networks[0]["IPAM"]["Config"]]
    found = [gateway for gateway in gateways if gateway and ipaddress.ip_address(gateway).version == 4]
    if not found:
        raise Failure("kind's network has no IPv4 gateway")
    return str(found[0])
