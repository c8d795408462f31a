"""A component, an operation and preset files are merged as the published package was measured to do
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.conformance.vectors import (
    classify,
    is_refusal_only,
    missing_ids,
    same,
    select,
    wanted,
    without_nulls,
)

from opstrand.core.compiling.compile import compile_operation
from opstrand.errors import SpecError
from opstrand.spec.params import Param
from opstrand.spec.polyaxonfile import parse_component, parse_operation, wrap


def compile_vector(vector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the compiled operation's fields in the vectors' own terms."""
    component = parse_component(vector["component"])
    if vector["operation"] is None:
        operation = wrap(component)
    else:
        operation = parse_operation({**vector["operation"], "component": vector["component"]})
    return compile_operation(operation, presets=vector.get("presets") or ()).as_dict()


def lookup(compiled: Any, path: str) -> Any:
    for part in path.split("."):
        compiled = compiled.get(part) if isinstance(compiled, Mapping) else None
    return compiled


def spell(path: str, value: Any) -> Any:
    """Return both sides in one spelling: full params, declarations with a default are optional,
    tags as a list, no nulls.
    """
    if path == "params":
        return {
            name: Param.model_validate(param).model_dump(by_alias=True, exclude_unset=True)
            for name, param in value.items()
        }
    if path == "inputs":
        return [{"isOptional": True, **io} if "value" in io else io for io in value]
    if path in ("tags", "presets") and isinstance(value, str):
        return [word.strip() for word in value.split(",")]
    value = without_nulls(value)
    if path == "run.container" and isinstance(value, dict) and "env" in value:
        value["env"] = [
            {key: item for key, item in entry.items() if key != "value_from"}
            for entry in value["env"]
        ]
    return value


@pytest.mark.parametrize("vector", select("patch"))
def test_patch(vector: dict[str, Any]) -> None:
    (expected,) = wanted(vector)
    if "error" in expected:
        with pytest.raises(SpecError) as caught:
            compile_vector(vector)
        assert is_refusal_only(vector) or classify(caught.value) == expected["error"]
        return
    compiled = compile_vector(vector)
    for path, value in expected.items():
        found = spell(path, lookup(compiled, path))
        assert same(found, spell(path, value)), f"{path}: {found} is not {value}"


def test_no_decision_outlives_its_vector() -> None:
    assert missing_ids(("patch", "dag", "matrix")) == set()
