"""What a field of the format is, accepts and means, for `opstrand explain` and the reference page.

Owns reading the descriptions in the models, which are the only copy of that text. Must not know how
it is shown.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from opstrand.errors import SpecError
from opstrand.spec.kubernetes.keys import VERSION
from opstrand.spec.kubernetes.parts import known_keys
from opstrand.spec.kubernetes.values import known_values
from opstrand.spec.operation import Operation
from opstrand.spec.problems import unknown_key
from opstrand.spec.shape import Shape, fields_of, shape_of
from opstrand.text import find_nearest

_DEFAULT = re.compile(r"\bDefault: ([^;]+?)\.?(?:$|\. )")
_INDEX = re.compile(r"\[\d*\]")


@dataclass(frozen=True)
class FieldHelp:
    """The help on one field.

    `fields` are the keys that may follow in the path, in the order of the format, with a sentence
    each; empty below a plain value.
    """

    path: str
    type: str
    default: str
    meaning: str
    example: Any
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Place:
    shape: Shape
    meaning: str
    example: Any = None
    is_required: bool = False


def explain(path: str) -> FieldHelp:
    """The help on a field by its path from the root of an operation: `run.container.image`,
    `inputs.type`, `matrix.grid.params`.

    The path may be that of an error: list indexes are optional, and names given by the user are
    accepted (`params.lr.value`). Where a section has kinds, the name of a kind may stand in the
    path; without one, the first kind that has the key counts. The empty path is the operation.
    Raises SpecError UnknownField with the nearest key.
    """
    words = [word for word in _INDEX.sub("", path).split(".") if word]
    place = root()
    for index, word in enumerate(words):
        # `runPatch` has the keys of `run`.
        name = "run" if word == "runPatch" and index + 1 < len(words) else word
        found = _children(place.shape).get(name) or _item(place, name)
        if found is None:
            raise SpecError(
                "UnknownField", _complain(word, place.shape), ".".join(words[: index + 1])
            )
        place = found
    return _help(".".join(words), place)


def root() -> _Place:
    """The operation, with which every path begins."""
    return _Place(shape_of(Operation), inspect.getdoc(Operation) or "")


def iter_children(place: _Place, any_name: str) -> Iterator[tuple[str, _Place]]:
    """The keys that may follow in a path; `any_name` stands for a name that the user gives."""
    yield from _children(place.shape).items()
    item = _item(place, any_name)
    if item is not None:
        yield any_name, item


def _item(place: _Place, name: str) -> _Place | None:
    """The item that a name given by the user stands for, in a mapping or in a list whose items have
    names.
    """
    items = place.shape.items
    if items is None:
        return None
    if items.kind == "mapping":
        return _item(replace(place, shape=items), name)
    children = _children(items)
    if place.shape.kind == "list" and ("name" not in children or find_nearest(name, children)):
        return None
    return _Place(items, _first_line(items.section) if items.section else place.meaning)


def _complain(word: str, shape: Shape) -> str:
    children = _children(shape)
    return (
        unknown_key(word, children)
        if children
        else f"{describe_shape(shape)} has no keys, found '{word}'"
    )


def _help(path: str, place: _Place) -> FieldHelp:
    found = _DEFAULT.search(place.meaning)
    default = "required" if place.is_required else found.group(1) if found else ""
    fields = tuple((name, child.meaning) for name, child in _children(place.shape).items())
    return FieldHelp(
        path, describe_shape(place.shape), default, place.meaning, place.example, fields
    )


def describe_shape(shape: Shape) -> str:
    """A shape in words: `list of text`, `whole number or template`."""
    words = shape.words or _WORDS.get(shape.kind) or _compose(shape)
    return (
        f"{words} or template"
        if shape.accepts_template and shape.kind not in ("text", "kubernetes")
        else words
    )


def _describe_items(shape: Shape | None) -> str:
    """The items of a list or mapping.

    "or template" is left out for them: it is said once, of the whole.
    """
    if shape is None:
        return "anything"
    words = describe_shape(replace(shape, accepts_template=False))
    return f"({words})" if shape.kind in ("either", "choice") else words


_WORDS = {
    "text": "text",
    "whole": "whole number",
    "number": "number",
    "flag": "true or false",
    "any": "anything",
    "section": "mapping",
}


def _compose(shape: Shape) -> str:
    match shape.kind:
        case "choice":
            return " | ".join(shape.choices)
        case "list":
            return f"list of {_describe_items(shape.items)}"
        case "mapping":
            return f"mapping of names to {_describe_items(shape.items)}"
        case "kinds":
            return "mapping with a kind"
        case "either":
            return " or ".join(dict.fromkeys(map(describe_shape, shape.options)))
        case _:
            return f"Kubernetes {shape.kubernetes}"


def _children(shape: Shape) -> dict[str, _Place]:
    """The keys that may come next in a path.

    Lists and mappings have those of their items; a choice by kind has the names of the kinds and
    the keys of all of them.
    """
    if shape.items is not None:
        return _children(shape.items)
    if shape.section is not None:
        return _of_section(shape.section)
    if shape.by_kind is not None:
        return _of_kinds(shape)
    if shape.kubernetes:
        return _of_kubernetes(shape.kubernetes)
    return {name: place for option in shape.options for name, place in _children(option).items()}


def _of_section(section: type[BaseModel]) -> dict[str, _Place]:
    return {
        key: _Place(shape, info.description or "", (info.examples or [None])[0], info.is_required())
        for key, (shape, info) in fields_of(section).items()
    }


def _of_kinds(shape: Shape) -> dict[str, _Place]:
    assert shape.by_kind is not None
    children: dict[str, _Place] = {}
    members = shape.by_kind.members()
    for section in members.values():
        for key, place in _of_section(section).items():
            children.setdefault(key, place)
    kinds = {
        name: _Place(shape_of(section), _first_line(section)) for name, section in members.items()
    }
    kind = _Place(
        Shape("choice", choices=tuple(members)),
        children["kind"].meaning,
        next(iter(members)),
        is_required=True,
    )
    return {**kinds, **children, "kind": kind}


def _first_line(section: type[BaseModel]) -> str:
    return (inspect.getdoc(section) or "").partition("\n")[0]


def _of_kubernetes(name: str) -> dict[str, _Place]:
    children = {}
    for key, kind in known_keys()[name].items():
        scalar, is_required = known_values().get(name, {}).get(key, ("", False))
        bare = kind.rstrip("[]{}")
        inner = (
            Shape("kubernetes", kubernetes=bare)
            if bare
            else Shape("any", words=_SCALARS.get(scalar, scalar))
        )
        shape = (
            Shape("list", items=inner)
            if kind.endswith("[]")
            else Shape("mapping", items=inner)
            if kind.endswith("{}")
            else inner
        )
        children[key] = _Place(
            shape, f"As in Kubernetes {VERSION}: {name}.{key}", is_required=is_required
        )
    return children


#: The type of a scalar in `kubernetes/keys.py` -> the word shown for it.
_SCALARS = {
    "": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "port": "port or its name",
    "any": "anything",
}
