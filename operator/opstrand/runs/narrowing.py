"""A query as tests of the store's columns.

Owns which conditions the store decides exactly as `core.resolving.query` does. Every other one is
decided on the bodies. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from opstrand.core.resolving.query_fields import SECTIONS
from opstrand.core.resolving.query_grammar import (
    Condition,
    parse_moment,
    parse_number,
    parse_query,
    parse_sort,
)
from opstrand.runs.records import BOOL, LONGEST, TEXT
from opstrand.store.rows import UPSTREAM, Check, Column, SortKey

_TEXTS = {
    "name": Column.NAME,
    "status": Column.STATUS,
    "kind": Column.KIND,
    "runtime": Column.RUNTIME,
}
_UUIDS = {
    "uuid": Column.UUID,
    "id": Column.UUID,
    "pipeline": Column.PIPELINE,
    "controller": Column.CONTROLLER,
    "original": Column.ORIGINAL,
}
_TIMES = {
    "created_at": Column.CREATED_AT,
    "started_at": Column.STARTED_AT,
    "finished_at": Column.FINISHED_AT,
}
_NUMBERS = {"duration": Column.DURATION}
_COLUMNS = {**_TEXTS, **_UUIDS, **_TIMES, **_NUMBERS}
_COMPARING = frozenset((">", ">=", "<", "<="))
_EQUAL = frozenset(("=", "in"))
#: Sections whose values are stored one by one, by the names that `records` gives them.
_STORED_SECTIONS = frozenset(("inputs", "outputs", "meta_info"))


@dataclass(frozen=True)
class Narrowed:
    """`tests`: hold for every run that is wanted. `keys`: the order, if the store can sort so.

    `is_exact`: they hold for no other run, and the store can sort.
    """

    tests: tuple[Check, ...]
    keys: tuple[SortKey, ...]
    is_exact: bool


def narrow(query: str | None, sort: str | None) -> Narrowed:
    """What the store can decide of a query. Raises SpecError, as `find` does."""
    conditions = parse_query(query or "")
    keys = parse_sort(sort or "-created_at")
    parts = [(one, _test(one)) for one in conditions]
    sortable = all(field in _COLUMNS for field, _ in keys)
    return Narrowed(
        tuple(one for _, tests in parts for one in tests or ()),
        tuple(SortKey(_COLUMNS[field], down) for field, down in keys) if sortable else (),
        sortable and all(tests and _is_exact(condition) for condition, tests in parts),
    )


def _is_exact(condition: Condition) -> bool:
    """Whether the tests of a condition mean no less than it.

    Of a list of values, one may be above the lower bound and another below the upper one.
    """
    return condition.operator != "range" or condition.field in _COLUMNS


def _test(condition: Condition) -> Sequence[Check] | None:
    """The tests that follow from the condition; None if the store can test nothing of it."""
    field, operator = condition.field, condition.operator
    if operator == "nil" and field in _COLUMNS:
        return [Check(_COLUMNS[field], "nil", negated=condition.negated)]
    if operator in _EQUAL:
        return _equality(condition)
    if operator == "range" and not condition.negated:
        low = _comparison(condition, ">=", condition.values[0])
        high = _comparison(condition, "<=", condition.values[1], end=True)
        return [*low, *high] if low and high else None
    if operator in _COMPARING:
        return _comparison(condition, operator, condition.values[0])
    return None


def _equality(condition: Condition) -> Sequence[Check] | None:
    field, negated = condition.field, condition.negated
    if field in _UUIDS:
        return [Check(_UUIDS[field], "=", tuple(sorted(condition.uuids)), negated)]
    if field in ("upstream", "upstream.uuid"):
        return [Check(UPSTREAM, "=", tuple(sorted(condition.uuids)), negated)]
    if any(len(one) >= LONGEST for one in condition.values) or "\0" in "".join(condition.values):
        return None
    operands: tuple[str | float, ...] = tuple(sorted(condition.texts))
    of: str | None = _TEXTS.get(field)
    if of is None:
        of, operands = _NUMBERS.get(field), _numbers(condition)
    if of is None:
        texts = (*(TEXT + one for one in sorted(condition.texts)), *_bools(condition))
        of, operands = _stored_field(field), (*texts, *operands)
    return None if of is None else [Check(of, "=", operands, negated)]


def _numbers(condition: Condition) -> tuple[float, ...]:
    return tuple(one for one in condition.numbers if one is not None and not math.isnan(one))


def _bools(condition: Condition) -> list[str]:
    named = {"true": ("true", "1"), "false": ("false", "0")}
    return [BOOL + one for one, texts in named.items() if not condition.lower.isdisjoint(texts)]


def _comparison(
    condition: Condition, operator: str, wanted: str, *, end: bool = False
) -> Sequence[Check] | None:
    field, negated = condition.field, condition.negated
    if field in _TIMES:
        moment = parse_moment(wanted, end=end)
        if moment is None:
            return None
        return [Check(_TIMES[field], operator, (moment.timestamp(),), negated)]
    number = parse_number(wanted)
    stored = _NUMBERS.get(field) or _stored_field(field)
    # NaN compares as nothing does in SQL.
    if number is None or math.isnan(number) or stored is None:
        return None
    return [Check(stored, operator, (number,), negated)]


def _stored_field(field: str) -> str | None:
    """The name under which the values of a field are stored."""
    if field in ("tags", "cache_key"):
        return field
    section, dot, name = field.partition(".")
    stored = SECTIONS.get(section, "")
    if not dot or stored not in _STORED_SECTIONS:
        return None
    whole = f"{stored}.{name}"
    return whole if len(whole) <= LONGEST and "\0" not in whole else None
