"""Every type, option and validation rule: what a declared input makes of a value."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.conformance.vectors import (
    classify,
    is_refusal_only,
    missing_ids,
    same,
    select,
    wanted,
)

from opstrand.core.identity import Identity
from opstrand.core.operation import CompiledOperation
from opstrand.core.resolving.bindings import Slot, bind
from opstrand.core.resolving.resolve import Resolved, resolve
from opstrand.core.templates.lookups import is_template
from opstrand.errors import SpecError
from opstrand.spec.document import parse_document
from opstrand.spec.io import IO
from opstrand.spec.params import Param

#: Vectors whose declaration has a default that the file does not show: null becomes this value.
DEFAULTS = {"types-0959": 5, "types-0962": "d", "types-0966": True, "types-0971": [1]}
IDENTITY = Identity("d1410a914d18457589b91926d8c23db4", "run-1", "demo")


def bind_vector(vector: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome of one vector in the vectors' own terms."""
    declared = {
        key: vector[key]
        for key in ("type", "isList", "isOptional", "validation", "options")
        if key in vector
    }
    if vector["id"] in DEFAULTS:
        declared["value"] = DEFAULTS[vector["id"]]
    try:
        value = (
            parse_document(f"x: {vector['yaml']}").data["x"]
            if "yaml" in vector
            else vector.get("value")
        )
        io = IO.model_validate({"name": "x", **declared})
        # the value is bound unrendered; another test renders it first
        if isinstance(value, str) and is_template(value):
            return {"value": bind(value, Slot("x", "inputs", io, "literal", "params.x"))}
        compiled = CompiledOperation(
            name=None, kind="job", run={}, inputs=(io,), params={"x": Param(value=value)}
        )
        resolved = resolve(compiled, IDENTITY, {})
    except ValidationError:
        return {"error": "schema"}
    except SpecError as error:
        return {"error": classify(error), "path": error.problems[0].path}
    assert isinstance(resolved, Resolved)
    return {"value": resolved.inputs["x"]}


@pytest.mark.parametrize("vector", select("types"))
def test_types(vector: dict[str, Any]) -> None:
    found = bind_vector(vector)
    assert found.pop("path", "params.x") == "params.x"
    if is_refusal_only(vector) and "error" in wanted(vector)[0]:
        assert "error" in found
        return
    assert any(
        found.get("error") == w.get("error") and same(found.get("value"), w.get("value"))
        for w in wanted(vector)
    ), found


def test_no_decision_outlives_its_vector() -> None:
    assert missing_ids(("types", "params", "refs", "templates")) == set()
