"""Validate an operation's values without a cluster; a part of `core.validate`.

Owns the combination of the static rules: params against declarations, refs, joins, the matrix, and
every literal value in the file. Must not look at runs: what needs one is silently left for later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from opstrand.core.operation import CompiledOperation
from opstrand.core.pipelines.matrix import given_names, matrix_names
from opstrand.core.pipelines.matrix_rules import check_size, check_spaces, iter_values
from opstrand.core.resolving.bindings import Slot, bind, bind_params
from opstrand.core.resolving.joins import check_matrix, parse_joins
from opstrand.core.resolving.refs import Ask, check_refs
from opstrand.core.resolving.validation import make_validator
from opstrand.core.templates.lookups import is_template
from opstrand.core.templates.meter import Evaluate, metered
from opstrand.core.templates.template import iter_texts, refuse
from opstrand.core.values.types import complain_of_type, is_known
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.spec.io import IO
from opstrand.text import suggest


def check_values(compiled: CompiledOperation, *, evaluate: Evaluate = refuse) -> list[Problem]:
    """Find all problems of an operation's values, with paths.

    `evaluate` is used only for what a validation needs (a costly regex); no template is rendered.
    """
    evaluate = metered(evaluate)
    problems = [*_check_types(compiled), *check_matrix(compiled.matrix)]
    problems += [*_check_made(compiled, compiled.matrix, evaluate)] if compiled.matrix else []
    try:
        bindings = bind_params(compiled)
    except SpecError as error:
        return [*problems, *error.problems]
    given = given_names(compiled.matrix)
    problems.extend(
        one
        for one in bindings.problems
        if one.reason != "ParamRequired" or one.path.removeprefix("params.") not in given
    )
    for slot in bindings.slots:
        if slot.ask is None and not any(is_template(text) for text in iter_texts(slot.value)):
            try:
                bind(slot.value, slot, evaluate=evaluate)
            except SpecError as error:
                problems.extend(error.problems)
    return problems


def _check_made(
    compiled: CompiledOperation, matrix: Mapping[str, Any], evaluate: Evaluate
) -> Iterator[Problem]:
    """Find values of a matrix that no input of their name accepts: they would end its runs."""
    yield from check_spaces(matrix, compiled.inputs)
    yield from check_size(matrix)
    declared = {io.name: io for io in compiled.inputs}
    if compiled.strict_params:
        for name in matrix_names(matrix):
            if name not in declared:
                place = (
                    "matrix.values" if matrix.get("kind") == "mapping" else f"matrix.params.{name}"
                )
                yield Problem(
                    "ParamUndeclared", f"'{name}' is undeclared{suggest(name, declared)}", place
                )
    yield from islice(_check_made_values(matrix, declared, evaluate), MAX_PROBLEMS)


def _check_made_values(
    matrix: Mapping[str, Any], declared: Mapping[str, IO], evaluate: Evaluate
) -> Iterator[Problem]:
    validators = {name: make_validator(io) for name, io in declared.items()}
    for path, name, value in iter_values(matrix):
        if (
            name in declared
            and value is not None
            and not any(is_template(text) for text in iter_texts(value))
        ):
            try:
                slot = Slot(name, "inputs", declared[name], "matrix", path)
                bind(value, slot, evaluate=evaluate, validator=validators[name])
            except SpecError as error:
                yield from error.problems


def check_alone(compiled: CompiledOperation) -> list[Problem]:
    """Find problems in the refs, joins and matrix of an operation without its component.

    The declarations are not known then.
    """
    problems = [*check_refs(compiled), *check_matrix(compiled.matrix)]
    problems += check_size(compiled.matrix) if compiled.matrix else []
    try:
        parse_joins(compiled)
    except SpecError as error:
        problems.extend(error.problems)
    return problems


def _check_types(compiled: CompiledOperation) -> list[Problem]:
    declared = [("inputs", compiled.inputs), ("outputs", compiled.outputs)]
    return [
        Problem("InvalidSpec", complain_of_type(str(io.type)), f"{section}.{io.name}.type")
        for section, ios in declared
        for io in ios
        if not is_known(io.type)
    ]


def expected_types(ask: Ask) -> tuple[str, ...]:
    """Return the input types that can hold what is read.

    Empty if that is known only once the run exists.
    """
    if ask.section == "files":
        return ("artifacts", "dict", "any")
    if not ask.name:
        # As measured, an input of type str accepts `io` and `artifacts` as JSON.
        return (
            "dict",
            "metadata",
            "any",
            *(("str",) if ask.section in ("io", "artifacts") else ()),
        )
    if ask.section == "globals":
        return _OF_GLOBALS.get(ask.name, ("str", "path", "any"))
    return ()


_OF_GLOBALS = {
    "condition": ("dict", "metadata", "str", "any"),
    "duration": ("float", "metric", "timedelta", "str", "any"),
    "uuid": ("str", "uuid", "any"),
    **dict.fromkeys(("ports", "base_urls"), ()),
    **dict.fromkeys(
        ("created_at", "schedule_at", "started_at", "finished_at"),
        ("datetime", "date", "str", "any"),
    ),
}
