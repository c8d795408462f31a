"""What a schedule needs of its own operation, and the operation that each of its ticks runs.

A tick's run is the operation without its schedule: it resolves refs and joins, waits for approval,
checks its conditions and makes its own matrix. Owns that split. Must not know when a tick is due
(`core.schedules`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from opstrand.core.compiling.matrix import fill_scope, iter_reads
from opstrand.core.identity import Identity
from opstrand.core.operation import CompiledOperation
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.templates.lookups import find_names, is_template
from opstrand.core.templates.template import Evaluate, iter_texts, render
from opstrand.spec.polyaxonfile import spec_error
from opstrand.spec.schedule import schedules
from opstrand.spec.validation import validate

#: Keys of the operation that are the schedule's own. The name is that of the tick's object.
_OWN = frozenset(("schedule", "control", "name"))


def share_with_schedule(compiled: CompiledOperation) -> CompiledOperation:
    """Return the part of an operation that its schedule reads: values that its templates name.

    Everything else belongs to the runs of its ticks.
    """
    read = _find_read(compiled)
    return replace(
        compiled,
        inputs=tuple(io for io in compiled.inputs if io.name in read),
        outputs=tuple(io for io in compiled.outputs if io.name in read),
        params={name: param for name, param in compiled.params.items() if name in read},
        joins=None,
        matrix=None,
    )


def _find_read(compiled: CompiledOperation) -> frozenset[str]:
    """Return the names that the templates of the schedule read, also by way of other values."""
    reads = dict(iter_reads(compiled))
    found: set[str] = set()
    new = _read_names(iter_texts(compiled.schedule), reads)
    while new:
        found |= new
        new = {name for one in new for name in reads.get(one, ())} - found
    return frozenset(found)


def _read_names(texts: Iterable[str], known: Iterable[str]) -> set[str]:
    read: set[str] = set()
    for text in texts:
        if is_template(text):
            names = find_names(text)
            read |= {*names.top, *names.params, *(known if names.every else ())}
    return read


def render_schedule(
    compiled: CompiledOperation, resolved: Resolved, identity: Identity, *, evaluate: Evaluate
) -> Mapping[str, Any]:
    """Return the schedule with its templates replaced.

    Raises SpecError for a template without a value, and for what is then no valid schedule.
    """
    schedule = compiled.schedule or {}
    if not any(is_template(text) for text in iter_texts(schedule)):
        return schedule
    values = fill_scope(compiled, resolved, identity, evaluate).values
    rendered = render(schedule, values, "schedule", evaluate=evaluate)
    try:
        data: Mapping[str, Any] = validate(schedules()[str(schedule["kind"])], rendered).data
    except ValidationError as error:
        raise spec_error(error, None).within("schedule") from None
    return data


def make_tick_operation(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operation that one tick runs: `spec` without its schedule."""
    kept = {key: value for key, value in spec.items() if key not in _OWN}
    if isinstance(kept.get("component"), Mapping):
        kept["component"] = _without_schedule(kept["component"])
    return kept


def _without_schedule(layer: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in layer.items() if key != "schedule"}
