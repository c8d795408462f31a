"""The conformance vectors as test cases: the expected results, and how a result is compared with
them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.conformance.decided_against import DECIDED_AGAINST

from opstrand.core.identity import Identity
from opstrand.errors import SpecError

FOLDER = Path(__file__).resolve().parents[2] / "conformance"

#: Our reasons -> the vectors' error classes.
CLASSES = {
    "ParamRequired": "required",
    "ParamInvalid": "convert",
    "ParamValidation": "validation",
    "ParamUndeclared": "undeclared",
    "TemplateError": "template",
    "ConditionInvalid": "condition",
    "MissingValue": "missing",
    "UpstreamFailed": "missing",
    "InvalidYAML": "schema",
    "InvalidSpec": "schema",
    "UnknownField": "schema",
    "RefInvalid": "schema",
    "NotSupported": "schema",
}


def load(name: str) -> dict[str, Any]:
    """Return one file of vectors."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def select(name: str, prefix: str = "") -> list[Any]:
    """Return the vectors of a file as test parameters, by their own ids.

    A vector that was decided against must differ: otherwise the decision is stale.
    """
    vectors = [vector for vector in load(name)["vectors"] if vector["id"].startswith(prefix)]
    return [pytest.param(vector, id=vector["id"], marks=_marks(vector["id"])) for vector in vectors]


def _marks(vector_id: str) -> tuple[pytest.MarkDecorator, ...]:
    reason = DECIDED_AGAINST.get(vector_id)
    return (pytest.mark.xfail(reason=reason, raises=AssertionError, strict=True),) if reason else ()


def wanted(vector: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the correct results: `better` if there is one, else `expect`; both if either is
    accepted.
    """
    better = vector.get("better")
    if better is None:
        return [vector["expect"]]
    return [better, vector["expect"]] if better.get("either") else [better]


def classify(error: SpecError) -> str:
    return CLASSES.get(error.reason, error.reason)


def is_refusal_only(vector: Mapping[str, Any]) -> bool:
    """Return whether any refusal that names the input is accepted, because 2.18 crashed."""
    return vector["expect"].get("error") == "internal"


def without_nulls(value: Any) -> Any:
    """Return a value in the spelling that 2.18 and we share: a null is left out."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def same(found: Any, expected: Any) -> bool:
    """Compare with types: true differs from 1, and 1.0 from 1 only if a text would show it."""
    if isinstance(found, bool) != isinstance(expected, bool):
        return False
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        return set(found) == set(expected) and all(
            same(found[key], expected[key]) for key in expected
        )
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(
            same(a, b) for a, b in zip(found, expected, strict=True)
        )
    return bool(found == expected)


def identity_of(run: Mapping[str, Any], uuid: str | None = None) -> Identity:
    """Return the identity of the measured run."""
    return Identity(
        uuid=uuid or run["run_uuid"],
        name=run["run_name"],
        project=run["project_name"],
        owner=run["owner_name"],
        created_at=run["created_at"],
        username=run["username"],
        user_email=run["user_email"],
        project_uuid=run["project_uuid"],
    )


def missing_ids(names: Iterable[str]) -> set[str]:
    """Return ids that were decided against and are in none of these files."""
    known = {vector["id"] for name in names for vector in load(name)["vectors"]}
    return {one for one in DECIDED_AGAINST if one.partition("-")[0] in names} - known
