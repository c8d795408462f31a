"""The space of values that a matrix gives to one param, in its written forms.

Owns the kinds, their numbers (`start`, `stop`, `step`, ...) and their validation.
`core.pipelines.spaces` knows which values a space contains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from opstrand.spec.problems import describe, fail, fail_at
from opstrand.spec.scalars import Accepts, is_template
from opstrand.spec.section import Section

_DATE: TypeAdapter[date] = TypeAdapter(date)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(datetime)
_SPAN: TypeAdapter[timedelta] = TypeAdapter(timedelta)


@dataclass(frozen=True)
class Form:
    """The numbers of one kind of space, in the order in which a list or `a:b:c` gives them.

    `is_drawn`: values are drawn at random and cannot be listed.
    """

    keys: tuple[str, ...]
    optional: tuple[str, ...] = ()
    is_drawn: bool = False
    input_types: tuple[str, ...] = ("int", "float")

    @property
    def is_ordered(self) -> bool:
        return self.keys[:2] == ("start", "stop")


FORMS: Mapping[str, Form] = {
    "range": Form(("start", "stop", "step")),
    "daterange": Form(("start", "stop", "step"), input_types=("date",)),
    "datetimerange": Form(("start", "stop", "step"), input_types=("datetime",)),
    "linspace": Form(("start", "stop", "num")),
    "logspace": Form(("start", "stop", "num"), ("base",)),
    "geomspace": Form(("start", "stop", "num")),
    "uniform": Form(("low", "high"), ("size",), is_drawn=True),
    "quniform": Form(("low", "high", "q"), ("size",), is_drawn=True),
    "loguniform": Form(("low", "high"), ("size",), is_drawn=True),
    "qloguniform": Form(("low", "high", "q"), ("size",), is_drawn=True),
    "normal": Form(("loc", "scale"), ("size",), is_drawn=True),
    "qnormal": Form(("loc", "scale", "q"), ("size",), is_drawn=True),
    "lognormal": Form(("loc", "scale"), ("size",), is_drawn=True),
    "qlognormal": Form(("loc", "scale", "q"), ("size",), is_drawn=True),
}
Kind = Literal[
    "choice",
    "pchoice",
    "range",
    "daterange",
    "datetimerange",
    "linspace",
    "logspace",
    "geomspace",
    "uniform",
    "quniform",
    "loguniform",
    "qloguniform",
    "normal",
    "qnormal",
    "lognormal",
    "qlognormal",
]


class Space(Section):
    """Values that a param can have: a `kind`, and its numbers as a mapping, a list or `a:b:c`."""

    kind: Kind = Field(description="The kind of the space.", examples=["choice", "uniform"])
    value: Annotated[Any, Accepts("list, mapping, or text such as 0:1:0.1")] = Field(
        description="The values of a choice, or the numbers of the space.",
        examples=[[1, 2], "0:1:0.1", {"low": 0, "high": 1}],
    )

    @classmethod
    def _spread(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "ref" in data:
            # A rule of the documentation: a matrix makes its own values, so its params have no
            # `ref`.
            message = (
                "a matrix' param cannot have a `ref`; give a param of the operation the ref instead"
            )
            raise fail_at([(("ref",), "RefInvalid", message)], data)
        return data

    @model_validator(mode="after")
    def _validate(self) -> Space:
        if not is_template(self.value):
            try:
                self.contents()
            except ValueError as error:
                raise fail("InvalidSpec", f"{self.kind}: {error}") from None
        return self

    @property
    def is_drawn(self) -> bool:
        """Whether the values are drawn at random and cannot be listed."""
        return self.kind == "pchoice" or (self.kind in FORMS and FORMS[self.kind].is_drawn)

    def contents(self) -> list[Any]:
        """The values of a choice, the [value, probability] pairs of a pchoice, else the numbers in
        the order of the form.
        """
        if self.kind == "choice":
            return list(_a_list(self.value))
        if self.kind == "pchoice":
            return _pairs(self.value)
        return _numbers(self.kind, self.value)


def _a_list(value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list of values, found {describe(value)}")
    return value


def _pairs(value: Any) -> list[Any]:
    pairs = []
    for pair in _a_list(value):
        if not (
            isinstance(pair, (list, tuple))
            and len(pair) == 2
            and isinstance(pair[1], float)
            and 0 <= pair[1] < 1
        ):
            raise ValueError(
                f"expected pairs [value, probability from 0 to 1], found {describe(pair)}"
            )
        pairs.append(list(pair))
    total = math.fsum(probability for _, probability in pairs)
    if not pairs or total > 1 + 1e-9:
        raise ValueError(f"the probabilities must sum to at most 1, found {total:g}")
    return pairs


def _numbers(kind: str, value: Any) -> list[Any]:
    form = FORMS[kind]
    words = _spread(form, value)
    if len(words) < len(form.keys):
        raise ValueError(f"needs {', '.join(form.keys)}; found {len(words)} of {len(form.keys)}")
    names = (*form.keys, *form.optional)
    numbers = [_convert(kind, name, word) for name, word in zip(names, words, strict=False)]
    _validate_order(form, numbers)
    return numbers


def _spread(form: Form, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in form.keys + form.optional]
        if unknown:
            raise ValueError(
                f"unknown key '{unknown[0]}'; known are: {', '.join(form.keys + form.optional)}"
            )
        missing = [key for key in form.keys if key not in value]
        if missing:
            raise ValueError(f"'{missing[0]}' is required")
        return [value[key] for key in (*form.keys, *form.optional) if key in value]
    if isinstance(value, str) and form.input_types == ("int", "float"):
        return value.split(":")
    return list(_a_list(value))


def _convert(kind: str, name: str, word: Any) -> Any:
    try:
        if kind == "daterange" and name != "step":
            return _DATE.validate_python(word)
        if kind == "datetimerange":
            return _SPAN.validate_python(word) if name == "step" else _MOMENT.validate_python(word)
        return _number(name, word)
    except ValueError:
        raise ValueError(f"'{name}' has no such value: {describe(word)}") from None


def _number(name: str, word: Any) -> float | int:
    if isinstance(word, bool) or not isinstance(word, (int, float, str)):
        raise ValueError
    number = float(word)
    if not math.isfinite(number):
        raise ValueError
    if name in ("num", "base", "size") or (name == "step" and isinstance(word, int)):
        if number != int(number):
            raise ValueError
        return int(number)
    return number


def _validate_order(form: Form, numbers: list[Any]) -> None:
    if form.is_ordered and not numbers[0] < numbers[1]:
        raise ValueError(f"'stop' must be above 'start', found {numbers[0]} and {numbers[1]}")
    last = dict(zip(form.keys, numbers, strict=False))
    for name in ("step", "num", "q"):
        if name in last and last[name] <= type(last[name])(0):
            raise ValueError(f"'{name}' must be above 0, found {last[name]}")
    if last.get("num", 0) > MAX_POINTS:
        raise ValueError(f"'num' may be at most {MAX_POINTS:,}, found {last['num']:,}")


#: A matrix makes one run of each point; a larger number is a mistake in the file.
MAX_POINTS = 100_000
