"""Decide by its content whether an object with the expected name is this run's.

Labels and owner references can be forged. Owns the comparison of a found object with what this run
would create. `expected` is that manifest as the API server would store it (the answer of a dry
run), with its defaults and with what admission adds. Must not ask the API server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core import names
from opstrand.types import Body, ObjectMeta

#: Parts of a spec that other components write later: schedulers, quota queues, the operator's own
#: stop, autoscalers. For a Pod they may only add to what was requested.
_LATER: dict[str, tuple[str, ...]] = {
    "Pod": (
        "nodeName",
        "nodeSelector",
        "tolerations",
        "schedulingGates",
        "activeDeadlineSeconds",
        "ephemeralContainers",
    ),
    "Service": ("clusterIP", "clusterIPs", "healthCheckNodePort"),
    "Deployment": ("replicas",),
}
#: Parts of which they must not remove anything that was requested.
_KEPT = ("nodeName", "nodeSelector", "tolerations")
#: Depends on how much of its time the run had left when the Pod was rendered.
_LIFE = "expirationSeconds"
#: Fields that a server normalizes, which matters if no dry run could show its spelling.
_SPELLED = ("resources",)
#: Fields that would let a Pod or a container do more than was requested.
_POWERS = (
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "shareProcessNamespace",
    "runtimeClassName",
    "hostAliases",
)
_CONTAINER_POWERS = (
    "command",
    "args",
    "envFrom",
    "lifecycle",
    "securityContext",
    "volumeDevices",
    "workingDir",
    "restartPolicy",
)
#: Fields of a container that a person wrote: equal for every version of the operator.
_WRITTEN = ("image", "command", "args", "workingDir")


def pod_digest(pod: Body) -> str:
    """Return the SHA-256 of a Pod's spec as rendered, without the run's time left."""
    text = json.dumps(
        _without_later(pod["spec"], "Pod"),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def find_difference(found: Body, expected: Body, asked: Body) -> str | None:
    """Return the first path at which an object is not what the server would have made of `asked`.

    None if there is no difference.
    """
    kind = str(asked["kind"])
    if kind == "ConfigMap":
        return next(_differ(_content(found), _content(expected), ""), None)
    metadata = _find_metadata_difference(found, asked)
    if metadata:
        return metadata
    taken = next(
        (
            f"spec.{key}"
            for key in _KEPT
            if not _holds(_spec(found).get(key), _spec(asked).get(key))
        ),
        None,
    )
    spec, wanted = _without_later(_spec(found), kind), _without_later(_spec(expected), kind)
    return taken or next(_differ(spec, wanted, "spec"), None)


def find_contradiction(found: Body, asked: Body) -> str | None:
    """Return the first contradiction to `asked` when the server's own version of it is unknown.

    Nothing that was requested may be missing, and no additional field may give more power.
    """
    metadata = _find_metadata_difference(found, asked)
    return (
        metadata
        or next(_find_powers(_spec(found), _spec(asked)), None)
        or next(
            _contradict(_spec(found), _without_later(_spec(asked), str(asked["kind"])), "spec"),
            None,
        )
    )


def find_other_program(found: Body, asked: Body) -> str | None:
    """Return the first difference in what the user wrote of the Pod.

    For a Pod that another version of the operator rendered; `asked` is how this version would.
    """
    metadata = _find_metadata_difference(found, asked)
    return metadata or next(_find_other_parts(_spec(found), _spec(asked)), None)


def _find_powers(found: Body, asked: Body) -> Iterator[str]:
    """Find keys with power that no server sets in a Pod by default."""
    if found.get("serviceAccountName") not in (None, asked.get("serviceAccountName", "default")):
        yield "spec.serviceAccountName"
    yield from (f"spec.{key}" for key in _POWERS if found.get(key) and key not in asked)
    for section in ("initContainers", "containers"):
        for one, other in zip(found.get(section) or (), asked.get(section) or (), strict=False):
            yield from (
                f"spec.{section}.{other.get('name')}.{key}"
                for key in _CONTAINER_POWERS
                if one.get(key) and key not in other
            )


def _find_other_parts(found: Body, asked: Body) -> Iterator[str]:
    if found.get("serviceAccountName", "default") != asked.get("serviceAccountName", "default"):
        yield "spec.serviceAccountName"
    for section in ("initContainers", "containers"):
        theirs, ours = _without_collector(found, section), _without_collector(asked, section)
        if theirs.keys() != ours.keys():
            yield f"spec.{section}"
            return
        written = [name for name in ours if not name.startswith(names.INIT_CONTAINER)]
        yield from (
            f"spec.{section}.{name}.{key}"
            for name in written
            for key in _WRITTEN
            if theirs[name].get(key) != ours[name].get(key)
        )


def _without_collector(spec: Body, section: str) -> dict[str, Any]:
    """Return the containers by name. Another version may have run the same without a collector."""
    found = {str(one.get("name")): one for one in spec.get(section) or ()}
    return {name: one for name, one in found.items() if name != names.COLLECTOR}


def _find_metadata_difference(found: Body, asked: Body) -> str | None:
    theirs: ObjectMeta
    ours: ObjectMeta
    theirs, ours = found["metadata"], asked["metadata"]
    if not _holds(theirs.get("labels"), ours.get("labels")):
        return "metadata.labels"
    uids = {one.get("uid") for one in theirs.get("ownerReferences") or ()}
    return (
        None
        if {one["uid"] for one in ours.get("ownerReferences") or ()} <= uids
        else "metadata.ownerReferences"
    )


def _content(config_map: Body) -> dict[str, Any]:
    return {key: config_map.get(key) or None for key in ("data", "binaryData", "immutable")}


def _spec(manifest: Body) -> Body:
    return manifest.get("spec") or {}


def _without_later(spec: Body, kind: str) -> dict[str, Any]:
    kept = {key: value for key, value in spec.items() if key not in _LATER[kind]}
    if kind == "Deployment":
        template = kept.get("template") or {}
        return {**kept, "template": {**template, "spec": _without_life(template.get("spec") or {})}}
    return _without_life(kept)


def _without_life(spec: Body) -> dict[str, Any]:
    return {**spec, "volumes": [_drop_key(volume, _LIFE) for volume in spec.get("volumes") or ()]}


def _drop_key(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _drop_key(item, name) for key, item in value.items() if key != name}
    return [_drop_key(item, name) for item in value] if isinstance(value, list) else value


def _holds(found: Any, asked: Any) -> bool:
    """Return whether `found` has everything that was requested, perhaps among more."""
    if not asked:
        return True
    if isinstance(asked, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and found[key] == value for key, value in asked.items()
        )
    if isinstance(asked, list):
        return isinstance(found, list) and all(
            any(_holds(one, other) for one in found) for other in asked
        )
    return bool(found == asked)


def _differ(found: Any, expected: Any, path: str) -> Iterator[str]:
    """Find the paths at which two values differ. Absent, null and empty are equal."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for key in dict.fromkeys((*expected, *found)):
            yield from _differ(
                found.get(key), expected.get(key), f"{path}.{key}" if path else str(key)
            )
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from _differ(one, other, f"{path}[{index}]")
    elif (
        found != expected or isinstance(found, bool) != isinstance(expected, bool)
    ) and not _are_empty(found, expected):
        yield path


def _are_empty(*values: Any) -> bool:
    return all(value is None or value in ({}, []) for value in values)


def _contradict(found: Any, asked: Any, path: str) -> Iterator[str]:
    if isinstance(asked, Mapping):
        for key, value in asked.items():
            if key not in _SPELLED:
                yield from _contradict(
                    found.get(key) if isinstance(found, Mapping) else None, value, f"{path}.{key}"
                )
    elif isinstance(asked, list) and isinstance(found, list) and len(found) == len(asked):
        for index, (one, other) in enumerate(zip(found, asked, strict=True)):
            yield from _contradict(one, other, f"{path}[{index}]")
    elif found != asked and not _are_empty(found, asked):
        yield path


def is_about_documents(message: str, name: str) -> bool:
    """Return whether a node's message says that the ConfigMap of this name does not exist."""
    return f'configmap "{name}" not found' in message
