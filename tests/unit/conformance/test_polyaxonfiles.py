"""The documentation's own files are accepted or refused, and compiled, as the index says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.conformance.decided_against import DECIDED_FILES
from tests.unit.conformance.vectors import FOLDER

from opstrand.core.compiling.compile import compile_operation
from opstrand.errors import SpecError
from opstrand.spec.document import parse_document
from opstrand.spec.polyaxonfile import parse_polyaxonfile

FILES = {
    entry["file"]: entry
    for entry in json.loads((FOLDER / "polyaxonfiles/index.json").read_text())["files"]
}


def validate_one(name: str) -> dict[str, Any]:
    """Return what the index says of a file: whether it is accepted, whether it compiles, and as
    what.
    """
    document = parse_document((FOLDER / "polyaxonfiles" / name).read_bytes(), source=name)
    operation = parse_polyaxonfile(document.data, document=document)
    try:
        compiled = compile_operation(operation)
    except SpecError:
        return {"accepted": True, "compiles": False}
    return {"accepted": True, "compiles": True, "runKind": compiled.kind}


@pytest.mark.parametrize("name", [name for name in FILES if name not in DECIDED_FILES])
def test_file(name: str) -> None:
    entry = FILES[name]
    if not entry["accepted"]:
        with pytest.raises(SpecError) as caught:
            validate_one(name)
        assert all(problem.line for problem in caught.value.problems)
        return
    assert validate_one(name) == {
        key: entry[key] for key in ("accepted", "compiles", "runKind") if key in entry
    }


@pytest.mark.parametrize("name", DECIDED_FILES)
def test_every_decision_against_the_index_still_differs_from_it(name: str) -> None:
    entry = FILES[name]
    try:
        found = validate_one(name)
    except SpecError:
        found = {"accepted": False}
    assert found != {key: entry[key] for key in ("accepted", "compiles", "runKind") if key in entry}
