"""Validate `environment`: names, labels, addresses, and the Kubernetes objects in it.

Owns the checks of the keys that are the Pod's own, and of one Kubernetes object at a path. Must not
know containers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opstrand.core.planning.plan import Plan
from opstrand.errors import Problem
from opstrand.spec.kubernetes.names import (
    LABEL_VALUE,
    QUALIFIED,
    SUBDOMAIN,
    is_label_value,
    is_qualified,
    is_subdomain,
)
from opstrand.spec.kubernetes.values import find_wrong_choice, find_wrong_values
from opstrand.spec.polyaxonfile import dotted
from opstrand.spec.problems import describe

PATH = "run.environment"
#: Keys of `environment` -> the Kubernetes type of the value, as spec.kubernetes names it.
_OBJECTS = {
    "affinity": "Affinity",
    "tolerations": "Toleration[]",
    "hostAliases": "HostAlias[]",
    "securityContext": "PodSecurityContext",
    "dnsConfig": "PodDNSConfig",
}
_FLAGS = ("hostNetwork", "hostPID")
_NAMES = ("nodeName", "serviceAccountName", "priorityClassName")
_TEXTS = (*_NAMES, "dnsPolicy", "schedulerName")
#: The most bytes that all annotations of an object may take together.
_ANNOTATIONS = 256 * 1024


def check_object(kind: str, value: Any, path: str) -> Iterator[Problem]:
    """Find everything that Kubernetes would refuse in an object of this kind at `path`."""
    for where, reason, message in find_wrong_values(kind, value):
        yield Problem(reason, message, join(path, dotted(where)))


def join(path: str, below: str) -> str:
    return path + (below if below.startswith("[") or not below else f".{below}")


def check_environment(plan: Plan) -> Iterator[Problem]:
    """Find all problems of the plan's environment."""
    environment = plan.environment
    for key, kind in _OBJECTS.items():
        if environment.get(key) is not None:
            yield from check_object(kind, environment[key], f"{PATH}.{key}")
    for key in _FLAGS:
        if not isinstance(environment.get(key), bool | None):
            yield _complain(key, "true or false", environment[key])
    for key in _TEXTS:
        if not isinstance(environment.get(key), str | None):
            yield _complain(key, "text", environment[key])
    priority = environment.get("priority")
    if priority is not None and (isinstance(priority, bool) or not isinstance(priority, int)):
        yield _complain("priority", "a whole number", priority)
    secrets = environment.get("imagePullSecrets")
    if secrets is not None and not (
        isinstance(secrets, list) and all(isinstance(one, str) for one in secrets)
    ):
        yield _complain("imagePullSecrets", "a list of names", secrets)
    yield from _check_names(environment)
    yield from _check_dns(environment)
    yield from _check_labels(environment)


def _complain(key: str, expected: str, found: Any) -> Problem:
    return Problem("InvalidSpec", f"expected {expected}, found {describe(found)}", f"{PATH}.{key}")


def _check_names(environment: Mapping[str, Any]) -> Iterator[Problem]:
    for key in _NAMES:
        name = environment.get(key)
        if isinstance(name, str) and name and not is_subdomain(name):
            yield _complain(key, SUBDOMAIN, name)


def _check_dns(environment: Mapping[str, Any]) -> Iterator[Problem]:
    policy, config = environment.get("dnsPolicy"), environment.get("dnsConfig")
    for _, reason, message in find_wrong_choice("PodSpec", "dnsPolicy", policy):
        yield Problem(reason, message, f"{PATH}.dnsPolicy")
    if policy == "None" and not (isinstance(config, Mapping) and config.get("nameservers")):
        yield Problem(
            "InvalidSpec",
            "is required with dnsPolicy None: one name server at least",
            f"{PATH}.dnsConfig.nameservers",
        )


def _check_labels(environment: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("labels", "annotations", "nodeSelector"):
        given = environment.get(key) or {}
        if not isinstance(given, Mapping):
            yield _complain(key, "a mapping", given)
            continue
        is_key: Callable[[str], bool] = is_qualified if key != "annotations" else _is_annotation
        for name, value in given.items():
            if not is_key(str(name)):
                yield Problem("InvalidSpec", f"expected {QUALIFIED}", f"{PATH}.{key}.{name}")
            if key != "annotations" and not is_label_value(str(value)):
                yield Problem(
                    "InvalidSpec",
                    f"expected {LABEL_VALUE}, found {describe(value)}",
                    f"{PATH}.{key}.{name}",
                )
    annotations = environment.get("annotations")
    if isinstance(annotations, Mapping):
        size = sum(
            len(f"{name}{value}".encode("utf-8", "backslashreplace"))
            for name, value in annotations.items()
        )
        if size > _ANNOTATIONS:
            yield Problem(
                "TooLarge",
                f"the annotations take {size} bytes; at most {_ANNOTATIONS} fit",
                f"{PATH}.annotations",
            )


def _is_annotation(name: str) -> bool:
    """Kubernetes compares the keys of annotations in lower case."""
    return is_qualified(name.lower())
