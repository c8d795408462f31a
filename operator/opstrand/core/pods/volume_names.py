"""The names of a run's own volumes, in opstrand and in the published platform.

Users' files rely on the latter. Owns both lists and which of the names are valid in a given run.
Must not know what is in a volume or where it is mounted.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator

from opstrand.core.identity import ARTIFACTS_PATH
from opstrand.core.planning.plan import Plan

#: The reserved prefix: no user's volume may begin with it.
OURS = "opstrand-"
ARTIFACTS, CONFIGS, TOKEN, SHM = (
    "opstrand-artifacts",
    "opstrand-configs",
    "opstrand-token",
    "opstrand-shm",
)
INIT, SCRATCH, DOCKER = "opstrand-init", "opstrand-scratch", "opstrand-docker"


def init_paths(plan: Plan) -> list[str]:
    """Return the folders that init steps request by `path`, each once, in order."""
    asked = (step["path"] for step in plan.init if step.get("path"))
    return list(
        dict.fromkeys(
            path
            for path in asked
            if path != ARTIFACTS_PATH and not path.startswith(f"{ARTIFACTS_PATH}/")
        )
    )


def path_volume(path: str) -> str:
    """Return the name of the volume for such a folder."""
    return f"{OURS}path-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def own_volumes_by_name(plan: Plan) -> dict[str, str]:
    """Map the published platform's name of each of this run's volumes to the operator's name.

    A user's volume with the same name stays the user's.
    """
    taken = {str(volume.get("name")) for volume in plan.volumes}
    return {name: ours for name, ours in _iter_names(plan) if name not in taken}


def _iter_names(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "artifacts-context", ARTIFACTS
    yield "configs-context", CONFIGS
    if plan.plugins.get("shm") is not False:
        yield "shm", SHM
    if plan.plugins.get("docker"):
        yield from (("docker", DOCKER), ("docker-context", DOCKER))
    for path in init_paths(plan):
        yield f"connections-context-{uuid.uuid5(uuid.NAMESPACE_DNS, path).hex}", path_volume(path)


def connection_names(plan: Plan) -> list[str]:
    """Return the names of the run's connections.

    On the published platform, the volume of a connection has the connection's name.
    """
    asked = (step["connection"] for step in plan.init if isinstance(step.get("connection"), str))
    return list(dict.fromkeys((*plan.connections, *asked)))


def asks_for_store(plan: Plan) -> bool:
    """Return whether the run mounts the whole artifacts store.

    The store's volume has the name of the store's connection, which only the catalog knows.
    """
    return (
        bool(plan.plugins.get("mountArtifactsStore"))
        or plan.plugins.get("collectArtifacts") is False
    )
