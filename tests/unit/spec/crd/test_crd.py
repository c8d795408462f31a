"""The files of the custom resources: up to date, valid, small enough for every kind of apply, open
for unknown fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from opstrand.spec.crd.write import EDITABLE, main, operation_crd, render
from opstrand.spec.operation import Operation
from opstrand.spec.shape import fields_of


def _objects(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if schema.get("type") == "object" or "properties" in schema:
        yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _objects(inner, f"{path}.{name}")
    if "items" in schema:
        yield from _objects(schema["items"], f"{path}[]")


def _root() -> dict[str, Any]:
    schema: dict[str, Any] = operation_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _spec() -> dict[str, Any]:
    schema: dict[str, Any] = _root()["properties"]["spec"]
    return schema


def test_the_committed_files_are_what_the_models_give() -> None:
    assert main(["--check"]) == 0


@pytest.mark.parametrize("name", ["operation.yaml", "component.yaml"])
def test_the_files_are_valid_and_small(name: str) -> None:
    text = render()[name]
    assert len(text.encode()) < 200 * 1024
    kubernetes_validate.validate(yaml.safe_load(text), "1.33", strict=True)


def test_every_object_under_spec_keeps_unknown_fields() -> None:
    closed = [
        path
        for path, schema in _objects(_spec(), "spec")
        if not schema.get("x-kubernetes-preserve-unknown-fields")
    ]
    assert [path for path in closed if not path.endswith(".env")] == []


def test_every_key_is_in_the_schema_and_ruled_unless_it_may_change_or_has_no_type() -> None:
    spec = _spec()
    assert set(spec["properties"]) == set(fields_of(Operation))
    rules = _root()["x-kubernetes-validations"]
    (immutable,) = [rule for rule in rules if "cannot change" in rule["message"]]
    ruled = {key for key in spec["properties"] if f"? '{key}'" in immutable["messageExpression"]}
    assert all(
        f"has(self.spec.{'__namespace__' if key == 'namespace' else key})" in immutable["rule"]
        for key in ruled
    )
    untyped = {key for key, schema in spec["properties"].items() if "type" not in schema}
    # A schedule may change, but not come or go.
    assert ruled == {*spec["properties"], "schedule"} - ({*EDITABLE} - {"schedule"}) - untyped
    assert untyped == {"tags", "presets", "mount", "cmd"}


def _undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        if not inner.get("description"):
            yield f"{path}.{name}"
        yield from _undescribed(inner, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from _undescribed(schema["items"], f"{path}[]")


@pytest.mark.parametrize("part", ["spec", "status"])
def test_kubectl_explain_has_a_sentence_for_every_key(part: str) -> None:
    assert list(_undescribed(_root()["properties"][part], part)) == []


def test_kubectl_get_all_shows_runs_with_their_age() -> None:
    spec = operation_crd()["spec"]
    assert "all" in spec["names"]["categories"]
    columns = {one["name"]: one for one in spec["versions"][0]["additionalPrinterColumns"]}
    assert columns["Age"]["jsonPath"] == ".metadata.creationTimestamp"
