"""Checks of probes and lifecycle hooks, and of their actions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from opstrand.spec.kubernetes.names import PORT_NAME, is_port_name
from opstrand.spec.kubernetes.parts import Fault
from opstrand.spec.kubernetes.rules.checks import (
    MOST,
    Table,
    check_range,
    check_single,
    check_text,
    fault,
    read_items,
    read_whole,
)

_COUNTS = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
#: Kubernetes' default for the termination grace period, seconds. Our Pods never change it.
_GRACE = 30
_HEADER = re.compile(r"[-A-Za-z0-9]+")


def _check_probe(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_single(value, ("exec", "grpc", "httpGet", "tcpSocket"), "a probe")
    for key in _COUNTS:
        yield from check_range(value.get(key), 0, MOST, key)
    yield from check_range(
        value.get("terminationGracePeriodSeconds"), 1, MOST, "terminationGracePeriodSeconds"
    )


def _check_probes(value: Mapping[str, Any]) -> Iterator[Fault]:
    """The checks that depend on the kind of probe."""
    for name in ("livenessProbe", "startupProbe"):
        probe = value.get(name)
        threshold = (
            read_whole(probe.get("successThreshold")) if isinstance(probe, Mapping) else None
        )
        if threshold not in (None, 0, 1):
            yield fault(f"expected 1 for a {name}, found {threshold}", name, "successThreshold")
    probe = value.get("readinessProbe")
    if isinstance(probe, Mapping) and probe.get("terminationGracePeriodSeconds") is not None:
        yield fault(
            "a readinessProbe ends nothing: remove it",
            "readinessProbe",
            "terminationGracePeriodSeconds",
        )


def _check_hook(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_single(value, ("exec", "httpGet", "sleep", "tcpSocket"), "a hook")


def _check_command(value: Mapping[str, Any]) -> Iterator[Fault]:
    if not read_items(value.get("command")):
        yield fault("is required", "command")


def _check_port(key: str, value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_range(value.get(key), 1, 65535, key)
    yield from check_text(value.get(key), is_port_name, f"a port or its name ({PORT_NAME})", key)


def _check_headers(value: Mapping[str, Any]) -> Iterator[Fault]:
    for index, header in enumerate(read_items(value.get("httpHeaders"))):
        name = header.get("name") if isinstance(header, Mapping) else None
        yield from check_text(
            name,
            lambda text: bool(_HEADER.fullmatch(text)),
            "letters, digits and dashes",
            "httpHeaders",
            index,
            "name",
        )


def _check_sleep(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_range(value.get("seconds"), 0, _GRACE, "seconds")


RULES: Table = {
    "Container": (_check_probes,),
    "Probe": (_check_probe,),
    "LifecycleHandler": (_check_hook,),
    "ExecAction": (_check_command,),
    "HTTPGetAction": (partial(_check_port, "port"), _check_headers),
    "TCPSocketAction": (partial(_check_port, "port"),),
    "GRPCAction": (partial(_check_port, "port"),),
    "SleepAction": (_check_sleep,),
}
