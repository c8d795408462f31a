"""The parts of a polyaxonfile that are Kubernetes objects: containers, volumes, affinity and the
like.

Owns the search for what Kubernetes would drop or refuse for its shape: unknown keys, snake_case, a
text in place of a list. Values stay as written, since a template may stand wherever Kubernetes
expects a number; the API server validates the rendered object. Must not import the `kubernetes`
package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Annotated, Any

from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from opstrand.errors import MAX_PROBLEMS
from opstrand.spec.kubernetes.keys import OBJECTS, VERSION
from opstrand.spec.problems import describe, fail, fail_at
from opstrand.spec.scalars import OR_TEMPLATE, is_template
from opstrand.text import find_nearest

Fault = tuple[tuple[str | int, ...], str, str]
#: Lists that may be written as their only item, as the published package accepts them. They are
#: rendered as lists of one item.
TEXT_FOR_LIST = frozenset({("Container", "command"), ("Container", "args")})


@cache
def known_keys() -> dict[str, dict[str, str]]:
    """Object -> key -> kind of its value, in the notation of `keys.OBJECTS`."""
    objects: dict[str, dict[str, str]] = {}
    for line in OBJECTS.splitlines():
        words = line.split()
        fields = (
            objects[list(objects)[-1]]
            if line.startswith(" ")
            else objects.setdefault(words.pop(0), {})
        )
        fields.update(map(_parse_field, words))
    return objects


def _parse_field(word: str) -> tuple[str, str]:
    key, _, kind = word.partition("=")
    bare = key.rstrip("[]{}")
    return bare, kind or key.removeprefix(bare)


@dataclass(frozen=True)
class Kubernetes:
    """Marks an open mapping that must have the shape of this Kubernetes object."""

    name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate_value)

    def validate_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise fail(
                "InvalidSpec",
                f"expected a Kubernetes {self.name} (a mapping), found {describe(value)}",
            )
        faults = list(islice(find_faults(self.name, value), MAX_PROBLEMS))
        if faults:
            raise fail_at(faults, value)
        return value


def find_faults(kind: str, value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Fault]:
    """Everything in `value` that does not have the shape of `kind`, which is in the notation of
    `keys.OBJECTS`.
    """
    if value is None or is_template(value) or not kind:
        return
    if kind.endswith("[]"):
        yield from _validate_list(kind.removesuffix("[]"), value, path)
    elif kind.endswith("{}"):
        yield from _validate_mapping(kind.removesuffix("{}"), value, path)
    elif not isinstance(value, Mapping):
        yield path, "InvalidSpec", f"expected a mapping, found {describe(value)}"
    else:
        fields = known_keys()[kind]
        for key, inner in value.items():
            if (kind, key) in TEXT_FOR_LIST and not isinstance(inner, Mapping | list | tuple):
                continue
            if key in fields:
                yield from find_faults(fields[key], inner, (*path, key))
            elif not is_template(key):
                yield (*path, key), "UnknownField", _unknown(kind, str(key), fields)


def _validate_list(item: str, value: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if not isinstance(value, (list, tuple)):
        yield path, "InvalidSpec", f"expected a list, found {describe(value)}"
        return
    for index, inner in enumerate(value):
        if item == "" and isinstance(inner, (Mapping, list)):
            yield (*path, index), "InvalidSpec", f"expected text, found {describe(inner)}"
        if item and inner is None:
            yield (*path, index), "InvalidSpec", "expected a mapping, found nothing (null)"
        yield from find_faults(item, inner, (*path, index))


def _validate_mapping(item: str, value: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield path, "InvalidSpec", f"expected a mapping, found {describe(value)}"
        return
    for key, inner in value.items():
        yield from find_faults(item, inner, (*path, key))


def _unknown(kind: str, key: str, fields: Mapping[str, str]) -> str:
    camel = to_camel(key)
    if "_" in key and camel in fields:
        return f"unknown key '{key}'; Kubernetes writes it '{camel}'"
    near = find_nearest(key, fields)
    if near:
        return f"unknown key '{key}' of a Kubernetes {kind}; did you mean '{near}'?"
    return f"unknown key '{key}': a {kind} of Kubernetes {VERSION} has no such key"


ContainerPart = Annotated[dict[str, Any], Kubernetes("Container"), OR_TEMPLATE]
VolumePart = Annotated[dict[str, Any], Kubernetes("Volume"), OR_TEMPLATE]
