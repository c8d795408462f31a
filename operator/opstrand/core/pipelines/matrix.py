"""Expand a matrix into the params of each of its runs, in order.

Owns the kinds whose runs are all known beforehand, and the names of params. Must not know what the
params are for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core.pipelines.drawing import draw_params
from opstrand.core.pipelines.spaces import (
    MAX_RUNS,
    Params,
    combine,
    list_points,
    read_spaces,
    require_rendered,
)
from opstrand.errors import SpecError

#: The kinds whose runs are all known beforehand. The others look at results.
EXPANDED = ("mapping", "grid", "random")
_TOO_MANY = f"at most {MAX_RUNS:,} are made: set numRuns or make the spaces smaller"
#: The most params of all runs together.
_PARAMS = 500_000


def expand(matrix: Mapping[str, Any], *, seed: int = 0) -> list[Params]:
    """Return the params of every run. `seed` is used if the matrix has none of its own.

    Raises SpecError: NotSupported for kinds whose runs depend on results, InvalidSpec for spaces
    without an end, TooLarge above 10,000 runs.
    """
    kind = str(matrix.get("kind"))
    if kind not in EXPANDED:
        raise SpecError(
            "NotSupported", f"the runs of a {kind} are not all known beforehand", "matrix.kind"
        )
    if kind == "mapping":
        return [
            dict(row) for row in _bounded(require_rendered(matrix.get("values"), "matrix.values"))
        ]
    spaces = read_spaces(matrix)
    limit = matrix.get("numRuns")
    if kind == "grid":
        listed = {
            name: list_points(space, f"matrix.params.{name}") for name, space in spaces.items()
        }
        return _bounded(itertools.islice(combine(listed), limit))
    drawn = draw_params(spaces, min(int(limit or 0), MAX_RUNS + 1), read_seed(matrix, seed))
    return _bounded(drawn)


def read_seed(matrix: Mapping[str, Any], seed: int) -> int:
    """Return the matrix's own seed, or the given one."""
    own = matrix.get("seed")
    return own if isinstance(own, int) else seed


def given_names(matrix: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the params that every run of the matrix gets."""
    names = [frozenset(row) for row in _rows(matrix)]
    return frozenset.intersection(*names) if names else frozenset()


def matrix_names(matrix: Mapping[str, Any] | None) -> list[str]:
    """Return the params that some run of the matrix gets."""
    return list(dict.fromkeys(name for row in _rows(matrix) for name in row))


def _rows(matrix: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return mappings with the names of the runs' params, without making the runs."""
    if matrix is None:
        return []
    if matrix.get("kind") == "mapping":
        rows = matrix.get("values")
        return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    params, resource = matrix.get("params"), matrix.get("resource")
    name = resource.get("name") if isinstance(resource, Mapping) else None
    spent = {name: None} if isinstance(name, str) else {}
    return [{**params, **spent}] if isinstance(params, Mapping) else [spent] if spent else []


def _bounded(runs: Iterator[Any] | list[Any]) -> list[Any]:
    found: list[Any] = []
    for run in runs:
        found.append(run)
        if len(found) > MAX_RUNS:
            raise SpecError("TooLarge", f"more than {MAX_RUNS:,} runs; {_TOO_MANY}", "matrix")
        if len(found) * len(run) > _PARAMS:
            raise SpecError(
                "TooLarge", f"more than {_PARAMS:,} params of all runs together", "matrix"
            )
    return found
