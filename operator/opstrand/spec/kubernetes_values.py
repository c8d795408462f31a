"""The values of Kubernetes objects inside a polyaxonfile, after rendering: whole numbers, flags, quantities, and keys that must be there.

Owns what can be said of a value by its key alone. Unlike `kubernetes_parts`, which judges shapes while templates may still stand anywhere,
this judges what would be sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from opstrand.spec.kubernetes_keys import VALUES
from opstrand.spec.kubernetes_parts import Fault, find_faults, known_keys
from opstrand.spec.section import describe

_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")


@cache
def known_values() -> dict[str, dict[str, tuple[str, bool]]]:
    """Object -> key -> (what its value is, whether it must be there), for keys of which there is something to say."""
    objects: dict[str, dict[str, tuple[str, bool]]] = {}
    for line in VALUES.splitlines():
        words = line.split()
        fields = objects[list(objects)[-1]] if line.startswith(" ") else objects.setdefault(words.pop(0), {})
        for word in words:
            key, _, kind = word.partition("=")
            fields[key.rstrip("!")] = (kind, key.endswith("!"))
    return objects


def find_wrong_values(kind: str, value: Any) -> Iterator[Fault]:
    """Everything in a rendered object that Kubernetes would refuse by type: shapes, then values, each with its path from here."""
    shapes = list(find_faults(kind, value))
    yield from shapes
    if not shapes:
        yield from _judge(kind, value, ())


def is_quantity(value: Any) -> bool:
    """Whether Kubernetes reads it as an amount: `500m`, `1Gi`, `2`, 0.5."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (isinstance(value, str) and bool(_QUANTITY.fullmatch(value)))


def _judge(kind: str, value: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if value is None or not kind:
        return
    if kind.endswith("[]"):
        for index, item in enumerate(value):
            yield from _judge(kind.removesuffix("[]"), item, (*path, index))
    elif kind.endswith("{}"):
        for key, item in value.items():
            yield from _judge(kind.removesuffix("{}"), item, (*path, key))
    else:
        yield from _judge_object(kind, value, path)


def _judge_object(kind: str, value: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Fault]:
    rules = known_values().get(kind, {})
    yield from (((*path, key), "InvalidSpec", "is required") for key, (_, required) in rules.items() if required and value.get(key) is None)
    for key, inner in value.items():
        what = known_keys()[kind].get(key, "")
        if what.rstrip("[]{}"):
            yield from _judge(what, inner, (*path, key))
            continue
        scalar = rules.get(key, ("", False))[0]
        for where, item in _scalars(what, inner, (*path, key)):
            message = _complain(scalar, item)
            if message:
                yield where, "InvalidSpec", message


def _scalars(what: str, value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
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
            right, expected = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        case "boolean":
            right, expected = isinstance(value, bool), "true or false"
        case "quantity":
            right, expected = is_quantity(value), "a quantity such as 500m, 2 or 1Gi"
        case "port":
            right, expected = isinstance(value, int | str) and not isinstance(value, bool), "a port or its name"
        case _:
            right, expected = isinstance(value, str), "text"
    return None if right else f"expected {expected}, found {describe(value)}"
