"""What can be said of an operation's values without a cluster: the judge behind `opstrand check`.

Owns putting the static rules together: params against declarations, refs, joins, the matrix, and every value that stands in the file.
Must not look at runs: what needs one is silently left for later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opstrand.core.joins import check_matrix, parse_joins
from opstrand.core.lookups import is_template
from opstrand.core.slots import bind, make_slots
from opstrand.core.template import Evaluate, iter_texts, refuse
from opstrand.core.types import is_known
from opstrand.errors import Problem, SpecError

if TYPE_CHECKING:
    from opstrand.core.compile import Compiled


def check_values(compiled: Compiled, *, evaluate: Evaluate = refuse) -> list[Problem]:
    """Everything that is wrong with the values of an operation, with paths; empty if nothing is.

    `evaluate` is asked only for what a validation needs (a costly regex); no template is rendered.
    """
    problems = [*_check_types(compiled), *check_matrix(compiled.matrix)]
    try:
        asked = parse_joins(compiled)
    except SpecError as error:
        return [*problems, *error.problems]
    slots, wrong = make_slots(compiled, asked)
    problems.extend(wrong)
    for slot in slots:
        if slot.ask is None and not any(is_template(text) for text in iter_texts(slot.value)):
            try:
                bind(slot.value, slot, evaluate=evaluate)
            except SpecError as error:
                problems.extend(error.problems)
    return problems


def _check_types(compiled: Compiled) -> list[Problem]:
    declared = [("inputs", compiled.inputs), ("outputs", compiled.outputs)]
    return [
        Problem("InvalidSpec", f"there is no type '{io.type}'", f"{section}.{io.name}.type")
        for section, ios in declared
        for io in ios
        if not is_known(io.type)
    ]
