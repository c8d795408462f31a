"""The rights of operator and API are what they used in all the tests before this one, and nothing else. Last by its name: it reads what
they left."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml

from tests.cluster.control_plane import ControlPlane
from tests.integration.conftest import API_USER, CHECKOUT, OPERATOR_USER
from tests.support.audit import read_audit

#: Granted and seldom needed: after a missed deletion, or where an API server is in trouble.
SELDOM_BY_THE_OPERATOR = {
    ("get", "operations"): "read again after a write met a newer version, and before one that a list lacks is held for gone",
    ("get", "components"): "asked before a Component that a list lacks is held for gone",
    ("get", "configmaps"): "only where one of the name is there already: an operator died, or another made it",
    ("create", "events"): "only where a run is in trouble",
    ("list", "events"): "only where a Pod hangs",
}
#: Granted and used where there are real Pods, by the published command line.
SELDOM_BY_THE_API: dict[tuple[str, str], str] = {
    ("get", "pods/log"): "nobody writes a log here",
}


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("user", "file", "seldom"),
    [(OPERATOR_USER, "rbac-operator.yaml", SELDOM_BY_THE_OPERATOR), (API_USER, "rbac-api.yaml", SELDOM_BY_THE_API)],
)
def test_rights_are_what_is_used_and_nothing_else(
    control_plane: ControlPlane, user: str, file: str, seldom: Mapping[tuple[str, str], str]
) -> None:
    used, refused = set(), []
    for entry in read_audit(control_plane.audit_log, user):
        reference = entry.get("objectRef")
        if reference is None or reference.get("resource") is None:
            continue
        name = "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
        used.add((entry["verb"], name))
        if entry["responseStatus"]["code"] == 403 and "cannot" in entry["responseStatus"].get("message", ""):
            refused.append((entry["verb"], name))
    assert refused == []
    granted = set()
    for manifest in yaml.safe_load_all((CHECKOUT / "manifests/base" / file).read_text()):
        for rule in manifest.get("rules", ()):
            granted |= {(verb, resource) for verb in rule["verbs"] for resource in rule["resources"]}
    # A watch is logged when it ends, and these have not.
    watches = {right for right in granted if right[0] == "watch"}
    assert granted - used - watches - set(seldom) == set()
    assert used - granted == set()
