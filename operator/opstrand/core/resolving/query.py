"""The query language over runs: `status: succeeded, metrics.loss: <0.1`; sort, limit and offset.

Owns its grammar and what each condition means: only what the author of a query wrote is grammar,
what a template printed into it is one value. Works on any records, through a function that reads a
field of one. Must not know where runs are stored. Source: the package's query language, as
measured; conditions are `~ > >= < <= | .. nil %`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, TypeVar

from opstrand.core.limits import CHOICES, CONDITIONS, EDGES, QUERY, SORT_KEYS
from opstrand.core.resolving.refs import Upstream
from opstrand.core.templates.traced import pieces_of
from opstrand.errors import SpecError
from opstrand.text import quote, shorten, suggest

Run = TypeVar("Run")
Read = Callable[[Any, str], Any]
Restore = Callable[[str], str]

_COUNT = re.compile(r"\s*[0-9]{1,18}\s*")
#: The most runs of one page, whatever limit is requested.
MOST = EDGES
_TIMES = ("created_at", "updated_at", "started_at", "finished_at", "schedule_at")
_PLAIN = (
    "name",
    "status",
    "kind",
    "runtime",
    "description",
    "tags",
    "owner",
    "project",
    "pipeline",
    "controller",
    "original",
)
_NUMBERS = ("duration", "wait_time")
_COMPARING = (">", ">=", "<", "<=", "range")
#: Fields that hold a uuid, which may be written with or without dashes.
_UUIDS = ("uuid", "id", "pipeline", "controller", "original", "upstream", "upstream.uuid")
FIELDS = (
    "uuid",
    "id",
    *_PLAIN,
    *_TIMES,
    *_NUMBERS,
    "cloning_kind",
    "is_managed",
    "pending",
    "upstream",
)
_SECTIONS = {
    "inputs": "inputs",
    "in": "inputs",
    "params": "inputs",
    "outputs": "outputs",
    "out": "outputs",
    "metrics": "outputs",
    "meta_values": "meta_info",
    "meta_info": "meta_info",
    "meta": "meta_info",
    "artifacts": "artifacts",
    "upstream": "upstream",
    "project": "project",
}
#: Fields of each item of a list that a run has. Any other name after `artifacts.` is the name of an
#: artifact, and means its path.
_PARTS = {"artifacts": ("name", "kind", "path", "state"), "upstream": ("uuid", "name", "kind")}
#: Sections that have only these names.
_NAMES = {"upstream": _PARTS["upstream"], "project": ("name", "owner")}


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
        return frozenset(map(_number, self.values))


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
    keys = parse_sort(sort or "-created_at", path)
    reader = read or read_field
    found = [
        run
        for run in runs
        if all(_holds(condition, reader(run, condition.field)) for condition in conditions)
    ]
    for field, down in reversed([*keys, ("name", False)]):
        found = _sort(found, field, down, reader)
    return found


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
    field, test = _check_field(restore(field.strip()), path), test.strip()
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
    if (_moment(wanted) if field in _TIMES else _number(wanted)) is None:
        what = "a date" if field in _TIMES else "a number"
        raise SpecError(
            "InvalidSpec", f"'{field}' is compared with {what}, found {quote(wanted)}", path
        )


def _check_field(field: str, path: str) -> str:
    section, dot, name = field.partition(".")
    if field in FIELDS or (
        dot and name and section in _SECTIONS and name in _NAMES.get(section, (name,))
    ):
        return field
    raise SpecError(
        "InvalidSpec",
        f"a run has no '{shorten(field, 60)}' to search by{suggest(field, (*FIELDS, *_SECTIONS))}",
        path,
    )


def parse_sort(sort: str, path: str = "sort") -> list[tuple[str, bool]]:
    """Return (field, whether descending) of each key, the most significant first."""
    skeleton, restore = _set_values_aside(sort, path)
    keys = [key.strip() for key in skeleton.split(",") if key.strip()]
    _check_count(len(keys), SORT_KEYS, "keys to sort by", path)
    return [
        (_check_field(restore(key.lstrip("-").strip()), path), key.startswith("-")) for key in keys
    ]


def parse_count(value: Any, path: str) -> int:
    """Parse a limit or an offset, a number or its text; an absent one is 0."""
    number = int(value) if isinstance(value, str) and _COUNT.fullmatch(value) else value
    if number is not None and (
        isinstance(number, bool) or not isinstance(number, int) or number < 0
    ):
        raise SpecError("InvalidSpec", f"expected a count, found {quote(value)}", path)
    return number or 0


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
    moment = _moment(value) if field in _TIMES else None
    if moment is not None:
        return 0, moment.timestamp()
    return (0, float(value)) if isinstance(value, bool | int | float) else (1, str(value))


def read_field(run: Any, field: str) -> Any:
    """Read a field of an `Upstream`, or of a mapping in the API's spelling.

    Returns a list if the run has several values.
    """
    section, dot, name = ("upstream", ".", "uuid") if field == "upstream" else field.partition(".")
    if dot:
        return _read_section(_SECTIONS[section], name, run)
    return _read_plain(run, "uuid" if field == "id" else field)


def _read_plain(run: Any, field: str) -> Any:
    if not isinstance(run, Upstream):
        return run.get(field)
    if field in ("uuid", "name", "inputs", "outputs", "artifacts"):
        return getattr(run, field)
    return run.globals.get({"owner": "owner_name", "project": "project_name"}.get(field, field))


def _read_section(section: str, name: str, run: Any) -> Any:
    if section == "project":
        return _read_plain(run, "owner" if name == "owner" else "project")
    values = _read_plain(run, section) or {}
    if name in _PARTS.get(section, ()):
        return [one[name] for one in values if one.get(name) is not None]
    if section == "artifacts" and not isinstance(values, Mapping):
        values = {artifact.get("name"): artifact.get("path") for artifact in values}
    return values.get(name)


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
    if condition.field in _UUIDS:
        return str(value).replace("-", "") in condition.uuids
    if condition.field in _TIMES and str(value)[: len("2026-01-31")] in condition.texts:
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
    if condition.field in _TIMES:
        left, right = _moment(value), _moment(wanted, end=end)
        return None if left is None or right is None else (left > right) - (left < right)
    number = _number(wanted)
    if number is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return (value > number) - (value < number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(value: Any, *, end: bool = False) -> datetime | None:
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
