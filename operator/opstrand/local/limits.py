"""What a laptop without containers does with a key of a Pod: honour, ignore with a note, refuse.

Owns these lists. Must not know how a process is run.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core import names
from opstrand.core.identity import ARTIFACTS_PATH, CONTEXT_ROOT
from opstrand.core.planning.context_root import symbolic
from opstrand.core.planning.expansion import expand
from opstrand.core.pods.pod_rules import QUEUE_LABEL
from opstrand.core.pods.volume_names import (
    ARTIFACTS,
    CONFIGS,
    DOCKER,
    INIT,
    OURS,
    SCRATCH,
    SHM,
    TOKEN,
)
from opstrand.local.environment import find_missing, list_taken

#: Keys of a container and of a Pod: True is honoured, False is ignored and named in a note. A key
#: that is not here is refused.
_CONTAINER: Mapping[str, bool] = {
    **dict.fromkeys(
        ("name", "command", "args", "env", "envFrom", "workingDir", "volumeMounts", "ports"), True
    ),
    **dict.fromkeys(("terminationMessagePolicy",), True),
    **dict.fromkeys(
        (
            "image",
            "resources",
            "securityContext",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ),
        False,
    ),
    **dict.fromkeys(
        (
            "imagePullPolicy",
            "lifecycle",
            "terminationMessagePath",
            "tty",
            "stdin",
            "stdinOnce",
            "resizePolicy",
        ),
        False,
    ),
}
_POD: Mapping[str, bool] = {
    **dict.fromkeys(
        ("restartPolicy", "activeDeadlineSeconds", "initContainers", "containers", "volumes"), True
    ),
    **dict.fromkeys(("automountServiceAccountToken", "enableServiceLinks"), True),
    **dict.fromkeys(
        (
            "nodeSelector",
            "affinity",
            "tolerations",
            "nodeName",
            "schedulerName",
            "priorityClassName",
            "priority",
        ),
        False,
    ),
    **dict.fromkeys(
        ("serviceAccountName", "imagePullSecrets", "hostAliases", "dnsPolicy", "dnsConfig"), False
    ),
    **dict.fromkeys(("hostNetwork", "hostPID", "securityContext"), False),
}
#: Where a laptop has each of our volumes: it can mount them nowhere else.
_PLACES = {
    ARTIFACTS: ARTIFACTS_PATH,
    CONFIGS: f"{CONTEXT_ROOT}/.configs",
    TOKEN: f"{CONTEXT_ROOT}/.token",
    SHM: "/dev/shm",
    DOCKER: "/var/run/docker.sock",
}
_OF_INIT = (INIT, SCRATCH)
_FOLDER = f"{OURS}path-"


def seen_in_container(pod: Mapping[str, Any], root: str) -> dict[str, Any]:
    """Return the Pod with `/plx-context` in its paths again, where templates put `root`."""
    spec = {**pod["spec"]}
    for section in ("initContainers", "containers"):
        if spec.get(section):
            spec[section] = [_see_paths(one, root) for one in spec[section]]
    return {**pod, "spec": spec}


def _context_root_of(pod: Mapping[str, Any]) -> str:
    """Return the context root that the Pod gives to its program."""
    given = (
        one.get("value")
        for one in _main(pod).get("env") or ()
        if one["name"] == "POLYAXON_CONTEXT_ROOT"
    )
    return expand(str(next(given, None) or CONTEXT_ROOT), {})


def _see_paths(container: Mapping[str, Any], root: str) -> dict[str, Any]:
    seen = dict(container)
    if seen.get("workingDir"):
        seen["workingDir"] = symbolic(seen["workingDir"], root)
    if seen.get("volumeMounts"):
        seen["volumeMounts"] = [
            {**one, "mountPath": symbolic(one["mountPath"], root)} for one in seen["volumeMounts"]
        ]
    return seen


def refuse_pod(pod: Mapping[str, Any], caller: Mapping[str, str] = os.environ) -> str | None:
    """Return why this Pod cannot be a process here; None if it can.

    `caller` is the environment from which variables may come.
    """
    return next(_refusals(pod, caller), None)


def _refusals(pod: Mapping[str, Any], caller: Mapping[str, str]) -> Iterator[str]:
    pod = seen_in_container(pod, _context_root_of(pod))
    spec, main = pod["spec"], _main(pod)
    yield from _refuse_volumes(spec, main)
    for container in spec.get("initContainers") or ():
        if container["name"] != names.INIT_CONTAINER:
            kind = (
                "sidecar"
                if container.get("restartPolicy") == "Always"
                else "init step with a container of its own"
            )
            yield f"the {kind} {container['name']!r} needs a cluster; --local runs one process"
    folder = main.get("workingDir")
    if folder and not is_inside(folder):
        where = "is outside of" if folder.startswith("/") else "is no absolute path in"
        yield (
            f"run.container.workingDir: {folder!r} {where} {CONTEXT_ROOT}, which is all that "
            "--local has"
        )
    if not main.get("command") and not main.get("args"):
        yield (
            "run.container.command: an image's own entry point needs a cluster; give --local a "
            "command"
        )
    yield from find_missing(pod, main, caller)
    for section, known, path in (
        (main, _CONTAINER, "run.container"),
        (spec, _POD, "run.environment"),
    ):
        yield from (
            f"{path}.{key}: --local does not know what it would mean here"
            for key in section
            if section[key] and key not in known
        )


def _refuse_volumes(spec: Mapping[str, Any], main: Mapping[str, Any]) -> Iterator[str]:
    volumes = {str(one["name"]): one for one in spec.get("volumes") or ()}
    for name in volumes:
        if not name.startswith(OURS):
            yield f"run.volumes: the volume {name!r} needs a cluster; --local runs a process"
    for one in main.get("volumeMounts") or ():
        if (fault := _find_fault(one, volumes.get(str(one["name"]), {}))) is not None:
            yield fault


def _find_fault(mount: Mapping[str, Any], volume: Mapping[str, Any]) -> str | None:
    name, place = str(mount["name"]), str(mount["mountPath"]).rstrip("/")
    if name.startswith(_FOLDER):
        if is_inside(place):
            return None
        return (
            f"run.init: the folder {place!r} is outside of {CONTEXT_ROOT}, which is all that "
            "--local has"
        )
    if name in _OF_INIT or (name in _PLACES and place == _PLACES[name] and not _is_part(mount)):
        return None
    # A folder of this machine: below the run's root it becomes a link, and at its own path it
    # exists.
    folder = (volume.get("hostPath") or {}).get("path")
    if folder is not None and (
        is_inside(place) or (place == folder.rstrip("/") and not _is_part(mount))
    ):
        return None
    return (
        f"run.container.volumeMounts: the mount {place!r} needs a cluster; --local runs a process"
    )


def _is_part(mount: Mapping[str, Any]) -> bool:
    return bool(mount.get("subPath") or mount.get("subPathExpr"))


def is_inside(path: str) -> bool:
    """Whether a path of a container is below the run's root, after its `..` are resolved."""
    path = posixpath.normpath(path)
    return path == CONTEXT_ROOT or path.startswith(CONTEXT_ROOT + "/")


def _main(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(
        one for one in pod["spec"]["containers"] if one["name"] == names.MAIN_CONTAINER
    )
    return found


def list_ports(pod: Mapping[str, Any]) -> list[int]:
    """List the ports of a service's program; the list is empty for a job."""
    return (
        [one["containerPort"] for one in _main(pod).get("ports") or ()]
        if pod["spec"].get("restartPolicy") == "Always"
        else []
    )


def ignored_parts(pod: Mapping[str, Any]) -> list[str]:
    """List the keys that are ignored, as the file spells them."""
    found = [
        key for key, has_meaning in _CONTAINER.items() if not has_meaning and _main(pod).get(key)
    ]
    found += [key for key, has_meaning in _POD.items() if not has_meaning and pod["spec"].get(key)]
    if _main(pod).get("terminationMessagePolicy") == "File":
        found.append("terminationMessagePolicy")
    return list(dict.fromkeys([*found, *_ignored_metadata(pod["metadata"])]))


def _ignored_metadata(metadata: Mapping[str, Any]) -> Iterator[str]:
    labels = (metadata.get("labels") or {}).keys() - names.labels("", "", "").keys()
    if QUEUE_LABEL in labels:
        yield "queue"
    if labels - {QUEUE_LABEL}:
        yield "labels"
    if (metadata.get("annotations") or {}).keys() - {names.PLAN_DIGEST}:
        yield "annotations"


def taken_variables(pod: Mapping[str, Any], caller: Mapping[str, str] = os.environ) -> list[str]:
    """List the variables whose values come from the environment of the command, because only a
    cluster has their Secret or ConfigMap.
    """
    return list_taken(_main(pod), caller)
