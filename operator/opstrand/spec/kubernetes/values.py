"""Validate the rendered values of Kubernetes objects inside a polyaxonfile: numbers, flags,
quantities, enumerations, required keys.

Owns the checks that need only the key of a value, and calls `rules` for all others. Unlike `parts`,
which checks shapes while any value may still be a template, this module checks what would be sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from opstrand.spec.kubernetes.enums import ENUMS
from opstrand.spec.kubernetes.keys import VALUES
from opstrand.spec.kubernetes.names import parse_quantity
from opstrand.spec.kubernetes.parts import Fault, find_faults, known_keys
from opstrand.spec.kubernetes.rules import find_broken_rules
from opstrand.spec.kubernetes.rules.checks import check_one_of
from opstrand.spec.problems import describe

#: Required keys whose value may be an empty text.
_MAY_BE_EMPTY = frozenset(
    {("HTTPHeader", "value"), ("Sysctl", "value"), ("GlusterfsVolumeSource", "path")}
)
#: Keys for which Kubernetes replaces an empty text by its default.
_EMPTY_IS_DEFAULT = frozenset(
    {
        ("Container", "imagePullPolicy"),
        ("Container", "terminationMessagePolicy"),
        ("ContainerPort", "protocol"),
        ("HTTPGetAction", "scheme"),
        ("ImageVolumeSource", "pullPolicy"),
        ("PodSpec", "dnsPolicy"),
        ("Toleration", "effect"),
        ("Toleration", "operator"),
    }
)


@cache
def known_values() -> dict[str, dict[str, tuple[str, bool]]]:
    """Object -> key -> (kind of scalar, whether it is required), for the keys in `keys.VALUES`."""
    objects: dict[str, dict[str, tuple[str, bool]]] = {}
    for line in VALUES.splitlines():
        words = line.split()
        fields = (
            objects[list(objects)[-1]]
            if line.startswith(" ")
            else objects.setdefault(words.pop(0), {})
        )
        for word in words:
            key, _, kind = word.partition("=")
            fields[key.rstrip("!")] = (kind, key.endswith("!"))
    return objects


@cache
def known_enums() -> dict[tuple[str, str], tuple[str, ...]]:
    """(object, key) -> the texts that the key accepts."""
    enums: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in ENUMS.splitlines():
        words = line.split()
        place = list(enums)[-1] if line.startswith(" ") else (words.pop(0), words.pop(0))
        enums[place] = (*enums.get(place, ()), *("" if word == "''" else word for word in words))
    return enums


def find_wrong_choice(kind: str, key: str, value: Any, *path: str | int) -> Iterator[Fault]:
    """A fault if the value of the key is none of those that Kubernetes accepts; nothing for a key
    that accepts any text.
    """
    allowed = known_enums().get((kind, key))
    if allowed and not (value == "" and (kind, key) in _EMPTY_IS_DEFAULT):
        yield from check_one_of(value, allowed, *path)


def find_wrong_values(kind: str, value: Any) -> Iterator[Fault]:
    """Everything in a rendered object that Kubernetes would refuse, each with its path from here:
    wrong shapes, or if there are none, wrong values and broken rules.
    """
    shapes = list(find_faults(kind, value))
    yield from shapes
    if not shapes:
        yield from _validate(kind, value, ())


def is_quantity(value: Any) -> bool:
    """Whether Kubernetes accepts it as a quantity: `500m`, `1Gi`, `2`, 0.5."""
    return parse_quantity(value) is not None


def _validate(kind: str, value: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if value is None or not kind:
        return
    if kind.endswith("[]"):
        for index, item in enumerate(value):
            yield from _validate(kind.removesuffix("[]"), item, (*path, index))
    elif kind.endswith("{}"):
        for key, item in value.items():
            yield from _validate(kind.removesuffix("{}"), item, (*path, key))
    else:
        yield from _validate_object(kind, value, path)


def _validate_object(
    kind: str, value: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[Fault]:
    rules = known_values().get(kind, {})
    for key in (key for key, (_, required) in rules.items() if required):
        if value.get(key) is None:
            yield (*path, key), "InvalidSpec", "is required"
        elif value[key] == "" and (kind, key) not in _MAY_BE_EMPTY:
            yield (*path, key), "InvalidSpec", "is required, found an empty text"
    for key, inner in value.items():
        what = known_keys()[kind].get(key, "")
        if what.rstrip("[]{}"):
            yield from _validate(what, inner, (*path, key))
            continue
        scalar = rules.get(key, ("", False))[0]
        for where, item in _scalars(what, inner, (*path, key)):
            message = _complain(scalar, item)
            if message:
                yield where, "InvalidSpec", message
            yield from find_wrong_choice(kind, key, item, *where)
    yield from (
        (path + below, reason, message) for below, reason, message in find_broken_rules(kind, value)
    )


def _scalars(
    what: str, value: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if what == "[]" and value is not None:
        yield from (((*path, index), item) for index, item in enumerate(value))
    elif what == "{}" and value is not None:
        yield from (((*path, key), item) for key, item in value.items())
    else:
        yield path, value


def _complain(scalar: str, value: Any) -> str | None:
    if value is None or scalar == "any":
        return None
    match scalar:
        case "integer":
            right, expected = (
                isinstance(value, int) and not isinstance(value, bool),
                "a whole number",
            )
        case "boolean":
            right, expected = isinstance(value, bool), "true or false"
        case "quantity":
            right, expected = is_quantity(value), "a quantity such as 500m, 2 or 1Gi"
        case "port":
            right, expected = (
                isinstance(value, int | str) and not isinstance(value, bool),
                "a port or its name",
            )
        case _:
            right, expected = isinstance(value, str), "text"
    return None if right else f"expected {expected}, found {describe(value)}"
