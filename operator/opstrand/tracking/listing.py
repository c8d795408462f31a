"""Finding runs in a list: the query and sort languages of the published client, as far as a run's own fields go.

Owns both grammars: `field: value|value, field: ~value, metrics.x: >0.5`, and `-created_at,name`. Pure: works on the published view.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

View = Mapping[str, Any]

_FIELDS = frozenset({"uuid", "name", "status", "kind", "runtime", "tags", "description", "created_at", "started_at", "finished_at"})
_SORTABLE = _FIELDS - {"tags"} | {"duration", "wait_time", "updated_at"}
_MAPS = {
    "in": "inputs",
    "inputs": "inputs",
    "params": "inputs",
    "out": "outputs",
    "outputs": "outputs",
    "metrics": "outputs",
    "meta": "meta_info",
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


class QueryError(ValueError):
    """The query cannot be read; the text says which part and what is known."""


def find_views(views: Sequence[View], query: str) -> list[View]:
    """Those that every condition of the query holds for, in their order. Raises `QueryError`."""
    conditions = [_parse_condition(part) for part in query.split(",") if part.strip()]
    return [view for view in views if all(condition(view) for condition in conditions)]


def sort_views(views: Sequence[View], sort: str) -> list[View]:
    """By the fields of `sort`, `-` for descending, the newest first without any; what has no value comes last. Raises `QueryError`."""
    result = list(views)
    for part in reversed([part.strip() for part in (sort or "-created_at").split(",") if part.strip()]):
        name = part.lstrip("-")
        if name not in _SORTABLE:
            raise QueryError(f"cannot sort by {name[:60]!r} (known: {', '.join(sorted(_SORTABLE))})")
        known = [view for view in result if view.get(name) is not None]
        known.sort(key=lambda view, name=name: view[name], reverse=part.startswith("-"))  # type: ignore[misc]
        result = known + [view for view in result if view.get(name) is None]
    return result


def _parse_condition(part: str) -> Callable[[View], bool]:
    name, colon, wanted = (text.strip() for text in part.partition(":"))
    if not (colon and wanted):
        raise QueryError(f"{part.strip()[:60]!r} is not a condition; write `field: value`")
    read = _parse_field(name)
    negated = wanted.startswith("~")
    matches = _parse_value(wanted[1:].strip() if negated else wanted)
    return lambda view: matches(read(view)) is not negated


def _parse_field(name: str) -> Callable[[View], Any]:
    group, _, key = name.partition(".")
    if key and group in _MAPS:
        return lambda view: (view.get(_MAPS[group]) or {}).get(key)
    if name == "pipeline":
        return lambda view: (view.get("pipeline") or {}).get("uuid")
    if name in _FIELDS:
        return lambda view: view.get(name)
    raise QueryError(
        f"cannot ask for {name[:60]!r} (known: {', '.join(sorted(_FIELDS))}, pipeline, {', '.join(f'{each}.NAME' for each in _MAPS)})"
    )


def _parse_value(wanted: str) -> Callable[[Any], bool]:
    for sign, compare in _COMPARISONS.items():
        if wanted.startswith(sign):
            return _compare_with(compare, wanted[len(sign) :].strip())
    choices = [choice.strip() for choice in wanted.split("|")]
    return lambda value: any(_equals(value, choice) for choice in choices)


def _compare_with(compare: Callable[[Any, Any], bool], bound: str) -> Callable[[Any], bool]:
    number = _number(bound)

    def holds(value: Any) -> bool:
        if number is not None and isinstance(value, int | float):
            return compare(value, number)
        return isinstance(value, str) and compare(value, bound)

    return holds


def _equals(value: Any, choice: str) -> bool:
    if isinstance(value, list):
        return choice in value
    if isinstance(value, bool):
        return str(value).lower() == choice.lower()
    if isinstance(value, int | float):
        return value == _number(choice)
    if value is None:
        return choice in ("nil", "null")
    text = str(value)
    if choice.startswith("%") or choice.endswith("%"):
        return _contains(text, choice)
    return text == choice or text == choice.replace("-", "")  # a uuid may be written with dashes


def _contains(text: str, pattern: str) -> bool:
    wanted = pattern.strip("%")
    if pattern.startswith("%") and pattern.endswith("%"):
        return wanted in text
    return text.endswith(wanted) if pattern.startswith("%") else text.startswith(wanted)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
