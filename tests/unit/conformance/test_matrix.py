"""Matrices: the spaces, their errors, and the runs that they make."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.conformance.vectors import select, wanted

from opstrand.core.compiling.check import check_values
from opstrand.core.compiling.compile import compile_operation
from opstrand.core.pipelines.matrix import EXPANDED, expand
from opstrand.errors import SpecError
from opstrand.spec.polyaxonfile import parse_operation


def expand_vector(vector: dict[str, Any]) -> list[dict[str, Any]] | SpecError | None:
    """Return the params of every run, or the error; None for kinds that only a tuner can expand."""
    component: dict[str, Any] = {"run": {"kind": "job", "container": {"image": "busybox"}}}
    if vector.get("inputs"):
        component["inputs"] = vector["inputs"]
    try:
        compiled = compile_operation(
            parse_operation({"matrix": vector["matrix"], "component": component})
        )
        problems = check_values(compiled)
        if problems:
            return SpecError.of(problems)
        assert compiled.matrix is not None
        return expand(compiled.matrix) if compiled.matrix["kind"] in EXPANDED else None
    except SpecError as error:
        return error


def close(found: Any, expected: Any) -> bool:
    """Compare numbers to fifteen digits: the last bit of a logarithm depends on the machine."""
    if isinstance(found, float) and isinstance(expected, float):
        return found == pytest.approx(expected, rel=1e-14)
    return type(found) is type(expected) and bool(found == expected)


@pytest.mark.parametrize("vector", select("matrix"))
def test_matrix(vector: dict[str, Any]) -> None:
    results = wanted(vector)
    runs = expand_vector(vector)
    if isinstance(runs, SpecError):
        assert any("error" in result for result in results), runs
        assert all(problem.path for problem in runs.problems)
        return
    assert any("error" not in result for result in results)
    (result,) = [result for result in results if "error" not in result]
    if "runs" in result:
        assert runs is not None
        assert [list(run) for run in runs] == [list(run) for run in result["runs"]]
        assert all(
            close(run[name], other[name])
            for run, other in zip(runs, result["runs"], strict=True)
            for name in run
        )
    elif "count" in result:
        assert runs is not None
        assert len({repr(run) for run in runs}) == len(runs)
        assert (
            len(runs) == result["count"]
            if result["count"] is not None
            else 1 < len(runs) <= vector["matrix"]["numRuns"]
        )
