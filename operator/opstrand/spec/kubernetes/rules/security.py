"""Checks of the security contexts of a container and of a Pod."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.spec.kubernetes.names import SUBDOMAIN, is_subdomain
from opstrand.spec.kubernetes.parts import Fault
from opstrand.spec.kubernetes.rules import checks
from opstrand.spec.kubernetes.rules.checks import MOST, Table, fault
from opstrand.spec.problems import describe

_SYSCTL = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*")


def _check_ids(value: Mapping[str, Any]) -> Iterator[Fault]:
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        yield from checks.check_range(value.get(key), 0, MOST, key)
    for index, group in enumerate(checks.read_items(value.get("supplementalGroups"))):
        yield from checks.check_range(group, 0, MOST, "supplementalGroups", index)


def _check_root(value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get("runAsNonRoot") is True and value.get("runAsUser") == 0:
        yield fault(
            "0 is root, which runAsNonRoot forbids: the kubelet would not start the container",
            "runAsUser",
        )


def _check_escalation(value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get("allowPrivilegeEscalation") is not False:
        return
    if value.get("privileged") is True:
        yield fault(
            "a privileged container cannot have false: remove one of the two",
            "allowPrivilegeEscalation",
        )
    if "CAP_SYS_ADMIN" in checks.read_items(
        checks.read_mapping(value.get("capabilities")).get("add")
    ):
        yield fault(
            "a container with CAP_SYS_ADMIN cannot have false: remove one of the two",
            "allowPrivilegeEscalation",
        )


def _check_proc(value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get("procMount") == "Unmasked":
        yield fault(
            "Unmasked needs a Pod with users of its own (hostUsers: false), which a run's is not",
            "procMount",
        )


def _check_profile(value: Mapping[str, Any]) -> Iterator[Fault]:
    """A profile of type Localhost needs a name, and no other type may have one."""
    is_local = value.get("type") == "Localhost"
    if is_local and value.get("localhostProfile") is None:
        yield fault("is required for the type Localhost", "localhostProfile")
    if not is_local and value.get("localhostProfile") is not None:
        yield fault(
            f"only the type Localhost has one, found {describe(value.get('type'))}",
            "localhostProfile",
        )


def _check_seccomp(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from checks.check_relative(value.get("localhostProfile"), "localhostProfile")


def _check_app_armor(value: Mapping[str, Any]) -> Iterator[Fault]:
    name = value.get("localhostProfile")
    if isinstance(name, str) and (not name or name != name.strip() or len(name) > 4095):
        yield fault(
            f"expected the name of a profile, without spaces around it, found {describe(name)}",
            "localhostProfile",
        )


def _check_sysctls(value: Mapping[str, Any]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, one in enumerate(map(checks.read_mapping, checks.read_items(value.get("sysctls")))):
        name = one.get("name")
        if not isinstance(name, str):
            continue
        if len(name) > 253 or not _SYSCTL.fullmatch(name):
            yield fault(
                "expected the name of a kernel parameter such as net.core.somaxconn, found "
                f"{describe(name)}",
                "sysctls",
                index,
                "name",
            )
        elif name in seen:
            yield fault(f"{name} is there twice", "sysctls", index, "name")
        seen.add(name)


def _check_pod_policies(value: Mapping[str, Any]) -> Iterator[Fault]:
    yield from checks.check_one_of(
        value.get("seLinuxChangePolicy"), ("MountOption", "Recursive"), "seLinuxChangePolicy"
    )


def _check_windows(value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get("hostProcess") is True:
        yield fault(
            "all containers of the Pod would have to be of Windows, and a run has some of ours",
            "hostProcess",
        )
    if value.get("runAsUserName") == "":
        yield fault("expected the name of a user, found an empty text", "runAsUserName")
    yield from checks.check_text(
        value.get("gmsaCredentialSpecName"), is_subdomain, SUBDOMAIN, "gmsaCredentialSpecName"
    )


RULES: Table = {
    "SecurityContext": (_check_ids, _check_root, _check_escalation, _check_proc),
    "PodSecurityContext": (_check_ids, _check_root, _check_sysctls, _check_pod_policies),
    "SeccompProfile": (_check_profile, _check_seccomp),
    "WindowsSecurityContextOptions": (_check_windows,),
    "AppArmorProfile": (_check_profile, _check_app_armor),
}
