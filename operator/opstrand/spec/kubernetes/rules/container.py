"""Checks of a container's own keys: image, ports, mounts, devices and policies.

The volumes that a mount names belong to the Pod: `core.pods.pod_rules` checks them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.spec.kubernetes.names import IMAGE, PORT_NAME, is_image, is_port_name
from opstrand.spec.kubernetes.parts import Fault
from opstrand.spec.kubernetes.rules.checks import (
    Table,
    check_one_of,
    check_range,
    check_relative,
    check_text,
    fault,
    read_items,
    read_mapping,
)
from opstrand.spec.problems import describe

#: The placeholders for the name of an image in the documentation.
_PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9]*([_-][A-Z0-9]+)*")


def _check_image(value: Mapping[str, Any]) -> Iterator[Fault]:
    image = value.get("image")
    if isinstance(image, str) and _PLACEHOLDER.fullmatch(image):
        yield (
            ("image",),
            "Placeholder",
            f"{image} is no name of an image: a word in capitals stands for one, to be filled in",
        )
    elif image:
        yield from check_text(image, is_image, IMAGE, "image")


def _check_port_names(value: Mapping[str, Any]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, port in enumerate(read_items(value.get("ports"))):
        name = read_mapping(port).get("name")
        if isinstance(name, str) and name in seen:
            yield fault(f"there are two ports {name!r}", "ports", index, "name")
        seen.add(str(name))


def _check_devices(value: Mapping[str, Any]) -> Iterator[Fault]:
    """A container uses a volume as a folder or as a device, and a path only once."""
    mounts = [read_mapping(one) for one in read_items(value.get("volumeMounts"))]
    names, paths = (
        {str(one.get("name")) for one in mounts},
        {str(one.get("mountPath")) for one in mounts},
    )
    seen: set[str] = set()
    for index, device in enumerate(map(read_mapping, read_items(value.get("volumeDevices")))):
        name, path = str(device.get("name")), str(device.get("devicePath"))
        if name in names or name in seen:
            yield fault(f"the volume {name!r} is used already", "volumeDevices", index, "name")
        if path in paths:
            yield fault(f"something is at {path} already", "volumeDevices", index, "devicePath")
        yield from check_relative(path.lstrip("/"), "volumeDevices", index, "devicePath")
        seen.add(name)


def _check_propagation(value: Mapping[str, Any]) -> Iterator[Fault]:
    is_privileged = read_mapping(value.get("securityContext")).get("privileged") is True
    for index, mount in enumerate(map(read_mapping, read_items(value.get("volumeMounts")))):
        if mount.get("mountPropagation") == "Bidirectional" and not is_privileged:
            message = "Bidirectional needs a container with securityContext.privileged: true"
            yield fault(message, "volumeMounts", index, "mountPropagation")


def _check_restarts(value: Mapping[str, Any]) -> Iterator[Fault]:
    rules = read_items(value.get("restartPolicyRules"))
    yield from check_one_of(
        value.get("restartPolicy"), ("Always", "Never", "OnFailure"), "restartPolicy"
    )
    if rules and value.get("restartPolicy") is None:
        yield fault("is required with restartPolicyRules", "restartPolicy")
    for index, rule in enumerate(map(read_mapping, rules)):
        path = ("restartPolicyRules", index)
        yield from check_one_of(
            rule.get("action"), ("Restart", "RestartAllContainers"), *path, "action"
        )
        if rule.get("exitCodes") is None:
            yield fault("is required", *path, "exitCodes")
        yield from check_one_of(
            read_mapping(rule.get("exitCodes")).get("operator"),
            ("In", "NotIn"),
            *path,
            "exitCodes",
            "operator",
        )


def _check_resizing(value: Mapping[str, Any]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, policy in enumerate(map(read_mapping, read_items(value.get("resizePolicy")))):
        name, path = policy.get("resourceName"), ("resizePolicy", index)
        yield from check_one_of(name, ("cpu", "memory"), *path, "resourceName")
        yield from check_one_of(
            policy.get("restartPolicy"), ("NotRequired", "RestartContainer"), *path, "restartPolicy"
        )
        if isinstance(name, str) and name in seen:
            yield fault(f"there are two policies for {name!r}", *path, "resourceName")
        seen.add(str(name))


def _check_port(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_range(value.get("containerPort"), 1, 65535, "containerPort")
    yield from check_range(value.get("hostPort"), 0, 65535, "hostPort")
    if value.get("name"):
        yield from check_text(value["name"], is_port_name, PORT_NAME, "name")


def _check_mount(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_relative(value.get("subPath"), "subPath")
    yield from check_relative(value.get("subPathExpr"), "subPathExpr")
    if value.get("subPath") and value.get("subPathExpr"):
        yield fault("a mount has either subPath or subPathExpr", "subPathExpr")
    recursive = value.get("recursiveReadOnly")
    yield from check_one_of(recursive, ("Disabled", "IfPossible", "Enabled"), "recursiveReadOnly")
    if recursive in ("Enabled", "IfPossible"):
        if value.get("readOnly") is not True:
            yield fault(f"{recursive} needs readOnly: true", "recursiveReadOnly")
        if value.get("mountPropagation") not in (None, "None"):
            found = describe(value["mountPropagation"])
            yield fault(
                f"{recursive} needs no mountPropagation, found {found}", "recursiveReadOnly"
            )


RULES: Table = {
    "Container": (
        _check_image,
        _check_port_names,
        _check_devices,
        _check_propagation,
        _check_restarts,
        _check_resizing,
    ),
    "ContainerPort": (_check_port,),
    "VolumeMount": (_check_mount,),
}
