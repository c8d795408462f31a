"""Merge what user code reported and the API has not stored yet, so that many reports become one.

Owns how two reports merge and which requests carry them. Pure: must not send anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple, Union

#: The fields whose keys are merged; the items of the list `tags` are merged too.
_MAPS = ("inputs", "outputs", "meta_info")
Values = Union[dict[str, Any], list[str]]


class Request(NamedTuple):
    """One request below the run's path."""

    method: str
    path: str
    body: dict[str, Any]


class Report:
    """Fields with their values; a field in `resets` replaces what was there before.

    The later report wins, key by key.
    """

    def __init__(self) -> None:
        self._fields: dict[str, Values] = {}
        self._resets: set[str] = set()
        self._texts: dict[str, str] = {}
        self._artifacts: dict[str, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._fields or self._texts or self._artifacts)

    def values(self, field: str, values: Mapping[str, Any], *, reset: bool = False) -> Report:
        before = self._fields.get(field)
        if reset or not isinstance(before, dict):
            self._fields[field] = dict(values)
        else:
            before.update(values)
        if reset:
            self._resets.add(field)
        return self

    def tags(self, tags: Sequence[str], *, reset: bool = False) -> Report:
        before = [] if reset else self._fields.get("tags", [])
        self._fields["tags"] = list(dict.fromkeys([*before, *tags]))
        if reset:
            self._resets.add("tags")
        return self

    def text(self, field: str, text: str) -> Report:
        self._texts[field] = text
        return self

    def artifact(self, item: Mapping[str, Any]) -> Report:
        self._artifacts[str(item["name"])] = dict(item)
        return self

    def then(self, later: Report) -> Report:
        """Merge the later report into this one, which it returns."""
        for field, values in later._fields.items():
            reset = field in later._resets
            if isinstance(values, dict):
                self.values(field, values, reset=reset)
            else:
                self.tags(values, reset=reset)
        self._texts.update(later._texts)
        self._artifacts.update(later._artifacts)
        return self

    def requests(self) -> list[Request]:
        """Return the fewest requests for the report: replacements, additions, then the lineage."""
        replaced = {
            field: values for field, values in self._fields.items() if field in self._resets
        }
        added = {
            field: values for field, values in self._fields.items() if field not in self._resets
        }
        found = []
        if replaced:
            found.append(Request("PATCH", "", dict(replaced)))
        if added or self._texts:
            found.append(Request("PATCH", "", {**added, **self._texts, "merge": True}))
        if self._artifacts:
            found.append(
                Request("POST", "/lineage/artifacts", {"artifacts": list(self._artifacts.values())})
            )
        return found

    def halve(self) -> tuple[Report, ...]:
        """Split into two reports that have the same effect one after the other.

        Returns no report if this one holds a single thing.
        """
        parts = self._parts()
        halves = parts[: len(parts) // 2], parts[len(parts) // 2 :]
        return tuple(reduce(Report.then, half, Report()) for half in halves) if all(halves) else ()

    def _parts(self) -> list[Report]:
        """Return one report for each single thing.

        A field that replaces what was there does so in a report of its own, which comes first.
        """
        parts = []
        for field, values in self._fields.items():
            reset = field in self._resets
            if isinstance(values, dict):
                parts += [Report().values(field, {}, reset=True)] if reset else []
                parts += [Report().values(field, {key: value}) for key, value in values.items()]
            else:
                parts += [Report().tags([], reset=True)] if reset else []
                parts += [Report().tags([tag]) for tag in values]
        parts += [Report().text(field, text) for field, text in self._texts.items()]
        return parts + [Report().artifact(item) for item in self._artifacts.values()]

    def names(self) -> str:
        """Name the contents for a message: `outputs`, or `outputs.loss` if there is one key."""
        named = [_name(field, values) for field, values in self._fields.items()]
        return ", ".join(
            [
                *named,
                *self._texts,
                *([_name("artifacts", self._artifacts)] if self._artifacts else []),
            ]
        )


def _name(field: str, things: Collection[str]) -> str:
    return f"{field}.{next(iter(things))}" if len(things) == 1 else field
