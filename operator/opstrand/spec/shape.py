"""What each field of the format may hold, read from the models, for patches, `explain` and
the CRDs.

Owns the translation of annotations into a few plain kinds of shapes. Must not validate: the models
do.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from opstrand.spec.kubernetes.parts import Kubernetes
from opstrand.spec.scalars import OR_TEMPLATE, Accepts
from opstrand.spec.section import ByKind, Later

Kind = Literal[
    "text",
    "whole",
    "number",
    "flag",
    "choice",
    "list",
    "mapping",
    "section",
    "kinds",
    "kubernetes",
    "any",
    "either",
]
_SCALARS: dict[Any, Kind] = {str: "text", int: "whole", float: "number", bool: "flag", Any: "any"}


@dataclass(frozen=True)
class Shape:
    """What a value may be.

    `items` is the shape of a list's items or a mapping's values; `section` the model of a section.
    """

    kind: Kind
    section: type[BaseModel] | None = None
    items: Shape | None = None
    choices: tuple[str, ...] = ()
    by_kind: ByKind | None = None
    kubernetes: str = ""
    options: tuple[Shape, ...] = ()
    accepts_template: bool = False
    minimum: float | None = None
    words: str = ""

    def for_value(self, value: Any) -> type[BaseModel] | None:
        """The section that validates a value of this shape, if there is one."""
        if self.section is not None:
            return self.section
        if self.by_kind is not None and isinstance(value, Mapping):
            return self.by_kind.members().get(str(value.get("kind")))
        return None


@cache
def fields_of(model: type[BaseModel]) -> dict[str, tuple[Shape, FieldInfo]]:
    """The keys of a section as written -> (shape, field)."""
    return {
        info.alias or name: (_of_field(info), info) for name, info in model.model_fields.items()
    }


def _of_field(info: FieldInfo) -> Shape:
    annotation: Any = info.annotation
    for extra in info.metadata:
        annotation = Annotated[annotation, extra]
    return shape_of(annotation)


def shape_of(annotation: Any) -> Shape:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _with_markers(shape_of(args[0]), args[1:])
    if origin in (Union, types.UnionType):
        options = [shape_of(arg) for arg in args if arg is not type(None)]
        return options[0] if len(options) == 1 else Shape("either", options=tuple(options))
    if origin is Literal:
        return Shape("choice", choices=tuple(map(str, args)))
    if origin in (list, dict):
        return Shape("list" if origin is list else "mapping", items=shape_of(args[-1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Shape("section", section=annotation)
    return Shape(_SCALARS.get(annotation, "any"))


def _with_markers(shape: Shape, markers: tuple[Any, ...]) -> Shape:
    for marker in markers:
        if marker is OR_TEMPLATE:
            shape = replace(shape, accepts_template=True)
        elif isinstance(marker, Accepts):
            shape = replace(shape, words=marker.words)
        elif isinstance(marker, ByKind):
            shape = replace(shape, kind="kinds", by_kind=marker)
        elif isinstance(marker, Later):
            shape = replace(shape, kind="section", section=marker.section())
        elif isinstance(marker, Kubernetes):
            shape = replace(shape, kind="kubernetes", kubernetes=marker.name, items=None)
        else:
            shape = _with_bounds(shape, marker)
    return shape


def _with_bounds(shape: Shape, marker: Any) -> Shape:
    for constraint in getattr(marker, "metadata", ()) or (marker,):
        if (low := getattr(constraint, "ge", None)) is not None:
            shape = replace(shape, minimum=low)
        elif (low := getattr(constraint, "gt", None)) is not None:
            shape = replace(shape, minimum=low + 1)
    return shape
