"""Params: short forms, what is declared and required, templates in values, arguments, `-P`,
toInit.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.conformance.runs import plan_vector, refusal_of
from tests.unit.conformance.vectors import same, select, wanted, without_nulls

from opstrand.cli.errors import CliError
from opstrand.controller.template_worker import Sandbox
from opstrand.errors import SpecError


def observe(vector: dict[str, Any], sandbox: Sandbox) -> dict[str, Any]:
    """Return the outcome in the vectors' own terms."""
    try:
        resolved, plan = plan_vector(vector, sandbox.evaluate)
    except SpecError as error:
        return refusal_of(error)
    except CliError:
        return {"error": "schema"}  # the -P option itself is wrong
    declared = {io["name"] for io in vector.get("inputs", ())}
    return {
        "inputs": {name: value for name, value in resolved.inputs.items() if name in declared},
        "contexts": {
            name: value for name, value in resolved.inputs.items() if name not in declared
        },
        "outputs": dict(resolved.outputs),
        "args": plan.container.get("args"),
        "init": list(plan.init),
    }


def agrees(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    if "error" in expected or "error" in found:
        return found.get("error") == expected.get("error")
    facts = {
        key: value
        for key, value in expected.items()
        if key in ("inputs", "contexts", "outputs", "args", "init")
    }
    if "init" in facts:  # the measured agent had a default store with a name
        facts["init"] = [
            {k: v for k, v in step.items() if (k, v) != ("connection", "store")}
            for step in facts["init"]
        ]
    return all(same(_plain(key, found[key]), _plain(key, value)) for key, value in facts.items())


def _plain(key: str, value: Any) -> Any:
    """We omit an output without a value; the vectors have it as null."""
    return without_nulls(value) if key == "outputs" else value


@pytest.mark.parametrize("vector", select("params"))
def test_params(vector: dict[str, Any], sandbox: Sandbox) -> None:
    found = observe(vector, sandbox)
    assert any(agrees(found, expected) for expected in wanted(vector)), found
