"""What every section of a polyaxonfile has in common: strict keys, camelCase outside, templates in place of values, good errors.

Owns the base class, the scalar types, the choice by `kind`, and the words of a schema error. Must not know any one section.

A validation error is put into words where it happens, while the section's own class is at hand: only there is it known which keys
would have been right. Outside, pydantic only adds the path. Sections build their validators on first use, so that a job never pays for
the matrix.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Strict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from opstrand.errors import MAX_PROBLEMS, REASONS

Handler = Callable[[Any], Any]
#: No section has as many keys; what has more is not gone through key by key.
MAX_KEYS = 200
#: Of what there is to choose from, so many are shown.
_LISTED = 12


def is_template(value: object) -> bool:
    """Whether a value is text that is rendered later, so that nothing can be said about its type yet."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


class Section(BaseModel):
    """A mapping of the format: every documented key, and no other."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="wrap")
    @classmethod
    def _speak(cls, data: Any, handler: Handler) -> Any:
        return put_into_words(cls, cls._spread(data), handler)

    @classmethod
    def _spread(cls, data: Any) -> Any:
        """What was written in a short form as the mapping that it stands for."""
        return data


def written_keys(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


# -- errors ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """One problem of a section. `expected` and `found`: the two halves of its message, where it is about a value of the wrong type."""

    path: tuple[str | int, ...]
    reason: str
    message: str
    expected: str = ""
    found: str = ""

    def raised(self, data: Any) -> InitErrorDetails:
        halves = {_EXPECTED_HALF: self.expected, _FOUND_HALF: self.found} if self.expected else None
        return InitErrorDetails(
            type=PydanticCustomError(cast(Any, self.reason), cast(Any, self.message), halves), loc=self.path, input=data
        )


#: Where an error keeps the halves of its message on its way out. The blanks keep pydantic from filling them into any text.
_EXPECTED_HALF, _FOUND_HALF = " expected ", " found "


def fail(reason: str, message: str) -> PydanticCustomError:
    """To be raised in a validator: a problem that keeps its reason and words. The path is added on the way out."""
    return PydanticCustomError(cast(Any, reason), cast(Any, message))


def fail_at(problems: Iterable[tuple[tuple[str | int, ...], str, str]], data: Any) -> ValidationError:
    """To be raised in a validator: several problems, each (path from here, reason, message)."""
    return _raise(itertools.starmap(_Found, problems), data)


def _raise(problems: Iterable[_Found], data: Any) -> ValidationError:
    return ValidationError.from_exception_data("section", [one.raised(data) for one in problems])


def put_into_words(model: type[Section], data: Any, handler: Handler) -> Any:
    """What `handler` makes of the data; its errors in our words."""
    if isinstance(data, Mapping) and len(data) > MAX_KEYS:
        known = written_keys(model)
        unknown = [str(key) for key in data if key not in known]
        raise fail_at([((key,), "UnknownField", unknown_key(key, known)) for key in unknown[:MAX_PROBLEMS]], data)
    try:
        return handler(data)
    except ValidationError as error:
        found = error.errors(include_url=False)[:MAX_PROBLEMS]
        raise _raise(_meet_alternatives(_read_error(model, e, _real_path(e, data)) for e in found), data) from None


def _real_path(error: Any, data: Any) -> tuple[str | int, ...]:
    """An error's place in the data: where a value may be one of several types, pydantic puts the type's name between."""
    path: list[str | int] = []
    is_there = True
    for step in error["loc"]:
        is_there = step in data if isinstance(data, Mapping) else isinstance(data, (list, tuple)) and step in range(len(data))
        if is_there:
            data = data[step]
            path.append(step)
    is_missed = not is_there and isinstance(data, Mapping) and (error["type"] == "missing" or error["type"] in REASONS)
    return (*path, error["loc"][-1]) if is_missed else tuple(path)


def _meet_alternatives(problems: Iterable[_Found]) -> list[_Found]:
    """One problem for each place: what fits none of several types is told with all of them, or with what is wrong inside the nearest."""
    met: dict[tuple[str | int, ...], _Found] = {}
    for one in problems:
        earlier = met.get(one.path)
        if earlier is not None and earlier.expected and one.expected and earlier.found == one.found:
            one = _misfit(one.path, f"{earlier.expected} or {one.expected}", one.found)
        met[one.path] = one
    deeper = {path[:end] for path in met for end in range(len(path))}
    return [one for path, one in met.items() if path not in deeper or not one.expected]


def _misfit(path: tuple[str | int, ...], expected: str, found: str) -> _Found:
    return _Found(path, "InvalidSpec", f"expected {expected}, found {found}", expected, found)


def _read_error(model: type[Section], error: Any, path: tuple[str | int, ...]) -> _Found:
    kind: str = error["type"]
    if kind in REASONS:
        halves = error.get("ctx") or {}
        return _Found(path, kind, error["msg"], halves.get(_EXPECTED_HALF, ""), halves.get(_FOUND_HALF, ""))
    if kind == "extra_forbidden":
        return _Found(path, "UnknownField", unknown_key(str(error["loc"][-1]), written_keys(model)))
    if kind == "literal_error":
        return _misfit(path, *_not_one_of(error))
    if kind in _EXPECTED:
        return _misfit(path, _EXPECTED[kind], describe(error["input"]))
    return _Found(path, "InvalidSpec", _message(kind, error))


def _message(kind: str, error: Any) -> str:
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, found {describe(error['input'])}"


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence about a key that does not exist, with the nearest one that does."""
    names = list(known)
    near = nearest(key, names)
    if near:
        return f"unknown key '{key}'; did you mean '{near}'?"
    shown = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    return f"unknown key '{key}'; known are: {shown}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a person most likely meant, or None. Case and underscores weigh nothing."""
    folded = {_fold(name): name for name in known}
    match = difflib.get_close_matches(_fold(word[:80]), folded, n=1, cutoff=0.7)
    return folded[match[0]] if match else None


def _fold(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


def _not_one_of(error: Any) -> tuple[str, str]:
    """What was expected and what was found."""
    words = error["ctx"]["expected"].replace(" or ", ", ").split(", ")
    shown = ", ".join(words[:_LISTED]) + (", …" if len(words) > _LISTED else "")
    found = describe(error["input"])
    near = nearest(error["input"], [word.strip("'") for word in words]) if isinstance(error["input"], str) else None
    return f"one of {shown}", found + (f"; did you mean '{near}'?" if near else "")


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
    """A value as an error shows it: what it is, then itself, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "nothing (null)", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text {_shorten(repr(value))}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, (Mapping, list, tuple)):
        return _describe_collection(value)
    return f"a {type(value).__name__}"


def _describe_collection(value: Mapping[Any, Any] | Sequence[Any]) -> str:
    if isinstance(value, Mapping):
        return f"a mapping ({_shorten(', '.join(map(str, list(value)[:4])))})" if value else "an empty mapping"
    return f"a list of {len(value)}" if value else "an empty list"


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


# -- markers --------------------------------------------------------------------------------------------------------


class _OrTemplate:
    """The annotated type, or text with a template in it, which is judged after rendering."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_pass_templates, handler(source))


def _pass_templates(value: Any, handler: Handler) -> Any:
    return value if is_template(value) else handler(value)


OR_TEMPLATE = _OrTemplate()


@dataclass(frozen=True)
class Takes:
    """Says in words what a validator of ours takes, where the annotated type alone does not."""

    words: str


@dataclass(frozen=True)
class ByKind:
    """One of several sections, told apart by `kind`.

    The members are given as a function: they are built only when a file has one.
    """

    what: str
    members: Callable[[], Mapping[str, type[Section]]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.choose)

    def choose(self, data: Any) -> Section:
        members = self.members()
        if isinstance(data, Section) and type(data) in members.values():
            return data
        if not isinstance(data, Mapping):
            raise fail("InvalidSpec", f"expected a mapping with a `kind`, found {describe(data)}")
        kind = data.get("kind")
        if not isinstance(kind, str) or kind not in members:
            raise fail_at([(("kind",), "InvalidSpec", self._complain(kind, members))], data)
        return members[kind].model_validate(data)

    def _complain(self, kind: Any, members: Mapping[str, type[Section]]) -> str:
        known = ", ".join(members)
        if kind is None:
            return f"{self.what} needs a kind: {known}"
        near = nearest(kind, members) if isinstance(kind, str) else None
        hint = f"; did you mean '{near}'?" if near else ""
        return f"expected a kind of {self.what} ({known}), found {describe(kind)}{hint}"


# -- scalar types ---------------------------------------------------------------------------------------------------

Text = Annotated[str, Strict()]
Whole = Annotated[int, Strict(), OR_TEMPLATE]
Number = Annotated[float, OR_TEMPLATE]
Flag = Annotated[bool, OR_TEMPLATE]
Texts = Annotated[list[Text], OR_TEMPLATE]


@dataclass(frozen=True)
class Later:
    """A section whose class is imported on first use, since it holds the section that names it."""

    section: Callable[[], type[Section]]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(lambda value: self.section().model_validate(value))
