"""Checks of the variables of a container and of their sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.spec.kubernetes.names import (
    CONFIG_KEY,
    QUALIFIED,
    SUBDOMAIN,
    VARIABLE,
    is_config_key,
    is_qualified,
    is_subdomain,
    is_variable,
    parse_quantity,
)
from opstrand.spec.kubernetes.parts import Fault
from opstrand.spec.kubernetes.rules.checks import (
    Table,
    below,
    check_local,
    check_one_of,
    check_single,
    check_text,
    fault,
)
from opstrand.spec.problems import describe

_SOURCES = ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef")
#: The fields of its Pod that a variable can hold. A file of the downward API can also hold labels
#: and annotations, but no addresses.
_FIELDS = (
    *(
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
    ),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
_FILE_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
)
_AMOUNTS = tuple(
    f"{part}.{name}"
    for part in ("limits", "requests")
    for name in ("cpu", "memory", "ephemeral-storage")
)
_DIVISORS = {
    "cpu": ("1m", "1"),
    "memory": ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"),
}


def _check_variable(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_text(value.get("name"), is_variable, VARIABLE, "name")
    if value.get("value") not in (None, "") and value.get("valueFrom") is not None:
        yield fault("a variable has either value or valueFrom: remove one of them", "valueFrom")
    source = value.get("valueFrom")
    if isinstance(source, Mapping):
        yield from below(check_single(source, _SOURCES, "a variable's source"), "valueFrom")
        yield from below(_check_field(source.get("fieldRef"), _FIELDS), "valueFrom", "fieldRef")
        reference = source.get("resourceFieldRef")
        yield from below(
            _check_amount(reference, needs_container=False), "valueFrom", "resourceFieldRef"
        )


def _check_field(value: Any, fields: tuple[str, ...]) -> Iterator[Fault]:
    path = value.get("fieldPath") if isinstance(value, Mapping) else None
    if not isinstance(path, str):
        return
    root, bracket, rest = path.partition("['")
    if bracket and root in ("metadata.labels", "metadata.annotations") and rest.endswith("']"):
        yield from check_text(rest.removesuffix("']"), is_qualified, QUALIFIED, "fieldPath")
    elif path not in fields:
        shown = ", ".join([*fields, "metadata.labels['KEY']", "metadata.annotations['KEY']"])
        yield fault(f"expected one of {shown}, found {describe(path)}", "fieldPath")
    if value.get("apiVersion") not in (None, "", "v1"):
        yield fault(f"expected v1, found {describe(value['apiVersion'])}", "apiVersion")


def _check_amount(value: Any, *, needs_container: bool) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        return
    resource = value.get("resource")
    if needs_container and not value.get("containerName"):
        yield fault("is required: the container whose amount it is", "containerName")
    if isinstance(resource, str) and not resource.startswith(
        ("limits.hugepages-", "requests.hugepages-")
    ):
        yield from check_one_of(resource, _AMOUNTS, "resource")
        yield from _check_divisor(resource.partition(".")[2], value.get("divisor"))


def _check_divisor(resource: str, divisor: Any) -> Iterator[Fault]:
    allowed = _DIVISORS.get("memory" if resource == "ephemeral-storage" else resource)
    amount = parse_quantity(divisor)
    # A divisor of 0 means the default.
    if allowed and amount and amount not in [parse_quantity(one) for one in allowed]:
        yield fault(f"expected one of {', '.join(allowed)}, found {describe(divisor)}", "divisor")


def _check_from(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_single(value, ("configMapRef", "secretRef"), "an item of envFrom")
    if value.get("prefix"):
        yield from check_text(value["prefix"], is_variable, VARIABLE, "prefix")


def _check_object(value: Mapping[str, Any]) -> Iterator[Fault]:
    if not value.get("name"):
        yield fault("is required", "name")
    else:
        yield from check_text(value["name"], is_subdomain, SUBDOMAIN, "name")


def _check_key(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _check_object(value)
    if value.get("key") is not None:
        yield from check_text(value["key"], is_config_key, CONFIG_KEY, "key")


def _check_file_key(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from check_text(
        value.get("key"), lambda key: not key or is_variable(key), VARIABLE, "key"
    )
    yield from check_local(value.get("path"), "path")


def _check_file(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Check an item of a downward API volume."""
    yield from check_single(value, ("fieldRef", "resourceFieldRef"), "a file")
    yield from below(_check_field(value.get("fieldRef"), _FILE_FIELDS), "fieldRef")
    amount = value.get("resourceFieldRef")
    yield from below(_check_amount(amount, needs_container=True), "resourceFieldRef")


RULES: Table = {
    "EnvVar": (_check_variable,),
    "EnvFromSource": (_check_from,),
    "ConfigMapEnvSource": (_check_object,),
    "SecretEnvSource": (_check_object,),
    "ConfigMapKeySelector": (_check_key,),
    "SecretKeySelector": (_check_key,),
    "FileKeySelector": (_check_file_key,),
    "DownwardAPIVolumeFile": (_check_file,),
}
