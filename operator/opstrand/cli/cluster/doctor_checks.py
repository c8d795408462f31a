"""The checks of `opstrand doctor`: one small check after another, each with advice if it fails.

Owns the checks and their advice. Must not print.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from opstrand import __version__
from opstrand.cli.cluster.connection import Cluster
from opstrand.core.names import API_VERSION, GROUP
from opstrand.kube.errors import ApiError, Forbidden, NotFound, Unauthorized, Unreachable
from opstrand.kube.resources import CRDS, DEPLOYMENTS, NAMESPACES, RUNS, SELF_ACCESS_REVIEWS

#: The namespace in which `kubectl apply -k manifests/` installs the operator and the API.
HOME = "opstrand"
_OPERATOR, _API, _API_PORT = "opstrand-operator", "opstrand-api", 8000
OLDEST = (1, 33)
#: Seconds that clocks may differ before times and tokens go wrong.
_SKEW = 30.0
_INSTALL = "kubectl apply -k manifests/"
_NO_ANSWER = "Is the cluster up, and is this the right --context?"
_WRONG_ADDRESS = "Is this the address of a Kubernetes API server?"
_SAME_VERSION = "(from the same version as this command line)"


class Verdict(StrEnum):
    """What one check of `doctor` found."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `todo` is empty if the user need not do anything."""

    name: str
    verdict: Verdict
    message: str
    todo: str = ""


def _ok(name: str, message: str) -> Finding:
    return Finding(name, Verdict.OK, message)


def _warn(name: str, message: str, todo: str) -> Finding:
    return Finding(name, Verdict.WARNING, message, todo)


def _fail(name: str, message: str, todo: str) -> Finding:
    return Finding(name, Verdict.FAILED, message, todo)


async def examine(cluster: Cluster) -> list[Finding]:
    """Return all findings, in order.

    If the cluster does not answer, the first finding says so and no other follows.
    """
    first = await _reach(cluster)
    if any(finding.verdict is Verdict.FAILED for finding in first):
        return first
    groups = await asyncio.gather(*(_guard(name, check, cluster) for name, check in _CHECKS))
    return [*first, *(finding for found in groups for finding in found)]


Check = Callable[[Cluster], Awaitable[list[Finding]]]


async def _guard(name: str, check: Check, cluster: Cluster) -> list[Finding]:
    """Run a check. A refusal becomes a warning, and another error of the API server a failure."""
    try:
        return await check(cluster)
    except Forbidden as error:
        return [
            _warn(
                name,
                f"could not be looked at: {error.server_message}",
                "Ask a person who may do it, or run doctor as an admin.",
            )
        ]
    except ApiError as error:
        return [_fail(name, error.message, "Try again; if it stays, ask who runs the cluster.")]


async def _reach(cluster: Cluster) -> list[Finding]:
    try:
        before = datetime.now(UTC)
        text, date = await cluster.api.probe("/version")
        after = datetime.now(UTC)
    except Unauthorized as error:
        return [_fail("cluster", error.message, "Log in again, or choose another --context.")]
    except Unreachable as error:
        return [_fail("cluster", error.message, error.advice or _NO_ANSWER)]
    except ApiError as error:
        return [_fail("cluster", error.message, _WRONG_ADDRESS)]
    version = _parse_object(text)
    if "gitVersion" not in version:
        return [
            _fail(
                "cluster",
                f"{cluster.api.session.server}/version is not what Kubernetes answers",
                _WRONG_ADDRESS,
            )
        ]
    return [_validate_version(version, cluster), *_validate_clock(date, before, after)]


def _parse_object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _validate_version(version: Mapping[str, Any], cluster: Cluster) -> Finding:
    summary = f"Kubernetes {version.get('gitVersion')} at {cluster.api.session.server}"
    digits = [
        int("".join(filter(str.isdigit, str(version.get(part)))) or 0)
        for part in ("major", "minor")
    ]
    if tuple(digits) < OLDEST:
        return _warn(
            "cluster",
            summary,
            f"opstrand promises to work from {OLDEST[0]}.{OLDEST[1]} on: upgrade the cluster.",
        )
    return _ok("cluster", summary)


def _validate_clock(date: str, before: datetime, after: datetime) -> list[Finding]:
    """Compare the Date header, in whole seconds, with our clock before and after the request."""
    try:
        theirs = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return []
    ahead, behind = (theirs - after).total_seconds(), (before - theirs).total_seconds() - 1
    skew = max(ahead, behind, 0.0)
    if skew > _SKEW:
        return [
            _warn(
                "clock",
                f"this machine and the cluster differ by {skew:.0f} s",
                "Set the clocks: times and tokens go wrong.",
            )
        ]
    return [_ok("clock", "this machine and the cluster agree")]


async def _check_project(cluster: Cluster) -> list[Finding]:
    try:
        await cluster.api.get(NAMESPACES, None, cluster.project)
    except NotFound:
        return [
            _fail(
                "project",
                f"there is no namespace {cluster.project!r}",
                f"kubectl create namespace {cluster.project}",
            )
        ]
    return [_ok("project", cluster.project)]


async def _check_definitions(cluster: Cluster) -> list[Finding]:
    return [await _check_definition(cluster, plural) for plural in ("operations", "components")]


async def _check_definition(cluster: Cluster, plural: str) -> Finding:
    name = f"{plural}.{GROUP}"
    try:
        body = await cluster.api.get(CRDS, None, name)
    except NotFound:
        return _fail(f"crd {plural}", "is not installed", _INSTALL)
    conditions = {
        one["type"]: one["status"] for one in (body.get("status") or {}).get("conditions") or ()
    }
    if conditions.get("Established") != "True":
        return _fail(f"crd {plural}", "is not established", f"kubectl describe crd {name}")
    version = API_VERSION.rpartition("/")[2]
    served = [
        one for one in body["spec"]["versions"] if one["name"] == version and one.get("served")
    ]
    if not served:
        return _fail(f"crd {plural}", f"does not serve {version}", _INSTALL)
    if _schema_of(served[0]) != _wanted_schema(plural):
        return _warn(
            f"crd {plural}", f"is not that of opstrand {__version__}", f"{_INSTALL} {_SAME_VERSION}"
        )
    return _ok(f"crd {plural}", f"{version}, current")


def _schema_of(version: Mapping[str, Any]) -> Any:
    return version["schema"]["openAPIV3Schema"]


def _wanted_schema(plural: str) -> Any:
    from opstrand.spec.crd.write import component_crd, operation_crd

    wanted = operation_crd() if plural == "operations" else component_crd()
    return _schema_of(wanted["spec"]["versions"][0])


#: What the commands need: (verb, group, resource, subresource).
_RIGHTS = (
    *(
        (verb, GROUP, "operations", "")
        for verb in ("get", "list", "watch", "create", "patch", "delete")
    ),
    *((verb, GROUP, "components", "") for verb in ("get", "list", "create", "patch")),
    ("get", "", "pods", ""),
    ("get", "", "pods", "log"),
)


async def _check_rights(cluster: Cluster) -> list[Finding]:
    allowed = await asyncio.gather(*(_may(cluster, *right) for right in _RIGHTS))
    missing = [_show_right(right) for right, may in zip(_RIGHTS, allowed, strict=True) if not may]
    if not missing:
        return [_ok("rights", f"all that the commands need in {cluster.project}")]
    todo = (
        f"Ask an admin: kubectl create rolebinding opstrand-users -n {cluster.project} "
        "--clusterrole=edit --user=YOU"
    )
    return [_fail("rights", f"missing in {cluster.project}: {', '.join(missing)}", todo)]


async def _may(cluster: Cluster, verb: str, group: str, resource: str, subresource: str) -> bool:
    asked = {
        "namespace": cluster.project,
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
    }
    body = {
        "apiVersion": SELF_ACCESS_REVIEWS.api_version,
        "kind": SELF_ACCESS_REVIEWS.kind,
        "spec": {"resourceAttributes": asked},
    }
    answer = await cluster.api.create(SELF_ACCESS_REVIEWS, None, body)
    return bool(answer.get("status", {}).get("allowed"))


def _show_right(right: tuple[str, str, str, str]) -> str:
    verb, _, resource, subresource = right
    return f"{verb} {resource}/{subresource}" if subresource else f"{verb} {resource}"


async def _check_operator(cluster: Cluster) -> list[Finding]:
    return [await _check_deployment(cluster, "operator", _OPERATOR)]


async def _check_deployment(cluster: Cluster, name: str, deployment: str) -> Finding:
    try:
        body = await cluster.api.get(DEPLOYMENTS, HOME, deployment)
    except NotFound:
        return _fail(name, f"there is no Deployment {deployment} in {HOME}", _INSTALL)
    image = body["spec"]["template"]["spec"]["containers"][0]["image"]
    conditions = (body.get("status") or {}).get("conditions") or ()
    available: Mapping[str, Any] = next(
        (one for one in conditions if one["type"] == "Available"), {}
    )
    if available.get("status") == "True":
        return _ok(name, f"available ({image})")
    why = available.get("message") or "no Pod is ready"
    return _fail(
        name, f"is not available: {why}", f"kubectl -n {HOME} describe deployment {deployment}"
    )


async def _check_api(cluster: Cluster) -> list[Finding]:
    """Ask through the API server's service proxy if allowed, else check the Deployment."""
    try:
        text = await _ask_api(cluster)
    except ApiError as error:
        finding = await _check_deployment(cluster, "api", _API)
        if isinstance(error, Forbidden) or finding.verdict is Verdict.FAILED:
            return [finding]
        todo = f"kubectl -n {HOME} logs deployment/{_API}"
        return [
            _fail(
                "api",
                f"its Deployment is available, but it does not answer: {error.server_message}",
                todo,
            )
        ]
    version = _parse_object(text).get("opstrand")
    summary = f"opstrand {version} answers at {_API}.{HOME}:{_API_PORT}"
    if version != __version__:
        return [
            _warn(
                "api",
                f"{summary}, and this command line is {__version__}",
                f"{_INSTALL} {_SAME_VERSION}",
            )
        ]
    return [_ok("api", summary)]


async def _ask_api(cluster: Cluster) -> str:
    """Ask the API for its version: by TLS, as it is installed, or in clear text."""
    tail = f"{_API}:{_API_PORT}/proxy/api/v1/installation"
    try:
        text, _ = await cluster.api.probe(f"/api/v1/namespaces/{HOME}/services/https:{tail}")
    except Forbidden:
        raise
    except ApiError:
        text, _ = await cluster.api.probe(f"/api/v1/namespaces/{HOME}/services/{tail}")
    return text


async def _check_aggregated(cluster: Cluster) -> list[Finding]:
    """Nothing is said where the component is not installed: most do not need it."""
    try:
        await cluster.api.probe(f"/apis/{RUNS.api_version}")
    except NotFound:
        return []
    except Forbidden:
        raise
    except ApiError as error:
        return [
            _fail(
                "aggregated",
                f"does not answer, so that no namespace can be deleted: {error.server_message}",
                f"kubectl -n {HOME} logs deployment/{_API}, or "
                f"kubectl delete apiservice {RUNS.version}.{RUNS.group}",
            )
        ]
    return [_ok("aggregated", f"any kubeconfig reads runs at /apis/{RUNS.api_version}")]


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("project", _check_project),
    ("crds", _check_definitions),
    ("rights", _check_rights),
    ("operator", _check_operator),
    ("api", _check_api),
    ("aggregated", _check_aggregated),
)
