"""What a laptop without containers cannot do: what is refused, and what is left out with a word.

Owns these two lists. Must not know how a process is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core import names
from opstrand.core.identity import CONTEXT_ROOT

_OURS = "opstrand-"
#: Fields of a Pod that place or limit a container: without one they mean nothing.
_PLACEMENT = ("nodeSelector", "affinity", "tolerations", "nodeName", "schedulerName", "priorityClassName", "serviceAccountName")


def refuse_pod(pod: Mapping[str, Any]) -> str | None:
    """Why this Pod cannot be a process here; None if it can."""
    return next(_refusals(pod), None)


def _refusals(pod: Mapping[str, Any]) -> Iterator[str]:
    spec = pod["spec"]
    main = next(one for one in spec["containers"] if one["name"] == names.MAIN_CONTAINER)
    for volume in spec.get("volumes") or ():
        if not str(volume["name"]).startswith(_OURS):
            yield f"run.volumes: the volume {volume['name']!r} needs a cluster; --local runs a process"
    for mount in main.get("volumeMounts") or ():
        if not str(mount["name"]).startswith(_OURS):
            yield f"run.container.volumeMounts: the mount {mount.get('mountPath')!r} needs a cluster; --local runs a process"
    for mount in main.get("volumeMounts") or ():
        if not is_inside(mount["mountPath"]) and str(mount["name"]).startswith(f"{_OURS}path-"):
            yield f"run.init: the folder {mount['mountPath']!r} is outside of {CONTEXT_ROOT}, which is all that --local has"
    for container in spec.get("initContainers") or ():
        if container["name"] != names.INIT_CONTAINER:
            kind = "sidecar" if container.get("restartPolicy") == "Always" else "init step with a container of its own"
            yield f"the {kind} {container['name']!r} needs a cluster; --local runs one process"
    folder = main.get("workingDir")
    if folder and folder.startswith("/") and not is_inside(folder):
        yield f"run.container.workingDir: {folder!r} is outside of {CONTEXT_ROOT}, which is all that --local has"
    if not main.get("command") and not main.get("args"):
        yield "run.container.command: an image's own entry point needs a cluster; give --local a command"


def is_inside(path: str) -> bool:
    return path == CONTEXT_ROOT or path.startswith(CONTEXT_ROOT + "/")


def list_ports(pod: Mapping[str, Any]) -> list[int]:
    """The ports of a service's program. Of a job's it is not said that it has any."""
    main = next(one for one in pod["spec"]["containers"] if one["name"] == names.MAIN_CONTAINER)
    return [one["containerPort"] for one in main.get("ports") or ()] if pod["spec"].get("restartPolicy") == "Always" else []


def ignored_parts(pod: Mapping[str, Any]) -> list[str]:
    """What is left out, in the file's words."""
    spec = pod["spec"]
    main = next(one for one in spec["containers"] if one["name"] == names.MAIN_CONTAINER)
    found = ["image"] if main.get("image") else []
    found += [key for key in ("resources", "securityContext", "livenessProbe", "readinessProbe") if main.get(key)]
    return found + [key for key in _PLACEMENT if spec.get(key)]
