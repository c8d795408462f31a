"""The rights of operator and API are exactly those that the tests of a session used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from tests.cluster.control_plane import ControlPlane
from tests.support.audit import read_audit

HERE = Path(__file__).resolve().parent
MANIFESTS = HERE.parents[1] / "manifests" / "base"
#: Rights that are granted and seldom used: after a missed deletion, or when an API server is in
#: trouble.
SELDOM_BY_THE_OPERATOR = {
    (
        "get",
        "operations",
    ): "read again after a write met a newer version, "
    "and before one that a list lacks is held for gone",
    ("delete", "operations"): "needed to create runs that have an owner, on clusters that check it",
    ("get", "components"): "asked before a Component that a list lacks is held for gone",
    (
        "get",
        "configmaps",
    ): "only where one of the name is there already: an operator died, or another made it",
    ("create", "events"): "only where a run is in trouble",
    ("list", "events"): "only where a Pod hangs",
}
#: Rights that only real Pods or the published command line use.
SELDOM_BY_THE_API: dict[tuple[str, str], str] = {
    ("get", "pods/log"): "no Pod here writes a log",
}


def is_whole_tier(items: Sequence[pytest.Item]) -> bool:
    """Return whether a session has tests of every module here but those that run alone.

    Only then is an unused right an unneeded right.
    """
    collected = {item.path for item in items}
    modules = HERE.glob("test_*.py")
    return all(one in collected or "pytest.mark.alone" in one.read_text() for one in modules)


def check_rights(
    plane: ControlPlane, user: str, file: str, seldom: Mapping[tuple[str, str], str]
) -> None:
    """Compare what a user did, by the audit log, with what a file of manifests/base grants.

    Raises AssertionError where they differ; `seldom` are rights that may stay unused, each with the
    reason.
    """
    used, refused = set(), []
    for entry in read_audit(plane.audit_log, user):
        reference = entry.get("objectRef")
        if reference is None or reference.get("resource") is None:
            continue
        parts = (reference["resource"], reference.get("subresource"))
        right = (entry["verb"], "/".join(part for part in parts if part))
        used.add(right)
        status = entry["responseStatus"]
        if status["code"] == 403 and "cannot" in status.get("message", ""):
            refused.append(right)
    granted = _read_grants(file)
    # The API server logs a watch when it ends.
    watches = {right for right in granted if right[0] == "watch"}
    assert refused == [], f"{user} was refused"
    assert granted - used - watches - set(seldom) == set(), f"{user} never used what {file} grants"
    assert used - granted == set(), f"{user} used what {file} does not grant"


def _read_grants(file: str) -> set[tuple[str, str]]:
    rules = [
        rule
        for manifest in yaml.safe_load_all((MANIFESTS / file).read_text())
        for rule in manifest.get("rules", ())
    ]
    return {(verb, kind) for rule in rules for verb in rule["verbs"] for kind in rule["resources"]}
