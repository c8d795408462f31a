"""The operator's rights are what it used in all the tests before this one, and nothing else. Last by its name: it reads what they left."""

from __future__ import annotations

import pytest
import yaml

from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import CHECKOUT, OPERATOR_USER
from tests.support.audit import read_audit

#: Granted and seldom needed: after a missed deletion, or where an API server is in trouble.
SELDOM = {
    ("get", "operations"): "read again after a write met a newer version, and before one that a list lacks is held for gone",
    ("get", "components"): "asked before a Component that a list lacks is held for gone",
    ("create", "events"): "only where a run is in trouble",
    ("list", "events"): "only where a Pod hangs",
}


@pytest.mark.usefixtures("operator")
def test_rights_are_what_is_used_and_nothing_else(control_plane: ControlPlane) -> None:
    used, refused = set(), []
    for entry in read_audit(control_plane.audit_log, OPERATOR_USER):
        reference = entry.get("objectRef")
        if reference is None or reference.get("resource") is None:
            continue
        name = "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
        used.add((entry["verb"], name))
        if entry["responseStatus"]["code"] == 403 and "cannot" in entry["responseStatus"].get("message", ""):
            refused.append((entry["verb"], name))
    assert refused == []
    granted = set()
    for manifest in yaml.safe_load_all((CHECKOUT / "manifests/base/rbac-operator.yaml").read_text()):
        for rule in manifest.get("rules", ()):
            granted |= {(verb, resource) for verb in rule["verbs"] for resource in rule["resources"]}
    # A watch is logged when it ends, and these have not.
    watches = {right for right in granted if right[0] == "watch"}
    assert granted - used - watches - set(SELDOM) == set()
    assert used - granted == set()
