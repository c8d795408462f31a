"""Show the compiled operation of a run as the published platform does, with the values in place.

It is one layer.

Owns where a value is shown: at its declaration, or among the `contexts` if it has none. Pure.
Renders no template and reads no other run: a value that is not known yet is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.compiling.compile import compile_operation
from opstrand.core.operation import CompiledOperation
from opstrand.core.recorded import read_status
from opstrand.core.resolving.bindings import Slot, bind_params
from opstrand.core.values.types import restore
from opstrand.errors import SpecError
from opstrand.spec.io import IO
from opstrand.spec.polyaxonfile import parse_component, parse_operation

#: All keys that the published client knows of a compiled operation; it refuses any other key.
_KEYS = (
    *(
        "name",
        "description",
        "tags",
        "presets",
        "queue",
        "namespace",
        "cache",
        "termination",
        "plugins",
    ),
    *(
        "build",
        "hooks",
        "mount",
        "cost",
        "isApproved",
        "matrix",
        "joins",
        "schedule",
        "events",
        "dependencies",
    ),
    *("trigger", "conditions", "skipOnUpstreamSkip", "strictParams", "inputs", "outputs", "run"),
)
#: Other spellings of a declaration's keys; two spellings of one key would be read as two settings.
_ALIASES = {name: field.alias for name, field in IO.model_fields.items() if field.alias}
#: The status keys of the values that each attempt of a run is rendered from.
_FROZEN = {"contexts": "inputs", "inputs": "inputs", "outputs": "frozenOutputs"}


def compile_published(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the compiled operation of this run.

    Raises SpecError if there is none: the file is invalid, or its component is not known.
    """
    operation, status = parse_operation(body.get("spec") or {}), read_status(body)
    component = None
    if operation.component is None and operation.hub_ref:
        found = status.get("component")
        if found is None:
            raise SpecError(
                "ComponentNotFound",
                f"the component {operation.hub_ref!r} is not known yet",
                "hubRef",
            )
        component = parse_component(found)
    return place_values(compile_operation(operation, component=component), status)


def place_values(compiled: CompiledOperation, frozen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the compiled operation with its params in place.

    Values of `frozen`, a run's status, win over written ones.
    """
    bindings = bind_params(compiled)
    if bindings.problems:
        raise SpecError.of(bindings.problems)
    values = {
        (slot.section, slot.name): (slot, _read_value(slot, frozen)) for slot in bindings.slots
    }
    shown = {key: compiled.merged[key] for key in _KEYS if compiled.merged.get(key) is not None}
    for section in ("inputs", "outputs"):
        if section in shown:
            shown[section] = [
                _place(item, *values.get((section, item["name"]), (None, None)))
                for item in shown[section]
            ]
    contexts = [
        _place({"name": name}, *known)
        for (section, name), known in values.items()
        if section == "contexts"
    ]
    return {
        "version": 1.1,
        "kind": "compiled_operation",
        **shown,
        **({"contexts": contexts} if contexts else {}),
    }


def _read_value(slot: Slot, frozen: Mapping[str, Any]) -> Any:
    """Return the value in its declared type, as far as it fits."""
    known = frozen.get(_FROZEN[slot.section]) or {}
    if slot.name in known:
        value = known[slot.name]
    elif slot.ref is not None or slot.join is not None:
        return None  # the written value names one of another run
    else:
        value = slot.value
    return restore(value, slot.io.type, is_list=bool(slot.io.is_list)) if slot.io else value


def _place(item: Mapping[str, Any], slot: Slot | None, value: Any) -> dict[str, Any]:
    """Return a declaration with its value, and where the value goes.

    A declaration with a value is not required any more.
    """
    item = {_ALIASES.get(key, key): setting for key, setting in item.items()}
    if slot is None:
        return item
    goes = {"connection": slot.connection, "toInit": slot.to_init or None, "toEnv": slot.to_env}
    placed = {**item, **{key: setting for key, setting in goes.items() if setting is not None}}
    return placed if value is None else {**placed, "value": value, "isOptional": True}
