"""The SQL of a selection of runs.

Owns the meaning of each test in SQL: exactly that of the query language on the same run. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from opstrand.store.database import Statement
from opstrand.store.rows import UPSTREAM, Check, Column, Selection, SortKey

_COLUMNS = frozenset(Column)
#: Runs whose object is gone, and which were not removed.
SHOWN = "runs.namespace_uid = ? AND runs.deleted_at IS NOT NULL AND runs.removed_at IS NULL"
Part = tuple[str, list[str | float]]


def where(selection: Selection) -> Statement:
    """The condition of a selection and its values."""
    parts: list[Part] = [(SHOWN, [selection.namespace_uid])]
    parts += [_render(test) for test in selection.tests]
    if selection.without:
        marks, values = _marks(selection.without)
        parts.append((f"runs.uid NOT IN ({marks})", values))
    return " AND ".join(sql for sql, _ in parts), [one for _, values in parts for one in values]


def source(selection: Selection, *, by_value: bool) -> Statement:
    """What follows FROM in a query of the runs of a selection.

    With `by_value`, a test on a value goes first; otherwise SQLite looks up the value of one run
    after the other, which is better for a page of a test that holds for many.
    """
    first = next((one for one in selection.tests if _picks(one)), None) if by_value else None
    if first is None:
        condition, values = where(selection)
        return f"runs WHERE {condition}", values
    inner, picked = _on_value(first)
    others = tuple(one for one in selection.tests if one is not first)
    condition, values = where(replace(selection, tests=others))
    return (
        f"(SELECT DISTINCT other.uid FROM run_values AS other WHERE {inner}) AS picked "
        f"CROSS JOIN runs WHERE runs.uid = picked.uid AND {condition}",
        [*picked, *values],
    )


def _picks(test: Check) -> bool:
    return not test.negated and test.of != UPSTREAM and test.of not in _COLUMNS


def order_by(keys: Sequence[SortKey]) -> str:
    """The order of a selection; equal runs are sorted by name, then by uid."""
    return ", ".join([*(_order(key) for key in keys), "runs.name", "runs.uid"])


def _order(key: SortKey) -> str:
    column = f"runs.{key.column}"
    direction = " DESC" if key.is_descending else ""
    # Without the first term where a value is always there: an index then gives the order.
    nulls = "" if key.column is Column.CREATED_AT else f"{column} IS NULL, "
    return f"{nulls}{column}{direction}"


def _render(test: Check) -> Part:
    if test.of == UPSTREAM:
        return _exists("upstreams", "upstream", test)
    if test.of in _COLUMNS:
        return _on_column(test)
    return _exists("run_values", "", test)


def _on_column(test: Check) -> Part:
    column = f"runs.{test.of}"
    if test.operator == "nil":
        return f"{column} IS {'NOT ' if test.negated else ''}NULL", []
    sql, values = _compare(column, test.operator, test.operands)
    # A comparison with NULL is neither true nor false.
    return (f"({column} IS NULL OR NOT {sql})", values) if test.negated else (sql, values)


def _exists(table: str, column: str, test: Check) -> Part:
    if column:
        sql, values = _compare(f"other.{column}", test.operator, test.operands)
    else:
        sql, values = _on_value(test)
    inner = f"SELECT other.uid FROM {table} AS other WHERE {sql}"
    return f"runs.uid {'NOT ' if test.negated else ''}IN ({inner})", values


def _on_value(test: Check) -> Part:
    numbers = [one for one in test.operands if not isinstance(one, str)]
    texts = [one for one in test.operands if isinstance(one, str)]
    parts = [
        _compare(f"other.{column}", test.operator, operands)
        for column, operands in (("number", numbers), ("text", texts))
        if operands
    ] or [("1 = 0", [])]
    either = " OR ".join(sql for sql, _ in parts)
    values: list[str | float] = [str(test.of), *(one for _, values in parts for one in values)]
    return f"other.field = ? AND ({either})", values


def _compare(column: str, operator: str, operands: Sequence[str | float]) -> Part:
    if operator != "=":
        return f"{column} {operator} ?", [operands[0]]
    if not operands:
        return "1 = 0", []
    marks, values = _marks(operands)
    return f"{column} IN ({marks})", values


def _marks(values: Iterable[str | float]) -> Part:
    found = list(values)
    return ", ".join("?" * len(found)), found
