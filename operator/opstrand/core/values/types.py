"""The types of inputs and outputs: which values they accept, and how they convert them.

Owns the one conversion of a value by its declaration. The kinds of types are in `scalars`,
`composites` and `hints`. Must not read params or declarations' other rules
(`core.resolving.validation`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opstrand.core.values.composites import COMPOSITES, convert_composite
from opstrand.core.values.hints import parse_hint
from opstrand.core.values.safe import Mismatch, make_safe, read_list, unstore
from opstrand.core.values.scalars import SCALARS
from opstrand.errors import SpecError
from opstrand.text import shorten, suggest

_Converter = Callable[[Any], Any]


def convert(value: Any, type_name: str | None, *, is_list: bool = False, path: str = "") -> Any:
    """Convert `value` to its declared type, safe for JSON. Raises SpecError ParamInvalid.

    Handle null before: types do not accept it. Texts are parsed as their type requires, whether
    they come from a command line or a file. Converting twice changes nothing.
    """
    try:
        if is_list:
            return [_convert_one(item, type_name) for item in read_list(value)]
        return _convert_one(value, type_name)
    except Mismatch as error:
        named = shorten(type_name or "a value", 60)
        wanted = f"a list of {named}" if is_list else named
        why = f": {error}" if str(error) else ""
        raise SpecError(
            "ParamInvalid", f"cannot read {shorten(repr(value), 120)} as {wanted}{why}", path
        ) from None


def _convert_one(value: Any, type_name: str | None) -> Any:
    if type_name is None or type_name == "any":
        return make_safe(value)
    if value is None:
        raise Mismatch("null is no such value")
    return _find_converter(type_name)(value)


def _find_converter(type_name: str) -> _Converter:
    scalar = SCALARS.get(type_name)
    if scalar is not None:
        return scalar
    if type_name in COMPOSITES:
        return lambda value: convert_composite(type_name, value)
    hint = parse_hint(type_name)
    if hint is not None:
        return hint
    raise Mismatch(complain_of_type(type_name))


def complain_of_type(type_name: str) -> str:
    """Return the message about a type that does not exist, with the nearest one that does."""
    return (
        "there is no type "
        f"'{shorten(type_name, 60)}'{suggest(type_name, [*SCALARS, *COMPOSITES, 'any'])}"
    )


def restore(value: Any, type_name: str | None, *, is_list: bool = False) -> Any:
    """Restore a value from a store, which writes 1.0 as 1.

    A value that no longer fits its type (a declaration changed, a person edited the status) stays
    as it is: the frozen value counts.
    """
    if value is None:
        return None
    value = unstore(value)
    try:
        return convert(value, type_name, is_list=is_list)
    except SpecError:
        return value


def to_text(value: Any) -> str:
    """Return a value as text, for env, `as_str` and labels.

    That is `true`, `0.5`, `null`, compact JSON for lists and dictionaries, a text as it is.
    """
    from_str = SCALARS["str"]
    return "null" if value is None else str(from_str(value))


def is_known(type_name: str | None) -> bool:
    """Return whether a type of this name exists."""
    try:
        return type_name is None or type_name == "any" or bool(_find_converter(type_name))
    except Mismatch:
        return False
