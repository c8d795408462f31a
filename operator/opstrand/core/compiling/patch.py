"""Merge one part of a file over another with a patchStrategy.

Owns what each strategy does to a value of each shape, measured on the published package: sections
merge key by key, lists grow without duplicates, free mappings merge deeply, scalars are replaced or
kept. Must not know which parts are merged over which: `compile` does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from opstrand.spec.params import Param
from opstrand.spec.patch import Strategy
from opstrand.spec.shape import Shape, fields_of

_ANY = Shape("any")


def merge_over(
    model: type[BaseModel], base: Mapping[str, Any], patch: Mapping[str, Any], strategy: Strategy
) -> dict[str, Any]:
    """Return `base` with every key of `patch` merged over it, as `model` knows them."""
    result = dict(base)
    fields = fields_of(model)
    for key, value in patch.items():
        shape = fields[key][0] if key in fields else _ANY
        result[key] = _merge_value(shape, base.get(key), value, strategy)
    return result


def _merge_value(shape: Shape, base: Any, value: Any, strategy: Strategy) -> Any:
    if base is None:
        return value
    section = shape.for_value(base)
    if section is not None and isinstance(base, Mapping):
        return _merge_section(shape, section, base, value, strategy)
    if shape.kind == "kubernetes" and isinstance(base, Mapping):
        return _merge_object(base, value, strategy)
    if strategy == "replace":
        return value
    if strategy == "isnull" or (value is None and strategy == "pre_merge"):
        return base
    return None if value is None else _merge(shape, base, value, strategy)


def _merge_section(
    shape: Shape, section: type[BaseModel], base: Mapping[str, Any], value: Any, strategy: Strategy
) -> Any:
    """Merge a section key by key under every strategy; null is ignored.

    Of two different kinds, one is kept whole.
    """
    if value is None:
        return base
    if not isinstance(value, Mapping):
        return value if strategy in ("post_merge", "replace") else base
    if shape.by_kind is not None:
        if base.get("kind") != value.get("kind"):
            return value if strategy in ("post_merge", "replace") else base
        if strategy in ("replace", "isnull"):
            return value if strategy == "replace" else base
    return merge_over(section, base, value, strategy)


def _merge_object(base: Mapping[str, Any], value: Any, strategy: Strategy) -> Any:
    """Merge a Kubernetes object: its own keys one by one, null ignored.

    What is below a key is merged or replaced whole.
    """
    if not isinstance(value, Mapping):
        return value if value is not None and strategy in ("post_merge", "replace") else base
    result = dict(base)
    for key, inner in value.items():
        if inner is None:
            continue
        old = base.get(key)
        if old is None or strategy == "replace":
            result[key] = inner
        elif strategy != "isnull":
            result[key] = _merge(_ANY, old, inner, strategy)
    return result


def _merge(shape: Shape, base: Any, value: Any, strategy: Strategy) -> Any:
    first, second = (base, value) if strategy == "post_merge" else (value, base)
    if isinstance(base, list) and isinstance(value, list):
        known = set(map(_to_key, first))
        return [*first, *(item for item in second if _to_key(item) not in known)]
    if isinstance(base, Mapping) and isinstance(value, Mapping):
        if shape.items is not None and shape.items.section is Param:
            return {**first, **second}
        return _merge_deeply(first, second)
    return second


def _to_key(item: Any) -> str:
    """Return a key that is equal for equal items, whatever the order of their keys.

    So long lists are not compared item by item with each other.
    """
    return json.dumps(item, sort_keys=True)


def _merge_deeply(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        old = merged.get(key)
        merged[key] = (
            _merge_deeply(old, value)
            if isinstance(old, Mapping) and isinstance(value, Mapping)
            else value
        )
    return merged
