"""The inputs and outputs of a run as every reader except its own Pods sees them.

Reported values win over frozen ones, in the types that the component declares: a cluster stores 1.0
as 1. Rendering reads only the frozen values. Must not know the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.recorded import read_status
from opstrand.core.values.safe import unstore
from opstrand.core.values.types import restore
from opstrand.types import RunStatus

#: The keys of a declaration that say what type a stored value had.
_TYPE_KEYS = ("name", "type", "isList", "is_list")
_SECTIONS = ("inputs", "outputs")
_PLUGINS = ("collectArtifacts", "mountArtifactsStore")


def read_inputs(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read the frozen inputs, and over them the reported ones, in the stored order."""
    status = read_status(body)
    return _restore(
        {**status.get("inputs", {}), **status.get("reportedInputs", {})},
        _declared(body, status, "inputs"),
    )


def read_outputs(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read the outputs as far as they are known, in the stored order."""
    status = read_status(body)
    return _restore(status.get("outputs", {}), _declared(body, status, "outputs"))


def order_inputs(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs in a program's order: context values, then declared inputs as declared.

    A cluster stores keys in alphabetical order.
    """
    values, declared = read_inputs(body), _declared(body, read_status(body), "inputs")
    known = [name for name in declared if name in values]
    return {name: values[name] for name in (*sorted(values.keys() - declared.keys()), *known)}


def order_outputs(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs: declared ones in their order, then the other reported ones."""
    values, declared = read_outputs(body), _declared(body, read_status(body), "outputs")
    known = [name for name in declared if name in values]
    return {name: values[name] for name in (*known, *sorted(values.keys() - declared.keys()))}


def restore_value(body: Mapping[str, Any], section: str, name: str, value: Any) -> Any:
    """Return one stored value of a section in its declared type."""
    return _restore({name: value}, _declared(body, read_status(body), section))[name]


def read_plugins(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read the `plugins` that decide where a run's files are, as written.

    The operation's win over its component's.
    """
    spec = body.get("spec")
    operation = spec if isinstance(spec, Mapping) else {}
    component = read_status(body).get("component") or operation.get("component")
    found: dict[str, Any] = {}
    for part in (component, operation):
        plugins = part.get("plugins") if isinstance(part, Mapping) else None
        found |= _slim_plugins(plugins)
    return found


def _slim_plugins(plugins: Any) -> dict[str, Any]:
    """Keep only literal values: only the run itself knows what a template gives."""
    return {
        key: plugins[key]
        for key in _PLUGINS
        if isinstance(plugins, Mapping) and isinstance(plugins.get(key), bool)
    }


def slim_plugins(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an operation that `read_plugins` needs besides its component."""
    kept = _slim_plugins(spec.get("plugins"))
    return {"plugins": kept} if kept else {}


def slim_component(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a component that is needed to read the values of a run.

    That is the types that it declares, and where its files are.
    """
    component = spec.get("component")
    if not isinstance(component, Mapping):
        return {}
    declared = {
        section: [_slim(item) for item in _items(component, section)] for section in _SECTIONS
    }
    kept: dict[str, Any] = {section: items for section, items in declared.items() if items}
    kept |= slim_plugins(component)
    return {"component": kept} if kept else {}


def _slim(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item[key] for key in _TYPE_KEYS if item.get(key) is not None}


def _items(component: Mapping[str, Any], section: str) -> list[Mapping[str, Any]]:
    found = component.get(section)
    return (
        [one for one in found if isinstance(one, Mapping) and isinstance(one.get("name"), str)]
        if isinstance(found, list)
        else []
    )


def _declared(
    body: Mapping[str, Any], status: RunStatus, section: str
) -> dict[str, Mapping[str, Any]]:
    """Return the declarations by name, of the hub's frozen component or the operation's own."""
    spec = body.get("spec")
    component = status.get("component") or (
        spec.get("component") if isinstance(spec, Mapping) else None
    )
    return (
        {item["name"]: item for item in _items(component, section)}
        if isinstance(component, Mapping)
        else {}
    )


def _restore(
    values: Mapping[str, Any], declared: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {name: _restore_one(value, declared.get(name)) for name, value in values.items()}


def _restore_one(value: Any, item: Mapping[str, Any] | None) -> Any:
    """Restore a value in its type. Without a type it stays as stored."""
    type_name = item.get("type") if item else None
    if item is None or not isinstance(type_name, str):
        return unstore(value)
    return restore(value, type_name, is_list=(item.get("isList") or item.get("is_list")) is True)
