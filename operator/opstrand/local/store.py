"""The artifacts store of a laptop: a folder for each project, and in it one for each run's uuid.

Owns how a run's files get there and how init steps find them: links in the run's root replace the
mounts of a Pod. Must not copy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opstrand.core.names import INIT_CONTAINER
from opstrand.core.planning.connections import Catalog, Connection
from opstrand.initializer.failure import InitError
from opstrand.local.limits import is_inside
from opstrand.local.records import Records

#: The name of the store if the user's catalog has none.
NAME = "local-runs"


def make_catalog(records: Records, project: str, catalog: Catalog | None = None) -> Catalog:
    """Return the connections of a local run.

    If the given catalog has no artifacts store, the folder of local runs becomes one.
    """
    given = catalog or Catalog()
    if given.store is not None:
        return given
    folder = str(records.store_of(project))
    written = {
        "name": NAME,
        "kind": "host_path",
        "schema": {"hostPath": folder, "mountPath": folder},
    }
    return Catalog(
        given.connections,
        Connection(NAME, "host_path", {"hostPath": folder, "mountPath": folder}, written=written),
        is_given=catalog is not None,
    )


def link_volumes(pod: Mapping[str, Any], root: str) -> None:
    """Link the folders of this machine that the Pod mounts below its root.

    Raises InitError for a volume that only a cluster has.
    """
    volumes = {str(one["name"]): one for one in pod["spec"].get("volumes") or ()}
    spec = pod["spec"]
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        for mount in container.get("volumeMounts") or ():
            volume, place = volumes.get(str(mount["name"]), {}), str(mount["mountPath"])
            if claim := volume.get("persistentVolumeClaim"):
                raise InitError(
                    f"the volume claim {claim.get('claimName')!r} is a cluster's: --local has only "
                    "folders of this machine"
                )
            if "hostPath" in volume and (container["name"] == INIT_CONTAINER or is_inside(place)):
                part = str(mount.get("subPath") or "")
                _link(Path(volume["hostPath"]["path"], part), root + place, make=bool(part))


def _link(folder: Path, place: str, *, make: bool) -> None:
    if make:
        # As a kubelet does for a subPath.
        folder.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(place):
        return
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.symlink(folder, place, target_is_directory=True)
