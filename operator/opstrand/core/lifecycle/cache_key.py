"""The key of a run's result: of two runs with the same key, the second may take it from the first.

Owns what counts for the key: the component as its author wrote it, the values of the run, and the
parts of its `run` as they are compiled, with their templates. Globals do not count, since they
differ from run to run. A run with a text that looks like a secret has no key: the key of a secret
would confirm a guess, and a key without it would be that of another run too. Must not look for a
run with the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from opstrand.core.compiling.cache_rules import check_cache, list_values
from opstrand.core.compiling.prepare import Prepared
from opstrand.core.mask import is_secret_name
from opstrand.core.normalize import as_stored
from opstrand.core.operation import CompiledOperation
from opstrand.core.planning.plan import Plan
from opstrand.core.resolving.bindings import bind_params
from opstrand.core.resolving.resolve import Resolved
from opstrand.core.templates.lookups import is_template
from opstrand.errors import SpecError
from opstrand.spec.cache import Cache
from opstrand.spec.polyaxonfile import spec_error
from opstrand.spec.validation import validate

#: Changes with the way in which a key is made: a new version finds no key of an earlier one.
_VERSION = 2
#: Keys of a component that say what its runs are: those of its layers too.
_OF_COMPONENT = ("inputs", "outputs", "run", "runPatch", "params", "plugins", "build")
#: Parts of `run` that have a section of their own in `cache.sections`.
_SECTIONS = ("init", "connections", "containers")
#: Parts of `run` that are in a section, or that say where a run is and not what it does.
_APART = ("init", "connections", "container", "sidecars", "environment")
_DIGITS = 12


@dataclass(frozen=True)
class CacheKey:
    """What a run's result is found by, and what is compared with an earlier run for people.

    `digest` is the key. `component` and `parts` are short digests, `values` those that count, as a
    status stores them; `io` are their names, None if all do. `ttl`: the seconds for which a result
    may be taken. `is_default`: the file does not say that results are taken, so only a run of a
    pipeline takes one. `secrets`: the names of what looks like a secret and would count; then there
    is no digest.
    """

    digest: str
    component: str
    parts: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict)
    io: tuple[str, ...] | None = None
    ttl: int | None = None
    is_default: bool = False
    secrets: tuple[str, ...] = ()

    def as_facts(self) -> dict[str, Any]:
        """Return what the status of a run with this key has of it."""
        return {
            "cacheKey": self.digest,
            "cache": {"component": self.component, "parts": dict(self.parts)},
        }


def refuse_unknown_names(prepared: Prepared) -> None:
    """Raise SpecError for a name in `cache.io` that no value has, of a run of any kind."""
    inherited = prepared.operation.written.get("inherited")
    handed = (inherited.get("cache") if isinstance(inherited, Mapping) else None) or {}
    if prepared.compiled is None or handed.get("io"):
        return  # what a pipeline hands down is for all of its runs
    problems = list(check_cache(prepared.compiled))
    if problems:
        raise SpecError.of(problems)


def make_cache_key(prepared: Prepared, resolved: Resolved, plan: Plan) -> CacheKey | None:
    """Return the key of a run; None if its result is neither taken nor given.

    Raises SpecError for a `cache` that is not valid once it is rendered.
    """
    compiled, identity = prepared.compiled, prepared.identity
    if compiled is None:
        return None
    cache = _read_cache(plan)
    if cache.disable or identity.original_uuid is not None:
        return None
    is_default = cache.disable is None
    if is_default and (identity.is_independent or identity.schedule_at is not None):
        return None
    names = None if cache.io is None else _find_names(compiled, cache.io)
    found = {"inputs": resolved.inputs, "outputs": resolved.outputs}
    values = count_values(found, identity.uuid, names)
    written = _strip(_find_component(prepared))
    # A template is validated where it is rendered: here these are lists.
    sections = _SECTIONS if cache.sections is None else tuple(cache.sections)
    found_parts = _list_parts(compiled, sections)
    secrets = (*_list_secrets(values), *_list_secrets([written, found_parts], is_spec=True))
    if secrets:
        unique = tuple(dict.fromkeys(secrets))
        return CacheKey("", "", {}, is_default=is_default, secrets=unique)
    component = _digest([compiled.kind, written])
    parts = {name: _digest(part) for name, part in found_parts.items()}
    counted = [_VERSION, identity.project, component, parts, values]
    return CacheKey(_digest(counted, None), component, parts, values, names, cache.ttl, is_default)


def _read_cache(plan: Plan) -> Cache:
    rendered = plan.extra.get("cache") or {}
    try:
        return validate(Cache, rendered).section
    except ValidationError as error:
        raise spec_error(error, None).within("cache") from None


# -- what counts -----------------------------------------------------------------------------------


def count_values(
    found: Mapping[str, Mapping[str, Any]], uuid: str, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the values that count of a run's inputs and outputs, by section.

    The run's own uuid, as in a path below its folder, becomes the same word for every run.
    """
    return {
        section: {
            name: _without_uuid(as_stored(value), uuid)
            for name, value in sorted(values.items())
            if names is None or name in names
        }
        for section, values in found.items()
    }


def _find_names(compiled: CompiledOperation, names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names that the run has a value of.

    What a pipeline hands down is for all of its runs: if one has none of the names, all of its own
    values count.
    """
    known = list_values(compiled)
    if not names:
        return ()
    return tuple(name for name in names if name in known) or None


def _list_parts(compiled: CompiledOperation, sections: tuple[str, ...]) -> dict[str, Any]:
    """Return the parts of a compiled `run` that count, by the names of the sections."""
    run = compiled.run
    placed = [
        [slot.name, slot.connection, slot.to_init, slot.to_env]
        for slot in bind_params(compiled).slots
        if slot.connection or slot.to_init or slot.to_env
    ]
    rest = {key: value for key, value in run.items() if key not in _APART}
    parts = {
        "init": [run.get("init"), placed],
        "connections": run.get("connections"),
        "containers": [run.get("container"), run.get("sidecars")],
    }
    counted = {name: parts[name] for name in _SECTIONS if name in sections}
    return {**counted, "run": [rest, compiled.plugins, compiled.build]}


def _find_component(prepared: Prepared) -> Mapping[str, Any]:
    """Return the component as its author wrote it; without one, the operation."""
    if prepared.frozen_component is not None:
        return prepared.frozen_component
    written = prepared.operation.written
    inline = written.get("component")
    return inline if isinstance(inline, Mapping) else written


def _strip(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a component, or a layer of one, says of its runs."""
    kept = {key: layer[key] for key in _OF_COMPONENT if layer.get(key) is not None}
    for key in ("inputs", "outputs"):
        if isinstance(kept.get(key), list | tuple):
            kept[key] = [_strip_declared(one) for one in kept[key]]
    if isinstance(kept.get("params"), Mapping):
        kept["params"] = {
            name: _strip_declared({"name": name, **param}) if isinstance(param, Mapping) else param
            for name, param in kept["params"].items()
        }
    if isinstance(layer.get("component"), Mapping):
        kept["component"] = _strip(layer["component"])
    return kept


def _strip_declared(declared: Any) -> Any:
    """Return a declared value without its description.

    A text that looks like a secret is left out: among the values of the run it counts if
    `cache.io` has its name.
    """
    if not isinstance(declared, Mapping):
        return declared
    is_hidden = is_secret_name(str(declared.get("name") or "")) and _has_text(declared.get("value"))
    left_out = ("description", "value") if is_hidden else ("description",)
    return {key: value for key, value in declared.items() if key not in left_out}


# -- secrets ---------------------------------------------------------------------------------------


def _list_secrets(value: Any, *, is_spec: bool = False) -> Iterator[str]:
    """Yield the names of texts that look like secrets. Numbers and booleans are none."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _list_secrets(item, is_spec=is_spec)
    if not isinstance(value, Mapping):
        return
    named = str(value.get("name") or "")
    for key, item in value.items():
        name = named if key == "value" and is_secret_name(named) else str(key)
        # In a spec, a mapping of such a name refers to a secret, as `secretKeyRef` does.
        held = item.get("value") if is_spec and isinstance(item, Mapping) else item
        if is_secret_name(name) and _has_text(held):
            yield name
        else:
            yield from _list_secrets(item, is_spec=is_spec)


def _has_text(value: Any) -> bool:
    """Return whether there is a text in a value. A template is none: what it reads is a value."""
    if isinstance(value, str):
        return bool(value) and not is_template(value)
    if isinstance(value, Mapping):
        return any(map(_has_text, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_text, value))


# -- digests ---------------------------------------------------------------------------------------


def _digest(value: Any, digits: int | None = _DIGITS) -> str:
    """Return the SHA-256 of a value as JSON, whatever the order of its keys."""
    text = json.dumps(
        _without_uuid(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    )
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:digits]


def _without_uuid(value: Any, uuid: str = "") -> Any:
    """Return the value with one word in place of the run's own uuid, and with text as keys."""
    if isinstance(value, str):
        return value.replace(uuid, "UUID") if uuid else value
    if isinstance(value, Mapping):
        return {str(key): _without_uuid(item, uuid) for key, item in value.items()}
    return (
        [_without_uuid(item, uuid) for item in value] if isinstance(value, list | tuple) else value
    )
