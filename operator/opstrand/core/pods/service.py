"""Render a service: the Deployment of its replicas, and the Service by whose name they are reached.

Owns the meaning and the allowed values of the keys of `kind: service`. A replica is the Pod that a
job would be, restarted whenever it ends. Nothing is exposed outside the cluster: `rewritePath` and
`isExternal` say under which path a gateway would show the service, and `globals.base_url` is that
path. Must not decide what its state means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opstrand.core import names
from opstrand.core.identity import Identity
from opstrand.core.limits import PORTS
from opstrand.core.planning.culling import validate_culling
from opstrand.core.planning.service_globals import DEFAULT_PORT, render_service_globals
from opstrand.errors import Problem
from opstrand.spec.problems import describe
from opstrand.types import Manifest

if TYPE_CHECKING:
    from opstrand.core.planning.plan import Plan


@dataclass(frozen=True)
class RenderedService:
    """The objects of a service besides its ConfigMap, in creation order."""

    service: Manifest
    deployment: Manifest


def validate_service(plan: Plan) -> Iterator[Problem]:
    """Find problems in the keys that only a service has, or that mean something else for it."""
    ports = plan.extra.get("ports")
    if ports is not None and not isinstance(ports, list):
        yield Problem(
            "InvalidSpec", f"expected a list of ports, found {describe(ports)}", "run.ports"
        )
    yield from _validate_ports(ports if isinstance(ports, list) else [])
    replicas = plan.extra.get("replicas")
    if replicas is not None and (not _is_whole(replicas) or replicas < 1):
        yield Problem(
            "InvalidSpec",
            f"expected a whole number of at least 1, found {describe(replicas)}",
            "run.replicas",
        )
    for key in ("rewritePath", "isExternal"):
        if not isinstance(plan.extra.get(key), bool | None):
            yield Problem(
                "InvalidSpec",
                f"expected true or false, found {describe(plan.extra[key])}",
                f"run.{key}",
            )
    if plan.environment.get("restartPolicy") not in (None, "Always"):
        found = describe(plan.environment["restartPolicy"])
        message = (
            "a service is restarted whenever it ends: expected Always (see "
            f"termination.maxRetries), found {found}"
        )
        yield Problem("InvalidSpec", message, "run.environment.restartPolicy")
    if plan.termination.get("podFailurePolicy") is not None:
        yield Problem(
            "NotSupported",
            "Kubernetes has no policy for the failures of a service's Pods",
            "termination.podFailurePolicy",
        )
    yield from validate_culling(plan.termination, find_ports(plan))


def _validate_ports(ports: Sequence[Any]) -> Iterator[Problem]:
    if len(ports) > PORTS:
        yield Problem("TooLarge", f"there are {len(ports)} ports; at most {PORTS} fit", "run.ports")
        return
    seen: set[int] = set()
    for index, port in enumerate(ports):
        path = f"run.ports[{index}]"
        if not _is_whole(port) or not 0 < port < 65536:
            yield Problem(
                "InvalidSpec",
                f"expected a port, a whole number from 1 to 65535, found {describe(port)}",
                path,
            )
        elif port in seen:
            yield Problem("InvalidSpec", f"the port {port} is there twice", path)
        else:
            seen.add(port)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def find_ports(plan: Plan) -> list[int]:
    return list(plan.extra.get("ports") or [DEFAULT_PORT])


def count_replicas(plan: Plan) -> int:
    return int(plan.extra.get("replicas") or 1)


def render_service(plan: Plan, pod: Mapping[str, Any], *, name: str) -> RenderedService:
    """Render the objects of a service whose replicas look like this Pod.

    Both have the Pod's labels and owner.
    """
    metadata = {**pod["metadata"], "name": name}
    selector = {names.UUID_LABEL: plan.uuid}
    ports = find_ports(plan)
    template = {
        "metadata": {key: dict(pod["metadata"][key]) for key in ("labels", "annotations")},
        "spec": {
            **pod["spec"],
            "restartPolicy": "Always",
            "containers": [_open(one, ports) for one in pod["spec"]["containers"]],
        },
    }
    spec = {
        "replicas": count_replicas(plan),
        "selector": {"matchLabels": selector},
        "template": template,
    }
    return RenderedService(
        service={
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "type": "ClusterIP",
                "selector": selector,
                "ports": [_render_port(port) for port in ports],
            },
        },
        deployment={
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": spec,
        },
    )


def _open(container: Mapping[str, Any], ports: Sequence[int]) -> Manifest:
    """Return the container with the service's ports, if it declares none itself."""
    return {
        **container,
        "ports": container.get("ports") or [{"containerPort": port} for port in ports],
    }


def _render_port(port: int) -> Manifest:
    return {"name": f"port-{port}", "port": port, "targetPort": port}


def render_facts(plan: Plan, identity: Identity, name: str) -> dict[str, Any]:
    """Render `status.service`: what clients need to reach it, frozen before it exists."""
    base_url = render_service_globals(identity, plan.extra)["base_url"]
    host = f"{name}.{plan.project}"
    return {
        "name": name,
        "host": host,
        "ports": find_ports(plan),
        "replicas": count_replicas(plan),
        "baseUrl": base_url,
    }
