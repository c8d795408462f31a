"""The errors of a section in our own words, at the path where each occurs.

A validation error gets its message where it occurs, in the validator of the section: only there are
the valid keys known. The validators further out only prepend to the path. Must not know which
sections there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from opstrand.errors import MAX_PROBLEMS, REASONS
from opstrand.spec.respelling import CONTEXT, Path, Respelling, Value, find_key, find_whole
from opstrand.text import find_nearest, shorten

Handler = Callable[[Any], Any]
#: No section has as many keys; a mapping with more is not checked key by key.
MAX_KEYS = 200
#: The number of alternatives that a message lists.
_LISTED = 12


def written_keys(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


@dataclass(frozen=True)
class _Found:
    """One problem of a section, and its likely correction.

    `expected` and `found` are the two halves of the message about a value of the wrong type.
    """

    path: Path
    reason: str
    message: str
    expected: str = ""
    found: str = ""
    respelling: Respelling | None = None

    @property
    def error(self) -> PydanticCustomError:
        context: dict[str, Any] = (
            {_EXPECTED_HALF: self.expected, _FOUND_HALF: self.found} if self.expected else {}
        )
        if self.respelling is not None:
            context[CONTEXT] = self.respelling
        return PydanticCustomError(cast(Any, self.reason), cast(Any, self.message), context or None)


#: The context keys of an error for the halves of its message. The blanks prevent pydantic from
#: substituting them into a message.
_EXPECTED_HALF, _FOUND_HALF = " expected ", " found "


def fail(reason: str, message: str) -> PydanticCustomError:
    """For validators to raise: a problem that keeps its reason and message.

    The path is added by the enclosing sections.
    """
    return PydanticCustomError(cast(Any, reason), cast(Any, message))


def fail_at(problems: Iterable[tuple[Path, str, str]], data: Any) -> ValidationError:
    """For validators to raise: several problems, each (path from here, reason, message)."""
    return _raise(itertools.starmap(_Found, problems), data)


def _raise(problems: Iterable[_Found], data: Any) -> ValidationError:
    details = [InitErrorDetails(type=one.error, loc=one.path, input=data) for one in problems]
    return ValidationError.from_exception_data("section", details)


def propose(expected: str, found: Any, meant: Any) -> PydanticCustomError:
    """For validators to raise: a value of the wrong type that can mean only one thing."""
    return _misfit((), expected, describe(found), Value(meant)).error


def run_validator(model: type[BaseModel], data: Any, handler: Handler) -> Any:
    """The result of `handler`; its errors get our messages."""
    if isinstance(data, Mapping) and len(data) > MAX_KEYS:
        known = written_keys(model)
        unknown = [str(key) for key in data if key not in known]
        raise fail_at(
            [((key,), "UnknownField", unknown_key(key, known)) for key in unknown[:MAX_PROBLEMS]],
            data,
        )
    try:
        return handler(data)
    except ValidationError as error:
        found = error.errors(include_url=False)[:MAX_PROBLEMS]
        raise _raise(
            _merge_alternatives(_read_error(model, e, data) for e in found), data
        ) from None


def _real_path(error: Any, data: Any) -> Path:
    """The path of an error in the data: where a value may have one of several types, pydantic
    inserts the name of the type into the path.
    """
    path: list[str | int] = []
    is_there = True
    for step in error["loc"]:
        is_there = (
            step in data
            if isinstance(data, Mapping)
            else isinstance(data, (list, tuple)) and step in range(len(data))
        )
        if is_there:
            data = data[step]
            path.append(step)
    is_missed = (
        not is_there
        and isinstance(data, Mapping)
        and (error["type"] == "missing" or error["type"] in REASONS)
    )
    return (*path, error["loc"][-1]) if is_missed else tuple(path)


def _merge_alternatives(problems: Iterable[_Found]) -> list[_Found]:
    """One problem for each path: a value that fits none of several types gets one message that
    names them all; a problem inside the value replaces that message.
    """
    merged: dict[Path, _Found] = {}
    for one in problems:
        earlier = merged.get(one.path)
        if earlier is not None and earlier.expected and one.expected and earlier.found == one.found:
            meant = one.respelling or earlier.respelling
            expected = f"{earlier.expected} or {one.expected}"
            merged[one.path] = _misfit(one.path, expected, one.found, meant)
        else:
            merged[one.path] = one
    deeper = {path[:end] for path in merged for end in range(len(path))}
    return [one for path, one in merged.items() if path not in deeper or not one.expected]


def _misfit(path: Path, expected: str, found: str, meant: Respelling | None = None) -> _Found:
    return _Found(
        path, "InvalidSpec", f"expected {expected}, found {found}", expected, found, meant
    )


def _read_error(model: type[BaseModel], error: Any, data: Any) -> _Found:
    kind, path, value = str(error["type"]), _real_path(error, data), error["input"]
    if kind in REASONS:
        context = error.get("ctx") or {}
        halves = context.get(_EXPECTED_HALF, ""), context.get(_FOUND_HALF, "")
        return _Found(path, kind, error["msg"], *halves, context.get(CONTEXT))
    if kind == "extra_forbidden":
        return _refuse_key(path, str(error["loc"][-1]), written_keys(model), data)
    if kind == "literal_error":
        return _misfit(path, *_not_one_of(error))
    if kind in _EXPECTED:
        meant = find_whole(value) if kind in _WHOLE_ERRORS and isinstance(value, float) else None
        return _misfit(path, _EXPECTED[kind], describe(value), meant)
    return _Found(path, "InvalidSpec", _message(kind, error))


def _refuse_key(path: Path, key: str, known: list[str], data: Any) -> _Found:
    meant = find_key(key, known)
    if meant and meant.name in data:
        message = (
            f"'{key}' is another spelling of '{meant.name}', which is there too; leave one of them "
            "out"
        )
        return _Found(path, "InvalidSpec", message)
    return _Found(path, "UnknownField", unknown_key(key, known), respelling=meant)


def _message(kind: str, error: Any) -> str:
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, found {describe(error['input'])}"


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence about a key that does not exist, with the nearest one that does."""
    names = list(known)
    near = find_nearest(key, names)
    if near:
        return f"unknown key '{key}'; did you mean '{near}'?"
    shown = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    return f"unknown key '{key}'; known are: {shown}"


def _not_one_of(error: Any) -> tuple[str, str]:
    """The expected and the found half of the message."""
    words = error["ctx"]["expected"].replace(" or ", ", ").split(", ")
    shown = ", ".join(words[:_LISTED]) + (", …" if len(words) > _LISTED else "")
    found = describe(error["input"])
    near = (
        find_nearest(error["input"], [word.strip("'") for word in words])
        if isinstance(error["input"], str)
        else None
    )
    return f"one of {shown}", found + (f"; did you mean '{near}'?" if near else "")


_WHOLE_ERRORS = ("int_type", "int_parsing", "int_from_float")
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "a number above 0",
    "too_short": "at least one",
}


def describe(value: Any) -> str:
    """A value for an error message: its type, then its shortened text."""
    if value is None or isinstance(value, bool):
        return {None: "nothing (null)", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text {shorten(repr(value), 60)}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, (Mapping, list, tuple)):
        return _describe_collection(value)
    return f"a {type(value).__name__}"


def _describe_collection(value: Mapping[Any, Any] | Sequence[Any]) -> str:
    if isinstance(value, Mapping):
        return (
            f"a mapping ({shorten(', '.join(map(str, list(value)[:4])), 60)})"
            if value
            else "an empty mapping"
        )
    return f"a list of {len(value)}" if value else "an empty list"
