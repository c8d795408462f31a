"""What a run reports about itself (inputs, outputs, tags, meta, description, name, artifacts), as a
change that can be merged and stored.

Owns which fields of the status the API may write and how. Maps are written per key by JSON Patch (a
merge patch drops nulls, and null is a value); lists are written whole, guarded by the
resourceVersion that was read. Pure: must not know HTTP, Kubernetes or a clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from opstrand.core.limits import INPUTS, KIB, MAX_INTEGER, OUTPUTS, measure
from opstrand.core.recorded import read_status

#: The budget of each field of a run, in bytes of JSON.
BUDGETS = {
    "reportedInputs": INPUTS,
    "outputs": OUTPUTS,
    "meta": 64 * KIB,
    "tags": 16 * KIB,
    "description": 16 * KIB,
    "name": KIB,
}
BUDGETS["artifacts"] = 128 * KIB
#: The name of a field in messages, and the field that shares its budget: a run's inputs are the
#: frozen ones and those that it reports.
_SHOWN = {"reportedInputs": "inputs"}

PatchOp = dict[str, Any]


class TooLarge(ValueError):
    """A write would exceed the budget of a field of the status. Nothing of it was stored."""

    def __init__(self, field_name: str, size: int, budget: int) -> None:
        self.field_name, self.size, self.budget = field_name, size, budget
        super().__init__(
            f"{field_name} would be {size:,} bytes of JSON, and {budget:,} is what a run can keep; "
            "write the data to a file under the run's outputs and log its path"
        )


@dataclass(frozen=True)
class MapEdit:
    """Keys to set; `reset` removes every other key first."""

    values: Mapping[str, Any]
    reset: bool = False

    def then(self, later: MapEdit) -> MapEdit:
        return later if later.reset else MapEdit({**self.values, **later.values}, self.reset)


@dataclass(frozen=True)
class TagsEdit:
    """Tags to add, in order, each once; `reset` removes the others first."""

    tags: tuple[str, ...]
    reset: bool = False

    def then(self, later: TagsEdit) -> TagsEdit:
        return (
            later
            if later.reset
            else TagsEdit(tuple(dict.fromkeys(self.tags + later.tags)), self.reset)
        )


@dataclass(frozen=True)
class Edit:
    """One write.

    `maps` are keyed by the status' field name (reportedInputs, outputs, meta), `artifacts` by name;
    `condition` replaces the one of its type.
    """

    maps: Mapping[str, MapEdit] = field(default_factory=dict)
    tags: TagsEdit | None = None
    description: str | None = None
    name: str | None = None
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    condition: Mapping[str, Any] | None = None

    def then(self, later: Edit) -> Edit:
        """Both writes merged into one: the later one wins."""
        maps = dict(self.maps)
        for name, edit in later.maps.items():
            maps[name] = maps[name].then(edit) if name in maps else edit
        tags = self.tags.then(later.tags) if self.tags and later.tags else later.tags or self.tags
        return Edit(
            maps=maps,
            tags=tags,
            description=self.description if later.description is None else later.description,
            name=self.name if later.name is None else later.name,
            artifacts={**self.artifacts, **later.artifacts},
            condition=later.condition or self.condition,
        )

    def is_empty(self) -> bool:
        return self == Edit()


def make_storable(value: Any) -> Any:
    """`value` as a status can keep it.

    What JSON or the API server would spoil or refuse becomes text: not-a-number, infinities,
    integers beyond 64 bits, lone surrogates. Otherwise a program that reports one of them would
    lose everything else in the same report.
    """
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case int() if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            return str(value)
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {make_storable(key): make_storable(item) for key, item in value.items()}
        case list():
            return [make_storable(item) for item in value]
        case _:
            return value


def patch_ops(edit: Edit, body: Mapping[str, Any]) -> list[PatchOp]:
    """The JSON Patch that stores `edit` in the status of `body`.

    Guarded by the body's resourceVersion only where necessary: for a list, or a map that does not
    exist yet. Raises `TooLarge`.
    """
    status = read_status(body)
    keyed, whole = _map_ops(edit), _whole_fields(edit, status)
    check_budgets(edit, status)
    ops = [_add(f"/status/{name}", value) for name, value in whole.items()]
    missing = [
        name
        for name in edit.maps
        if not isinstance(status.get(name), dict) and not edit.maps[name].reset
    ]
    has_status = isinstance(body.get("status"), Mapping)
    if not (ops or missing or not has_status):
        return keyed
    version = body.get("metadata", {}).get("resourceVersion")
    bound = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
    created = [_add(f"/status/{name}", {}) for name in missing]
    return bound + ([] if has_status else [_add("/status", {})]) + created + keyed + ops


def _map_ops(edit: Edit) -> list[PatchOp]:
    ops = []
    for name, change in edit.maps.items():
        if change.reset:
            ops.append(_add(f"/status/{name}", dict(change.values)))
        else:
            ops += [
                _add(f"/status/{name}/{_escape(key)}", value)
                for key, value in change.values.items()
            ]
    progress = edit.maps["meta"].values.get("progress") if "meta" in edit.maps else None
    if isinstance(progress, int | float) and not isinstance(progress, bool):
        ops.append(_add("/status/progress", progress))
    return ops


def _whole_fields(edit: Edit, status: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are written as a whole, with their new values."""
    fields: dict[str, Any] = {}
    if edit.tags is not None:
        before = () if edit.tags.reset else tuple(status.get("tags") or ())
        fields["tags"] = list(dict.fromkeys(before + edit.tags.tags))
    if edit.description is not None:
        fields["description"] = edit.description
    if edit.name is not None:
        fields["name"] = edit.name
    if edit.artifacts:
        known = {item["name"]: item for item in status.get("artifacts") or ()}
        fields["artifacts"] = list({**known, **edit.artifacts}.values())
    if edit.condition is not None:
        others = [
            item
            for item in status.get("conditions") or ()
            if item.get("type") != edit.condition["type"]
        ]
        fields["conditions"] = [*others, dict(edit.condition)]
    return fields


def check_budgets(edit: Edit, status: Mapping[str, Any]) -> None:
    """Raise `TooLarge` for the first field that `edit` would take over its budget."""
    after = _whole_fields(replace(edit, condition=None), status)
    for name, change in edit.maps.items():
        after[name] = {**({} if change.reset else status.get(name) or {}), **change.values}
    for name, value in after.items():
        shared = _SHOWN.get(name, name)
        size, budget = (
            measure(value) + (measure(status.get(shared) or {}) if shared != name else 0),
            BUDGETS[name],
        )
        if size > budget:
            raise TooLarge(shared, size, budget)


def _add(path: str, value: Any) -> PatchOp:
    return {"op": "add", "path": path, "value": value}


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
