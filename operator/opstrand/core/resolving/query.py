"""Select runs by the query language: which of them a query means, and in which order.

Owns what each condition means, on any records, through a function that reads a field of one. Must
not know where runs are stored, and must not parse a query (`query_grammar`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from opstrand.core.limits import EDGES
from opstrand.core.resolving.query_fields import TIMES, UUIDS, read_field
from opstrand.core.resolving.query_grammar import (
    Condition,
    parse_count,
    parse_moment,
    parse_number,
    parse_query,
    parse_sort,
)

Run = TypeVar("Run")
Read = Callable[[Any, str], Any]
#: The most runs of one page, whatever limit is requested.
MOST = EDGES
#: The order without another one, and what decides between equal runs.
_NEWEST, _LAST = "-created_at", ("name",)


def select(
    query: str | None,
    sort: str | None,
    limit: int | None,
    offset: int | None,
    runs: Iterable[Run],
    *,
    read: Read | None = None,
    path: str = "query",
) -> list[Run]:
    """Return one page of the runs that `find` returns. A limit of 0 means none is set.

    Raises SpecError InvalidSpec.
    """
    found, start = find(query, sort, runs, read=read, path=path), parse_count(offset, path)
    return found[start : start + min(parse_count(limit, path) or MOST, MOST)]


def find(
    query: str | None,
    sort: str | None,
    runs: Iterable[Run],
    *,
    read: Read | None = None,
    path: str = "query",
) -> list[Run]:
    """Return every run that matches a query, newest first unless `sort` says otherwise.

    Equal runs are sorted by name, so that the order is the same for every caller. Raises SpecError
    InvalidSpec.
    """
    conditions = parse_query(query or "", path)
    keys = parse_sort(sort or _NEWEST, path)
    reader = read or read_field
    found = [
        run
        for run in runs
        if all(_holds(condition, reader(run, condition.field)) for condition in conditions)
    ]
    for field, down in reversed([*keys, *((one, False) for one in _LAST)]):
        found = _sort(found, field, down, reader)
    return found


def list_fields(query: str, sort: str) -> frozenset[str]:
    """Return the fields that `find` reads of a run for these texts. Raises SpecError."""
    keys = parse_sort(sort or _NEWEST)
    return frozenset(
        (*(one.field for one in parse_query(query)), *(key for key, _ in keys), *_LAST)
    )


def _sort(runs: list[Run], field: str, down: bool, read: Read) -> list[Run]:
    """Sort by one field; runs without it come last in either direction."""
    keyed = [(_rank(read(run, field), field), run) for run in runs]
    there = sorted(
        (one for one in keyed if one[0] is not None),
        key=lambda one: one[0],  # type: ignore[arg-type, return-value]
        reverse=down,
    )
    return [run for _, run in [*there, *(one for one in keyed if one[0] is None)]]


def _rank(value: Any, field: str) -> tuple[int, Any] | None:
    if value is None:
        return None
    moment = parse_moment(value) if field in TIMES else None
    if moment is not None:
        return 0, moment.timestamp()
    return (0, float(value)) if isinstance(value, bool | int | float) else (1, str(value))


def _holds(condition: Condition, value: Any) -> bool:
    values = value or [None] if isinstance(value, list | tuple) else [value]
    return any(_test(condition, one) for one in values) != condition.negated


def _test(condition: Condition, value: Any) -> bool:
    if condition.operator == "nil" or value is None:
        return value is None and condition.operator == "nil"
    wanted = condition.values
    match condition.operator:
        case "=" | "in":
            return _is_one_of(condition, value)
        case "begins" | "ends" | "contains":
            return _TEXT_TESTS[condition.operator](str(value).lower(), wanted[0].lower())
        case "range":
            low, high = (
                _compare(condition, value, wanted[0]),
                _compare(condition, value, wanted[1], end=True),
            )
            return low is not None and high is not None and low >= 0 >= high
        case operator:
            order = _compare(condition, value, wanted[0])
            return (
                order is not None
                and {">": order > 0, ">=": order >= 0, "<": order < 0, "<=": order <= 0}[operator]
            )


_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "begins": str.startswith,
    "ends": str.endswith,
    "contains": str.__contains__,
}


def _is_one_of(condition: Condition, value: Any) -> bool:
    """Return whether the condition names the value, in the spelling of its field.

    One look-up, however many values the condition names.
    """
    if condition.field in UUIDS:
        return str(value).replace("-", "") in condition.uuids
    if condition.field in TIMES and str(value)[: len("2026-01-31")] in condition.texts:
        return True
    if isinstance(value, bool):
        return not condition.lower.isdisjoint(("true", "1") if value else ("false", "0"))
    if isinstance(value, int | float):
        return value in condition.numbers
    return str(value) in condition.texts


def _compare(condition: Condition, value: Any, wanted: str, *, end: bool = False) -> int | None:
    """Return -1, 0 or 1, comparing as numbers or moments; None if the value is neither.

    `end`: a date without a time stands for its last moment.
    """
    if condition.field in TIMES:
        left, right = parse_moment(value), parse_moment(wanted, end=end)
        return None if left is None or right is None else (left > right) - (left < right)
    number = parse_number(wanted)
    if number is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return (value > number) - (value < number)
