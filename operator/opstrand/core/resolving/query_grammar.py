"""Parse the query language over runs: `status: succeeded, metrics.loss: <0.1`; sort, limit, offset.

Owns the grammar: only what the author of a query wrote is grammar, what a template printed into it
is one value. Must not read a run. Source: the package's query language, as measured; conditions are
`~ > >= < <= | .. nil %`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from opstrand.core.limits import CHOICES, CONDITIONS, QUERY, SORT_KEYS
from opstrand.core.resolving.query_fields import TIMES, check_field
from opstrand.core.templates.traced import pieces_of
from opstrand.errors import SpecError
from opstrand.text import quote

Restore = Callable[[str], str]
_COUNT = re.compile(r"\s*[0-9]{1,18}\s*")
_COMPARING = (">", ">=", "<", "<=", "range")


@dataclass(frozen=True)
class Condition:
    """One `field: test`.

    `operator` is one of = > >= < <= in range begins ends contains nil; `negated` by a leading `~`.
    """

    field: str
    operator: str
    values: tuple[str, ...] = ()
    negated: bool = False

    @cached_property
    def texts(self) -> frozenset[str]:
        return frozenset(self.values)

    @cached_property
    def lower(self) -> frozenset[str]:
        return frozenset(value.lower() for value in self.values)

    @cached_property
    def uuids(self) -> frozenset[str]:
        return frozenset(value.replace("-", "") for value in self.lower)

    @cached_property
    def numbers(self) -> frozenset[float | None]:
        return frozenset(map(parse_number, self.values))


def parse_query(query: str, path: str = "query") -> tuple[Condition, ...]:
    """Parse a query into its conditions, all of which must hold."""
    skeleton, restore = _set_values_aside(query, path)
    parts = [part for part in skeleton.split(",") if part.strip()]
    _check_count(len(parts), CONDITIONS, "conditions", path)
    return tuple(_parse_condition(part, restore, path) for part in parts)


def _expect_text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise SpecError("InvalidSpec", f"expected a text, found {quote(value)}", path)
    if len(value) > QUERY:
        raise SpecError(
            "TooLarge", f"{len(value)} characters; at most {QUERY} are searched by", path
        )


def _check_count(count: int, limit: int, what: str, path: str) -> None:
    if count > limit:
        raise SpecError(
            "TooLarge", f"there are {count} {what}; at most {limit} are searched by", path
        )


_ASIDE = re.compile("\0([0-9]+)\0")


def _set_values_aside(text: Any, path: str) -> tuple[str, Restore]:
    """Replace each value that a template printed by a mark.

    Also return the function that restores the values in a part of the text. A text without anything
    of the author's (`"{{ query }}"`) is a query that was given as a whole.
    """
    _expect_text(text, path)
    pieces = list(pieces_of(text))
    if all(piece.printed or not piece.text.strip() for piece in pieces):
        return str(text), str
    texts = [
        f"\0{index}\0" if piece.printed else piece.text.replace("\0", "")
        for index, piece in enumerate(pieces)
    ]
    return "".join(texts), lambda part: _ASIDE.sub(lambda mark: pieces[int(mark[1])].text, part)


def _parse_condition(part: str, restore: Restore, path: str) -> Condition:
    field, colon, test = part.partition(":")
    field, test = check_field(restore(field.strip()), path), test.strip()
    if not colon or not test.lstrip("~").strip():
        raise SpecError(
            "InvalidSpec",
            f"expected 'field: condition', found {quote(restore(part.strip()))}",
            path,
        )
    negated = test.startswith("~")
    operator, values = _parse_test(test[1:].strip() if negated else test)
    condition = Condition(field, operator, tuple(map(restore, values)), negated)
    _check_count(len(condition.values), CHOICES, "choices", path)
    if condition.operator in _COMPARING:
        for wanted in condition.values:
            _check_comparable(field, wanted, path)
    return condition


def _parse_test(test: str) -> tuple[str, tuple[str, ...]]:
    """Return the operator and its values."""
    for operator in (">=", "<=", ">", "<"):
        if test.startswith(operator):
            return operator, (test[len(operator) :].strip(),)
    if test in ("nil", "null"):
        return "nil", ()
    if ".." in test:
        low, _, high = test.partition("..")
        return "range", (low.strip(), high.strip())
    if "|" in test:
        return "in", tuple(one.strip() for one in test.split("|") if one.strip())
    if test.startswith("%"):
        return "contains" if test.endswith("%") and len(test) > 1 else "ends", (test.strip("%"),)
    return ("begins", (test.strip("%"),)) if test.endswith("%") else ("=", (test,))


def _check_comparable(field: str, wanted: str, path: str) -> None:
    if (parse_moment(wanted) if field in TIMES else parse_number(wanted)) is None:
        what = "a date" if field in TIMES else "a number"
        raise SpecError(
            "InvalidSpec", f"'{field}' is compared with {what}, found {quote(wanted)}", path
        )


def parse_sort(sort: str, path: str = "sort") -> list[tuple[str, bool]]:
    """Return (field, whether descending) of each key, the most significant first."""
    skeleton, restore = _set_values_aside(sort, path)
    keys = [key.strip() for key in skeleton.split(",") if key.strip()]
    _check_count(len(keys), SORT_KEYS, "keys to sort by", path)
    return [
        (check_field(restore(key.lstrip("-").strip()), path), key.startswith("-")) for key in keys
    ]


def parse_count(value: Any, path: str) -> int:
    """Parse a limit or an offset, a number or its text; an absent one is 0."""
    number = int(value) if isinstance(value, str) and _COUNT.fullmatch(value) else value
    if number is not None and (
        isinstance(number, bool) or not isinstance(number, int) or number < 0
    ):
        raise SpecError("InvalidSpec", f"expected a count, found {quote(value)}", path)
    return number or 0


def parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def parse_moment(value: Any, *, end: bool = False) -> datetime | None:
    """Parse a moment in UTC; None if the value is none."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    else:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            return None
        if end and len(str(value)) == len("2026-01-31"):
            moment = moment.replace(hour=23, minute=59, second=59, microsecond=999999)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
