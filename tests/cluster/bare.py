"""The full cluster on a bare machine: control plane, one node, DNS, registry, images. Starts it,
stops it, and checks its health.

Owns the order of the steps and the decision what a second `up` has to do. Must not hold details of
any part.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tests.cluster import programs
from tests.cluster.buildah import Buildah
from tests.cluster.cache import content_key, locked
from tests.cluster.cluster import Cluster
from tests.cluster.console import Failure, say, step
from tests.cluster.control_plane import METADATA_POLICY, ControlPlane, wait_until
from tests.cluster.images import IMAGES, PAUSE, refresh
from tests.cluster.leftovers import sweep
from tests.cluster.node import ADDRESS, NAME, Node, bridge_owner, make_bridge
from tests.cluster.registry import HOST, Registry

API_PORT = 6443
PATIENCE = 15  # seconds for a running cluster to become healthy
HERE = Path(__file__).parent
# A running cluster is kept as long as its sources are unchanged.
SOURCES = ("control_plane.py", "certificates.py", "node.py", "registry.py")


class BareCluster:
    """The cluster of one state folder."""

    name = "bare"
    logs_hint = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control_plane = ControlPlane(
            folder,
            address=ADDRESS,
            port=API_PORT,
            audit_policy=METADATA_POLICY,
            controllers=True,
            scheduler=True,
            host_names=[NAME],
        )
        self.node = Node(self.control_plane)
        self.registry = Registry(folder)

    def up(self) -> Cluster:
        """Start a cluster that runs Pods, from any state of the machine."""
        self._prepare()
        with locked(self._lock):
            if self._is_current():
                say("the cluster is up already")
                self._refresh()
            else:
                self._start()
        return self._facts()

    def down(self) -> None:
        require_root()
        with locked(self._lock), step("stopping"):
            sweep(self.folder, keep_logs=True)

    def build_images(self, *, everything: bool) -> None:
        self._prepare()
        with locked(self._lock):
            self.registry.start()
            self._refresh(everything=everything)

    def build_programs(self) -> None:
        programs.build_all()

    def problems(self) -> list[str]:
        """Return what keeps the cluster from being healthy; empty if it is healthy."""
        named = {
            **self.control_plane.processes,
            **self.node.processes,
            "registry": self.registry.process,
        }
        found = [
            f"{name} is not running" for name, process in named.items() if not process.is_running()
        ]
        if not found and not self.control_plane.is_ready():
            found.append("the API server is not ready")
        if not found and not self._node_is_ready():
            found.append("the node is not ready")
        return found

    def _prepare(self) -> None:
        require_root()
        programs.ensure_debian_packages()
        programs.build_all()

    def _start(self) -> None:
        with step("cleaning up after the last cluster"):
            sweep(self.folder)
        if owner := bridge_owner():
            raise Failure(
                f"another cluster's network is on this machine; its state is in {owner} (stop it "
                f"with OPSTRAND_CLUSTER_STATE={owner})"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        with step("starting the registry"):
            self.registry.start()
        self._refresh()
        with step("starting the API server"):
            make_bridge(self.folder)
            self.node.start_runtime()
            self.control_plane.start_servers()
        with step("starting the node"):
            self.node.start()
            wait_until(
                self._node_is_ready, "the node was not ready", self.node.processes["kubelet"]
            )
            self.control_plane.wait_for_accounts()
        self._facts().save(self.folder)
        self._mark.write_text(fingerprint())

    def _refresh(self, *, everything: bool = False) -> None:
        for name in refresh(Buildah(), [PAUSE, *IMAGES], everything=everything):
            self.node.forget_image(name)

    def _is_current(self) -> bool:
        return self._mark.exists() and self._mark.read_text() == fingerprint() and self._is_well()

    def _is_well(self) -> bool:
        """Return whether the cluster becomes healthy in time. A cluster that is only slow on a busy
        machine must not be taken from its users.
        """
        for _ in range(PATIENCE):
            problems = self.problems()
            if not problems or any(problem.endswith("not running") for problem in problems):
                break
            time.sleep(1)
        return not problems

    def _node_is_ready(self) -> bool:
        """Return whether the kubelet reports Ready; state starts empty, so no stale report
        exists.
        """
        status, body = self.control_plane.get(f"/api/v1/nodes/{NAME}")
        conditions = json.loads(body)["status"].get("conditions", []) if status == 200 else []
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in conditions
        )

    def _facts(self) -> Cluster:
        plane = self.control_plane
        return Cluster(
            self.name,
            f"v{programs.KUBERNETES}",
            str(plane.kubeconfig),
            str(plane.audit_log),
            ADDRESS,
            HOST,
        )

    @property
    def _mark(self) -> Path:
        return self.folder / "fingerprint"

    @property
    def _lock(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.lock")


def fingerprint() -> str:
    return content_key([programs.fingerprint()], [(name, HERE / name) for name in SOURCES])


def require_root() -> None:
    if os.geteuid():
        raise Failure("a node needs root: network namespaces, mounts and cgroups are made")
