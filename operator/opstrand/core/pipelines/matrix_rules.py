"""Validate the spaces of a matrix before anything runs.

Owns what is wrong with a matrix that can be known from the file. Must not know what its runs do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opstrand.core.pipelines.spaces import MAX_RUNS, list_points, read_spaces
from opstrand.errors import Problem, SpecError
from opstrand.spec.io import IO
from opstrand.spec.scalars import is_template
from opstrand.spec.spaces import FORMS, Space

#: The number at which counting stops.
_ENDLESS = 10**15
#: The most values of all spaces together that are listed for validation.
_CHECKED = 20_000
_TOO_MANY = f"at most {MAX_RUNS:,} are made: set numRuns or make the spaces smaller"


def check_spaces(matrix: Mapping[str, Any], inputs: Sequence[IO]) -> list[Problem]:
    """Validate the spaces of a matrix before anything runs.

    Finds distributions in a grid, and spaces that do not fit their inputs.
    """
    kind = matrix.get("kind")
    if "params" not in matrix or is_template(matrix["params"]):
        return []
    types = {io.name: io.type for io in inputs}
    problems = []
    for name, space in read_spaces(matrix).items():
        message = _misfit(str(kind), space, types.get(name), is_declared=name in types)
        if message:
            problems.append(Problem("InvalidSpec", message, f"matrix.params.{name}"))
    return problems


def check_size(matrix: Mapping[str, Any]) -> list[Problem]:
    """Validate how many runs a matrix makes.

    Finds a space that cannot be listed, and more runs than the limit.
    """
    rows, params = matrix.get("values"), matrix.get("params")
    if matrix.get("kind") == "mapping" and isinstance(rows, list):
        return _check_count(len(rows))
    if matrix.get("kind") not in ("grid", "random") or is_template(params) or not params:
        return []
    problems: list[Problem] = []
    total = 1
    for name, space in read_spaces(matrix).items():
        if space.is_drawn:
            # A grid of it is refused as such.
            total = _ENDLESS if matrix["kind"] == "random" else total
        elif not is_template(space.value):
            try:
                total = min(total * len(list_points(space, f"matrix.params.{name}")), _ENDLESS)
            except SpecError as error:
                problems += error.problems
    return [*problems, *_check_count(min(total, matrix.get("numRuns") or total))]


def _check_count(runs: int) -> list[Problem]:
    count = f"{runs:,}" if runs < _ENDLESS else f"at least {runs:,}"
    return [Problem("TooLarge", f"{count} runs; {_TOO_MANY}", "matrix")] if runs > MAX_RUNS else []


def iter_values(matrix: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (place, param, value) of every value in the file or in a list that it describes."""
    rows = matrix.get("values") if matrix.get("kind") == "mapping" else None
    if isinstance(rows, list):
        yield from _iter_rows(rows)
    if rows is not None or is_template(matrix.get("params")) or not matrix.get("params"):
        return
    left = _CHECKED
    for name, space in read_spaces(matrix).items():
        place = f"matrix.params.{name}.value"
        if is_template(space.value) or (space.is_drawn and space.kind != "pchoice"):
            continue
        if space.kind in ("choice", "pchoice"):
            for index, value in enumerate(_list_choices(space)):
                yield f"{place}[{index}]", name, value
        else:
            for value in itertools.islice(_list_soundly(space), left):
                left -= 1
                yield place, name, value


def _iter_rows(rows: list[Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (place, param, value) of every value in the rows of a mapping."""
    for index, row in enumerate(rows):
        if isinstance(row, Mapping):
            yield from (
                (f"matrix.values[{index}].{name}", name, value) for name, value in row.items()
            )


def _list_choices(space: Space) -> list[Any]:
    """Return the values of a choice or pchoice, without probabilities."""
    if space.kind == "choice":
        return space.contents()
    return [value for value, _ in space.contents()]


def _list_soundly(space: Space) -> Sequence[Any]:
    try:
        return list_points(space)
    except SpecError:
        return []  # check_size reports it


def _misfit(kind: str, space: Space, type_name: str | None, *, is_declared: bool) -> str:
    if kind == "grid" and space.is_drawn:
        return (
            f"a {space.kind} has no end, so a grid cannot use every value of it; use a matrix of "
            "kind random"
        )
    if kind == "bayes" and space.is_drawn and space.kind != "uniform":
        return f"a bayesian search accepts uniform distributions only, found {space.kind}"
    form = FORMS.get(space.kind)
    # An undeclared param has no type that a value could mismatch.
    if form is not None and is_declared and type_name not in form.input_types:
        found = f"of type {type_name}" if type_name else "without a type"
        return (
            f"a {space.kind} gives values for an input of type {' or '.join(form.input_types)}; "
            f"this one is {found}"
        )
    return ""
