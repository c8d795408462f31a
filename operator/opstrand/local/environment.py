"""Build the variables of a container in a kubelet's order and by its rules, as far as a laptop can.

Owns the source of each value: the file, the Pod itself, or the environment of the command. The last
stands for a key of a Secret or ConfigMap, which only a cluster has: its variable is read under its
own name. A value that has no source is named before anything runs. Must not start anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opstrand.core import names
from opstrand.core.planning.expansion import expand
from opstrand.local.downward import read_field, read_resource
from opstrand.types import Body

#: Sources that only a cluster has -> their kind in a message.
_CLUSTER_SOURCES = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}
_CLUSTER_SETS = {"secretRef": "Secret", "configMapRef": "ConfigMap"}
_PATH = "run.container"


def build_environment(pod: Body, container: Body, caller: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the Pod declares, in order: each is expanded over those before it.

    `caller` is the environment of the command. A kubelet reads `envFrom` first; here only optional
    ones are left, and they are empty.
    """
    env: dict[str, str] = {}
    for one in container.get("env") or ():
        value = _read(one, pod, container, env, caller)
        if value is not None:
            env[one["name"]] = value
    return env


def _read(
    one: Body, pod: Body, container: Body, env: Mapping[str, str], caller: Mapping[str, str]
) -> str | None:
    """Return the value of a variable; None if it is optional and has no value."""
    if one.get("value"):
        return expand(str(one["value"]), env)
    source = one.get("valueFrom") or {}
    if source.get("fieldRef"):
        return read_field(pod, str(source["fieldRef"].get("fieldPath")))
    if source.get("resourceFieldRef"):
        return read_resource(container, source["resourceFieldRef"])
    return caller.get(one["name"]) if source else ""


def find_missing(pod: Body, container: Body, caller: Mapping[str, str]) -> Iterator[str]:
    """Yield a message for each variable that would be silently empty here, with what to do."""
    for one in container.get("envFrom") or ():
        yield from _refuse_set(one)
    for one in container.get("env") or ():
        source = {
            key: value for key, value in (one.get("valueFrom") or {}).items() if value is not None
        }
        for key, details in source.items() if not one.get("value") else ():
            yield from _refuse_source(one["name"], key, details, pod, container, caller)


def _refuse_set(one: Body) -> Iterator[str]:
    known = {key: kind for key, kind in _CLUSTER_SETS.items() if one.get(key)}
    for key, kind in known.items():
        if not one[key].get("optional"):
            message = f"the variables of the {kind} {one[key].get('name')!r} need a cluster"
            yield (
                f"{_PATH}.envFrom: {message}; --local can read single ones, listed in env, from "
                "its own environment"
            )
    if not known:
        yield f"{_PATH}.envFrom: {', '.join(one) or 'an empty entry'} needs a cluster"


def _refuse_source(
    name: str, key: str, details: Body, pod: Body, container: Body, caller: Mapping[str, str]
) -> Iterator[str]:
    path = f"{_PATH}.env"
    if key in _CLUSTER_SOURCES:
        if name not in caller and not details.get("optional"):
            message = (
                f"key {details.get('key')!r} of the {_CLUSTER_SOURCES[key]} {details.get('name')!r}"
            )
            yield (
                f"{path}: {name} is the {message}, which needs a cluster; set {name} in the "
                "environment of --local"
            )
    elif key == "fieldRef":
        if read_field(pod, str(details.get("fieldPath"))) is None:
            yield (
                f"{path}: {name} asks for {details.get('fieldPath')!r}, which is no field that a "
                "container can read"
            )
    elif key == "resourceFieldRef":
        if details.get("containerName") not in (None, "", names.MAIN_CONTAINER):
            yield (
                f"{path}: {name} asks for a resource of {details['containerName']!r}; --local runs "
                "one process"
            )
        elif read_resource(container, details) is None:
            yield (
                f"{path}: {name} asks for {details.get('resource')!r}, which --local does not know"
            )
    else:
        yield f"{path}: {name} is a {key}, which needs a cluster"


def list_taken(container: Body, caller: Mapping[str, str]) -> list[str]:
    """List the variables whose values come from the command's environment instead of a cluster."""
    found = (one for one in container.get("env") or () if not one.get("value"))
    return [
        one["name"]
        for one in found
        if one["name"] in caller and _CLUSTER_SOURCES.keys() & (one.get("valueFrom") or {}).keys()
    ]
