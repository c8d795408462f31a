"""Validate the containers of a Pod together: node ports, devices, fields of some containers only.

Owns the checks that need the whole plan. `spec.kubernetes` validates one container alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opstrand.core.planning.plan import Plan
from opstrand.core.planning.service_globals import KIND
from opstrand.core.pods.volume_names import connection_names, own_volumes_by_name
from opstrand.errors import Problem

#: Fields that Kubernetes allows only in a container that runs beside others.
_FOR_LONG = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")


def check_containers(plan: Plan) -> Iterator[Problem]:
    """Find problems of the plan's containers that depend on the rest of the Pod."""
    sidecars = [(one, f"run.sidecars[{index}]") for index, one in enumerate(plan.sidecars)]
    steps = [
        (one["container"], f"{path}.container")
        for one, path in plan.placed_init
        if isinstance(one.get("container"), Mapping)
    ]
    main = (plan.container, "run.container")
    yield from _check_node_ports([main], plan)
    for one in (*sidecars, *steps):
        yield from _check_node_ports([one], plan)
    for container, path in (main, *sidecars, *steps):
        yield from _check_devices(container, path, plan)
        yield from _check_files(container, path, plan)
    for container, path in steps:
        yield from _check_step(container, path)
    for container, path in (main, *sidecars) if plan.kind != KIND else ():
        yield from _check_resizing(container, path)


def _check_node_ports(
    placed: Sequence[tuple[Mapping[str, Any], str]], plan: Plan
) -> Iterator[Problem]:
    """Check that each port of the node belongs to one container only.

    With `hostNetwork`, a container's ports are ports of the node.
    """
    is_host = plan.environment.get("hostNetwork") is True
    seen: set[tuple[Any, ...]] = set()
    for container, path in placed:
        for index, port in enumerate(_items(container.get("ports"))):
            inner, outer = port.get("containerPort"), port.get("hostPort")
            if is_host and outer and outer != inner:
                message = (
                    f"expected {inner}, the containerPort, since the Pod is on the node's network, "
                    f"found {outer}"
                )
                yield Problem("InvalidSpec", message, f"{path}.ports[{index}].hostPort")
            taken = (
                port.get("protocol") or "TCP",
                port.get("hostIP") or "",
                outer or (inner if is_host else None),
            )
            if taken[2] and taken in seen:
                key = "hostPort" if outer else "containerPort"
                yield Problem(
                    "InvalidSpec",
                    f"the node's port {taken[2]} is used already",
                    f"{path}.ports[{index}].{key}",
                )
            seen.add(taken)


def _check_devices(container: Mapping[str, Any], path: str, plan: Plan) -> Iterator[Problem]:
    volumes = {str(one.get("name")): one for one in plan.volumes}
    shared = connection_names(plan)
    for index, device in enumerate(_items(container.get("volumeDevices"))):
        name = device.get("name")
        if not isinstance(name, str) or name in shared:
            continue
        volume = volumes.get(name)
        if volume is None:
            yield Problem(
                "InvalidSpec", f"there is no volume '{name}'", f"{path}.volumeDevices[{index}].name"
            )
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            yield Problem(
                "InvalidSpec",
                f"the volume '{name}' is no claim, and only a claim is a device",
                f"{path}.volumeDevices[{index}].name",
            )


def _check_files(container: Mapping[str, Any], path: str, plan: Plan) -> Iterator[Problem]:
    """Check that a variable that is read from a file refers to an emptyDir."""
    volumes: dict[str, Any] = {name: {"emptyDir": {}} for name in own_volumes_by_name(plan)}
    volumes |= {str(one.get("name")): one for one in plan.volumes}
    for index, variable in enumerate(_items(container.get("env"))):
        source = variable.get("valueFrom")
        reference = source.get("fileKeyRef") if isinstance(source, Mapping) else None
        name = reference.get("volumeName") if isinstance(reference, Mapping) else None
        if (
            isinstance(name, str)
            and name
            and (name not in volumes or not _is_empty_dir(volumes[name]))
        ):
            message = f"there is no emptyDir '{name}' in run.volumes"
            yield Problem(
                "InvalidSpec", message, f"{path}.env[{index}].valueFrom.fileKeyRef.volumeName"
            )


def _is_empty_dir(volume: Mapping[str, Any]) -> bool:
    return volume.get("emptyDir") is not None or set(volume) == {"name"}


def _check_step(container: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Check an init container: unless it is a sidecar, it serves no requests."""
    yield from _check_resizing(container, path)
    if container.get("restartPolicy") == "Always":
        return
    for key in _FOR_LONG:
        if container.get(key) is not None:
            yield Problem(
                "InvalidSpec",
                "only a container that runs beside others may have it: remove it",
                f"{path}.{key}",
            )


def _check_resizing(container: Mapping[str, Any], path: str) -> Iterator[Problem]:
    for index, policy in enumerate(_items(container.get("resizePolicy"))):
        if policy.get("restartPolicy") == "RestartContainer":
            message = "expected NotRequired, since this container is not restarted in its Pod"
            yield Problem("InvalidSpec", message, f"{path}.resizePolicy[{index}].restartPolicy")


def _items(value: Any) -> list[Mapping[str, Any]]:
    return (
        [one for one in value if isinstance(one, Mapping)]
        if isinstance(value, list | tuple)
        else []
    )
