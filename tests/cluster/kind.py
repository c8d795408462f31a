"""The cluster where Docker answers: kind, with the same images from the same Dockerfiles, from a
registry on loopback.

Owns the calls to docker and kind, and nothing else: lists, keys, tags and mirrors are shared with
the bare machine's cluster. It has no audit log of the API server; tests that count requests use
`control_plane`.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.cache import content_key
from tests.cluster.cluster import FACTS, Cluster
from tests.cluster.console import Failure, run, say, step
from tests.cluster.control_plane import is_answering, wait_until
from tests.cluster.images import refresh
from tests.cluster.programs import KIND, KUBERNETES_PARTS, VERSITYGW, build, kubectl, program
from tests.cluster.registry import HOST, PORT, URL, write_mirrors
from tests.cluster.trust import trust_files

NAME = "opstrand"
NODE = f"{NAME}-control-plane"
REGISTRY = "opstrand-registry"
MIRRORS = "/etc/containerd/certs.d"
# Every image of the hub is pinned, because the owner of a tag can move it. The digests are those of
# the lists for all architectures, as `docker buildx imagetools inspect NAME` shows.
REGISTRY_IMAGE = (  # 2.8.3
    "registry:2@sha256:a3d8aaa63ed8681a604f1dea0aa03f100d5895b6a58ace528858a7b332415373"
)
# The node image of the pinned kind for the minor version that programs.py builds; kind's default is
# another one.
NODE_IMAGE = (
    "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed"
)
# This variable names another node image, for a machine that cannot pull the one above. Such a
# machine has images of its own behind the other tags too: their digests are then left out.
NODE_IMAGE_VARIABLE = "OPSTRAND_KIND_IMAGE"
# The hub's images with the Python of the Debian releases that a bare machine installs: 3.9.25,
# 3.11.16, 3.13.15.
PYTHON_IMAGES = {
    "bullseye": "python:3.9-slim"
    "@sha256:2d97f6910b16bd338d3060f261f53f144965f755599aab1acda1e13cf1731b1b",
    "bookworm": "python:3.11-slim"
    "@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7",
    "trixie": "python:3.13-slim"
    "@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285",
}
CONFIGURATION = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "containerdConfigPatches": [
        f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{MIRRORS}"\n'
    ],
}
PATIENCE = 30  # seconds for a node whose container runs to become ready


def kind() -> Path:
    """Return kind, built from its pinned module: the machine's own kind starts another
    Kubernetes.
    """
    return program("kind")


def of_hub(image: str) -> str:
    """Return the name under which this machine pulls an image of the hub."""
    return image.partition("@")[0] if os.environ.get(NODE_IMAGE_VARIABLE) else image


def docker_answers() -> bool:
    return bool(shutil.which("docker")) and run(["docker", "info"], check=False).returncode == 0


class Docker:
    """Builds images with Docker; the counterpart of `buildah.Buildah`."""

    def base_key(self, suite: str) -> str:
        return content_key(
            [
                of_hub(PYTHON_IMAGES[suite]),
                *(f"{path} {content!r}" for path, content in trust_files().items()),
            ]
        )

    def make_base(self, suite: str, name: str) -> None:
        """Extend the hub's image with what this machine needs to reach its package indexes, because
        `docker build` mounts nothing.
        """
        image = of_hub(PYTHON_IMAGES[suite])
        run(["docker", "pull", image])
        lines = [f"FROM {image}"]
        with tempfile.TemporaryDirectory(prefix="opstrand-trust-") as folder:
            for number, (inside, content) in enumerate(trust_files().items()):
                (Path(folder) / str(number)).write_bytes(content)
                lines.append(f"COPY {number} {inside}")
            (Path(folder) / "Dockerfile").write_text("\n".join(lines) + "\n")
            run(["docker", "build", "--tag", name, folder])

    def build(self, context: Path, name: str, arguments: Mapping[str, str]) -> None:
        words = [
            word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")
        ]
        run(["docker", "build", "--network", "host", *words, "--tag", name, context])
        if "BASE" in arguments:  # pulled from the registry under a unique name
            run(["docker", "rmi", "--no-prune", arguments["BASE"]], check=False)

    def push(self, name: str, repository: str, tag: str) -> None:
        """Push, then remove the name with the key from Docker, where it would stay for ever."""
        pushed = f"{HOST}/{repository}:{tag}"
        run(["docker", "tag", name, pushed])
        run(["docker", "push", pushed])
        run(["docker", "rmi", "--no-prune", pushed])


class KindCluster:
    """A kind cluster and a registry container beside it."""

    name = "kind"
    logs_hint = " (written when the cluster is taken down)"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.logs = folder / "logs"

    def up(self) -> Cluster:
        self.folder.mkdir(parents=True, exist_ok=True)
        start_registry()
        if self._is_kept():
            say("the cluster is up already")
        else:
            self._create()
        # Connect it on each `up`, because an earlier one may have been interrupted before this
        # step.
        connect_registry()
        copy_mirrors()
        self.build_images(everything=False)
        cluster = Cluster(
            self.name, self._version(), str(self.kubeconfig), "", host_address(), HOST
        )
        cluster.save(self.folder)
        return cluster

    def build_programs(self) -> None:
        """Build kind and the programs that tests run directly; the node image has the node's own
        programs.
        """
        for module in (*KUBERNETES_PARTS, KIND, VERSITYGW):
            build(module)

    def down(self) -> None:
        """Remove cluster and registry. The registry's images stay in Docker's own cache of layers.

        The logs stay.
        """
        with step("deleting the kind cluster and its registry"):
            if is_running(NODE):
                shutil.rmtree(self.logs, ignore_errors=True)
                run([kind(), "export", "logs", "--name", NAME, self.logs], check=False)
            run([kind(), "delete", "cluster", "--name", NAME])
            run(["docker", "rm", "--force", "--volumes", REGISTRY], check=False)
            for name in (self.kubeconfig, self.folder / "kind.json", self.folder / FACTS):
                name.unlink(missing_ok=True)

    def build_images(self, *, everything: bool) -> None:
        start_registry()
        connect_registry()
        for name in refresh(Docker(), everything=everything):
            run(["docker", "exec", NODE, "crictl", "rmi", name], check=False)

    def problems(self) -> list[str]:
        return [] if self._is_ready() else ["its node does not answer that it is ready"]

    def _is_kept(self) -> bool:
        """Return whether a cluster exists that answers.

        A node that is only busy gets time: making it again loses all that is in it.
        """
        if not is_running(NODE):
            return False
        if not self.kubeconfig.exists():
            say("the cluster was made from another state folder; this one uses it too")
        try:
            wait_until(self._is_reached, "the node was not ready", patience=PATIENCE)
        except Failure as failure:
            say(f"the cluster is made again: {failure}")
            return False
        return True

    def _is_reached(self) -> bool:
        """Return whether the cluster answers, with the credentials of this folder or with new ones:
        another folder may have made the cluster again.
        """
        if self.kubeconfig.exists() and self._is_ready():
            return True
        self.kubeconfig.unlink(missing_ok=True)  # kind would merge into an existing file
        exported = run(
            [kind(), "export", "kubeconfig", "--name", NAME, "--kubeconfig", self.kubeconfig],
            check=False,
        )
        return exported.returncode == 0 and self._is_ready()

    def _is_ready(self) -> bool:
        ask = [
            kubectl(),
            "--kubeconfig",
            str(self.kubeconfig),
            "wait",
            f"node/{NODE}",
            "--for=condition=Ready",
            "--timeout=1s",
        ]
        return run(ask, check=False).returncode == 0

    def _create(self) -> None:
        configuration = self.folder / "kind.json"
        configuration.write_text(json.dumps(CONFIGURATION))
        image = os.environ.get(NODE_IMAGE_VARIABLE) or NODE_IMAGE
        run([kind(), "delete", "cluster", "--name", NAME], check=False)
        self.kubeconfig.unlink(missing_ok=True)
        with step("creating a kind cluster"):
            words: list[str | Path] = [
                "--name",
                NAME,
                "--kubeconfig",
                self.kubeconfig,
                "--config",
                configuration,
                "--wait",
                "180s",
            ]
            run(
                [kind(), "create", "cluster", "--image", image, *words],
                env=past_the_proxy(os.environ),
            )

    def _version(self) -> str:
        answer = run(
            [kubectl(), "--kubeconfig", self.kubeconfig, "version", "--output=json"]
        ).stdout
        return str(json.loads(answer)["serverVersion"]["gitVersion"])


def past_the_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the registry exempt from the proxy: kind gives the caller's proxy
    settings to the node, and its pulls from the registry beside it must not use a proxy.
    """
    listed = [environment.get(name, "") for name in ("NO_PROXY", "no_proxy")]
    direct = ",".join(
        dict.fromkeys(word for words in [*listed, REGISTRY] for word in words.split(",") if word)
    )
    return {**environment, "NO_PROXY": direct, "no_proxy": direct}


def is_running(container: str) -> bool:
    return (
        run(
            ["docker", "inspect", "--format", "{{.State.Running}}", container], check=False
        ).stdout.strip()
        == "true"
    )


def start_registry() -> None:
    """Start the registry. A stopped one is started again, so that its images are not built
    again.
    """
    if not is_running(REGISTRY) and run(["docker", "start", REGISTRY], check=False).returncode:
        run(["docker", "rm", "--force", "--volumes", REGISTRY], check=False)
        options = [
            "--restart",
            "unless-stopped",
            "--publish",
            f"{HOST}:5000",
            "--env",
            "REGISTRY_STORAGE_DELETE_ENABLED=true",
        ]
        run(["docker", "run", "--detach", "--name", REGISTRY, *options, of_hub(REGISTRY_IMAGE)])
    wait_until(
        lambda: is_answering(f"{URL}/v2/"), f"the image registry on port {PORT} was not ready"
    )


def connect_registry() -> None:
    """Connect the registry to kind's network, where the node looks for it."""
    found = run(
        ["docker", "inspect", "--format", "{{json .NetworkSettings.Networks}}", REGISTRY]
    ).stdout
    if "kind" not in json.loads(found):
        run(["docker", "network", "connect", "kind", REGISTRY])


def copy_mirrors() -> None:
    """Write the node's mirror files: inside the node the registry has its container's name, and
    what it lacks comes from the hub.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_mirrors(Path(folder), server=f"http://{REGISTRY}:5000", elsewhere="")
        run(["docker", "exec", NODE, "mkdir", "-p", MIRRORS])
        run(["docker", "cp", f"{folder}/.", f"{NODE}:{MIRRORS}"])


def host_address() -> str:
    """Return the gateway of kind's network: the address of this machine for Pods."""
    networks = json.loads(run(["docker", "network", "inspect", "kind"]).stdout)
    gateways = [entry.get("Gateway", "") for entry in networks[0]["IPAM"]["Config"]]
    found = [
        gateway for gateway in gateways if gateway and ipaddress.ip_address(gateway).version == 4
    ]
    if not found:
        raise Failure("kind's network has no IPv4 gateway")
    return str(found[0])
