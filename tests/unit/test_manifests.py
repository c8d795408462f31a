"""What manifests/ promises beyond that an API server takes it: bounded folders, and policies that are about our own Pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


def load(folder: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted((MANIFESTS / folder).glob("*.yaml")):
        found += [one for one in yaml.safe_load_all(path.read_text()) if one]
    return found


BASE = load("base")
TEMPLATES = [one["spec"]["template"] for one in BASE if one["kind"] == "Deployment"]


def selected(labels: dict[str, str]) -> list[dict[str, Any]]:
    return [one for one in TEMPLATES if labels.items() <= one["metadata"]["labels"].items()]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["spec"]["serviceAccountName"])
def test_what_a_deployment_writes_is_bounded(template: dict[str, Any]) -> None:
    folders = [volume for volume in template["spec"]["volumes"] if "emptyDir" in volume]
    assert folders
    assert all(volume["emptyDir"].get("sizeLimit") for volume in folders)


def test_every_manifest_is_installed() -> None:
    listed = yaml.safe_load((MANIFESTS / "base/kustomization.yaml").read_text())["resources"]
    assert {path.name for path in (MANIFESTS / "base").glob("*.yaml")} == {*listed, "kustomization.yaml"}


def test_budgets_and_policies_are_about_pods_that_there_are() -> None:
    budgets = [one for one in BASE if one["kind"] == "PodDisruptionBudget"]
    policies = [one for one in BASE if one["kind"] == "NetworkPolicy"]
    assert budgets
    for one in budgets:
        assert len(selected(one["spec"]["selector"]["matchLabels"])) == 1
        assert one["spec"].get("maxUnavailable") == 1, "minAvailable would hold up every drain of the one replica's node"
    for one in policies:
        labels = one["spec"]["podSelector"].get("matchLabels", {})
        assert selected(labels)
        for rule in one["spec"].get("ingress", []):
            (template,) = selected(labels)
            ports = {port["name"] for container in template["spec"]["containers"] for port in container["ports"]}
            assert {port["port"] for port in rule["ports"]} <= ports


def test_what_is_offered_for_a_namespace_of_runs_lets_them_reach_the_api() -> None:
    (policy,) = load("policies")
    targets = [peer["podSelector"]["matchLabels"] for rule in policy["spec"]["egress"] for peer in rule.get("to", [])]
    assert [len(selected(labels)) for labels in targets] == [1]
