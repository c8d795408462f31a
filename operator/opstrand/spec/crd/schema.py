"""Convert models to the structural schema of a custom resource.

Owns what the API server knows of a section. Every object preserves unknown fields: a closed object
would drop a misspelled key silently for clients that do not request strict validation, whereas the
operator refuses it. A field that may hold a template instead of a number or an object has no type:
the server would refuse the template. Must not know the resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from opstrand.spec.kubernetes.keys import VERSION
from opstrand.spec.kubernetes.parts import known_keys
from opstrand.spec.problems import written_keys
from opstrand.spec.shape import Shape, fields_of

Schema = dict[str, Any]
OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}
OPEN_OBJECT: Schema = {"type": "object", **OPEN}
#: No file has more items. Without a bound, the server would estimate every rule as too costly.
MAX_ITEMS = 1000
_SCALARS = {"text": "string", "whole": "integer", "number": "number", "flag": "boolean"}
#: A section below this depth is an open object: the operator validates it, and the CRD stays small.
_DEPTH = 3


def section_schema(model: type[BaseModel], *, depth: int = _DEPTH) -> Schema:
    """The schema of one section, which names its keys and is open for others."""
    if depth == 0:
        return dict(OPEN_OBJECT)
    properties = {
        key: field_schema(shape, info, depth=depth)
        for key, (shape, info) in fields_of(model).items()
    }
    return {**OPEN_OBJECT, "properties": properties}


def field_schema(shape: Shape, info: FieldInfo, *, depth: int = _DEPTH) -> Schema:
    schema = shape_schema(shape, depth)
    return {"description": info.description, **schema} if info.description else schema


def shape_schema(shape: Shape, depth: int) -> Schema:
    if shape.kind == "whole" and shape.accepts_template:
        return {"x-kubernetes-int-or-string": True}
    if shape.kind in ("any", "either") or (
        shape.accepts_template and shape.kind not in ("text", "choice")
    ):
        return dict(OPEN)
    return _plain_schema(shape, depth)


def _plain_schema(shape: Shape, depth: int) -> Schema:
    if shape.kind in _SCALARS:
        bound = {"minimum": shape.minimum} if shape.minimum is not None else {}
        return {"type": _SCALARS[shape.kind], **bound}
    if shape.kind == "choice":
        return (
            {"type": "string"}
            if shape.accepts_template
            else {"type": "string", "enum": list(shape.choices)}
        )
    if shape.kind == "list":
        items = shape_schema(shape.items, depth - 1) if shape.items else dict(OPEN)
        return {"type": "array", "maxItems": MAX_ITEMS, "items": items}
    if shape.kind == "section" and shape.section is not None:
        return section_schema(shape.section, depth=depth - 1)
    return object_schema(keys_of(shape))


def object_schema(keys: Mapping[str, str]) -> Schema:
    """An open object that names its keys, each with its description.

    A rule compares only the keys that are named; it would not notice that another was renamed.
    """
    named = {key: _described(text, OPEN) for key, text in keys.items()}
    return {**OPEN_OBJECT, **({"properties": named} if named else {})}


def _described(text: str, schema: Schema) -> Schema:
    return {"description": text, **schema} if text else dict(schema)


def keys_of(shape: Shape) -> dict[str, str]:
    """The keys that an object of this shape can have, in any of its kinds, with what each means."""
    if shape.section is not None:
        return _keys_of_section(shape.section)
    if shape.by_kind is not None:
        members = shape.by_kind.members().values()
        found = {
            key: text
            for member in reversed([*members])
            for key, text in _keys_of_section(member).items()
        }
        return dict(sorted(found.items()))
    if not shape.kubernetes:
        return {}
    name = shape.kubernetes
    return {key: f"As in Kubernetes {VERSION}: {name}.{key}" for key in known_keys()[name]}


def _keys_of_section(section: type[BaseModel]) -> dict[str, str]:
    described = {key: info.description or "" for key, (_, info) in fields_of(section).items()}
    return {key: described.get(key, "") for key in written_keys(section)}


def accepting_null(properties: Mapping[str, Schema]) -> dict[str, Schema]:
    """The same keys, each of which accepts null too: in a polyaxonfile null is a value that removes
    what a component sets.
    """
    return {key: _accepting_null(schema) for key, schema in properties.items()}


def _accepting_null(schema: Schema) -> Schema:
    changed = (
        {**schema, "nullable": True}
        if "type" in schema or "x-kubernetes-int-or-string" in schema
        else dict(schema)
    )
    if "enum" in changed:
        changed["enum"] = [*changed["enum"], None]
    if "properties" in changed:
        changed["properties"] = accepting_null(changed["properties"])
    return changed
