"""The facts of a running cluster for its users, whichever provider started it.

Owns the state folder's place and the facts file in it. Must not start or stop anything.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster.console import Failure

FACTS = "cluster.json"


@dataclass(frozen=True)
class Cluster:
    """The facts of a cluster that is up."""

    provider: str  # "bare" or "kind"
    version: str  # of Kubernetes
    kubeconfig: str  # path, as administrator
    audit_log: str  # path; one JSON object a line, every request once it is answered
    host_address: str  # where Pods reach processes of this machine that listen on it
    registry: str  # host:port to push images to

    def save(self, folder: Path) -> None:
        (folder / FACTS).write_text(json.dumps(asdict(self), indent=1))


def read_cluster(folder: Path | None = None) -> Cluster:
    """Return the cluster that `make cluster` started. Raises `Failure` if there is none."""
    try:
        return Cluster(**json.loads(((folder or state_folder()) / FACTS).read_text()))
    except FileNotFoundError as error:
        raise Failure("no cluster is up: `make cluster` brings one up") from error


def state_folder() -> Path:
    """Return the folder for the state of services. It is the machine's; for a user who may not
    write there, and has a cluster by Docker, it is the user's own.
    """
    base = "/var/lib" if os.geteuid() == 0 else os.path.expanduser("~/.local/state")
    return Path(os.environ.get("OPSTRAND_CLUSTER_STATE") or f"{base}/opstrand-cluster").absolute()
