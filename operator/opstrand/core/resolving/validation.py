"""Validate values beyond their type (`validation:` and `options:` of a declaration).

Owns the meaning of every rule: for lists and dictionaries, the rules on values hold for each item,
those on size and keys for the whole. Must not convert. A rule that cannot hold for a kind of value
(a length of a number) refuses it; the package crashes there.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from opstrand.core.resolving.parts import Parts, TooManySteps
from opstrand.core.templates.template import Evaluate, EvaluationFailed, refuse
from opstrand.core.values.equality import equality_key
from opstrand.core.values.safe import is_too_deep
from opstrand.errors import SpecError
from opstrand.spec.io import IO, Validation
from opstrand.text import shorten

_Test = Callable[[Any], bool]


class _Unfit(Exception):
    """The rule does not apply to such a value."""


class _Broken(Exception):
    """The rule itself is wrong."""


def validate(value: Any, io: IO, path: str = "", *, evaluate: Evaluate = refuse) -> None:
    """Raise SpecError ParamValidation for a wrong value, InvalidSpec for an invalid rule."""
    make_validator(io).check(value, path, evaluate)


def make_validator(io: IO) -> Validator:
    """Prepare the rules of a declaration once for all its values."""
    written = io.validation or (Validation() if io.options is not None else None)
    if written is None:
        return Validator()
    rules = [
        _Rule(make(wanted), f"must {words} {shorten(repr(wanted), 120)}")
        for name, (make, words) in _RULES.items()
        if (wanted := getattr(written, name)) is not None
    ]
    if io.options is not None:
        rules.append(
            _Rule(_make_option_test(io.options), f"must be one of {shorten(repr(io.options), 200)}")
        )
    return Validator(written, tuple(rules))


@dataclass(frozen=True)
class _Rule:
    """A rule on one value.

    `holds` raises _Unfit or _Broken if it cannot decide; `words` describes the rule in messages.
    """

    holds: _Test
    words: str


@dataclass(frozen=True)
class Validator:
    """The rules for the values of one declaration."""

    written: Validation | None = None
    rules: tuple[_Rule, ...] = ()

    def check(self, value: Any, path: str = "", evaluate: Evaluate = refuse) -> None:
        """Raise SpecError for a value that breaks a rule, or for an invalid rule."""
        if self.written is None:
            return
        _check_whole(value, self.written, path)
        costly: list[str] = []
        pattern = self.written.regex
        rules = self.rules if pattern is None else (*self.rules, _make_regex_rule(pattern, costly))
        for item in _list_items(value):
            for rule in rules:
                _apply(rule, item, path)
        if costly and pattern is not None:
            _check_costly(costly, pattern, path, evaluate)


def _list_items(value: Any) -> list[Any]:
    """Return the values that rules apply to: those in a list or a mapping, or the value itself."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [
            inner
            for item in value
            for inner in (_list_items(item) if isinstance(item, list) else [item])
        ]
    return [value]


def _check_whole(value: Any, rules: Validation, path: str) -> None:
    if not isinstance(value, list | Mapping):
        return
    if rules.min_items is not None and len(value) < rules.min_items:
        raise _break(f"has {len(value)} items, at least {rules.min_items} are wanted", path)
    if rules.max_items is not None and len(value) > rules.max_items:
        raise _break(f"has {len(value)} items, at most {rules.max_items} are wanted", path)
    if isinstance(value, Mapping):
        _check_keys(set(value), rules, path)


def _check_keys(keys: set[str], rules: Validation, path: str) -> None:
    if rules.keys is not None and keys != set(rules.keys):
        raise _break(
            f"has the keys {_list_sorted(keys)}, exactly {_list_sorted(rules.keys)} are wanted",
            path,
        )
    missing = set(rules.contains_keys or ()) - keys
    if missing:
        raise _break(f"misses the keys {_list_sorted(missing)}", path)
    forbidden = set(rules.excludes_keys or ()) & keys
    if forbidden:
        raise _break(f"has the forbidden keys {_list_sorted(forbidden)}", path)


def _list_sorted(keys: Iterable[str]) -> str:
    return shorten(str(sorted(keys)), 400)


def _apply(rule: _Rule, item: Any, path: str) -> None:
    words = rule.words
    try:
        if rule.holds(item):
            return
    except _Broken as error:
        raise _call_broken(words, error, path) from None
    except TooManySteps:
        raise SpecError(
            "TooLarge",
            f"the rule '{words}' compares more texts than are compared for one value",
            path,
        ) from None
    except _Unfit as error:
        words = f"{words}, which needs {error}"
    raise _break(f"{shorten(repr(item), 120)} {words}", path)


def _call_broken(words: str, error: Exception, path: str) -> SpecError:
    return SpecError("InvalidSpec", f"the rule '{words}' is none: {error}", path)


def _break(message: str, path: str) -> SpecError:
    return SpecError("ParamValidation", message, path)


def _number(value: Any) -> Fraction:
    """Return the exact number: 0.3 is three tenths, however floats are stored."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit("a number")
    return Fraction(repr(value))


def _bound(value: Any) -> Fraction:
    try:
        number = float(value) if isinstance(value, str) else value
        if isinstance(number, int | float) and not isinstance(number, bool):
            return Fraction(repr(number))
    except ValueError:
        pass
    raise _Broken(f"{shorten(repr(value), 60)} is no number")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unfit("a text")
    return value


def _digits(value: Any) -> int:
    _number(value)
    return sum(char.isdigit() for char in format(Decimal(repr(value)), "f"))


def _places(value: Any) -> int:
    _number(value)
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


# --- one function for each rule: from what is wanted, made ready once, to the test of a value -----


def _compare(holds: Callable[[Fraction, Fraction], bool]) -> Callable[[Any], _Test]:
    def make(wanted: Any) -> _Test:
        bound = cache(lambda: _bound(wanted))
        return lambda value: holds(_number(value), bound())

    return make


def _count(
    measure: Callable[[Any], int], holds: Callable[[int, int], bool]
) -> Callable[[Any], _Test]:
    return lambda wanted: lambda value: holds(measure(value), wanted)


def _make_multiple_test(factor: Any) -> _Test:
    bound = cache(lambda: _bound(factor))

    def is_multiple(value: Any) -> bool:
        if not factor:
            raise _Broken("nothing is a multiple of 0")
        return _number(value) % bound() == 0

    return is_multiple


def _make_contains_test(wanted: Any) -> _Test:
    parts = Parts(_list_parts(wanted))
    return lambda value: parts.are_all_in(_text(value))


def _make_excludes_test(unwanted: Any) -> _Test:
    parts = Parts(_list_parts(unwanted))
    return lambda value: not parts.is_any_in(_text(value))


def _list_parts(wanted: Any) -> list[str]:
    return [str(part) for part in (wanted if isinstance(wanted, list) else [wanted])]


def _make_option_test(options: Any) -> _Test:
    if isinstance(options, str):
        return lambda value: isinstance(value, str) and value in options
    keys = cache(
        lambda: frozenset(equality_key(option) for option in options if not is_too_deep(option))
    )

    def is_option(value: Any) -> bool:
        if not isinstance(options, list):
            raise _Broken("options are a list")
        return equality_key(value) in keys()

    return is_option


_RULES: dict[str, tuple[Callable[[Any], _Test], str]] = {
    "gt": (_compare(operator.gt), "be greater than"),
    "ge": (_compare(operator.ge), "be greater than or equal to"),
    "lt": (_compare(operator.lt), "be less than"),
    "le": (_compare(operator.le), "be less than or equal to"),
    "multiple_of": (_make_multiple_test, "be a multiple of"),
    "min_digits": (_count(_digits, operator.ge), "have at least so many digits:"),
    "max_digits": (_count(_digits, operator.le), "have at most so many digits:"),
    "decimal_places": (_count(_places, operator.le), "have at most so many decimal places:"),
    "min_length": (_count(lambda value: len(_text(value)), operator.ge), "be at least so long:"),
    "max_length": (_count(lambda value: len(_text(value)), operator.le), "be at most so long:"),
    "contains": (_make_contains_test, "contain"),
    "excludes": (_make_excludes_test, "not contain"),
    "options": (_make_option_test, "be one of"),
}

# --- regexes --------------------------------------------------------------------------------------

_COSTLY = re.compile(r"\)[*+?{]|\\[1-9]|\(\?P=|\(\?\(")
_REPEAT = re.compile(r"(?<!\()[*+?{]")
#: Longer patterns are left to the evaluator, and so are texts on which the choices of a regex take
#: more steps than this.
_LONGEST_PATTERN, _LONGEST_TEXT, _STEPS = 500, 1000, 30_000
#: The number of texts that are passed to the evaluator at once.
_CHUNK = 500
_FIRST_MISMATCH = "{{ (texts | reject('matching', pattern) | list)[:1] }}"


def is_cheap(pattern: str, text: str) -> bool:
    """Return whether a regex cannot take long on a text.

    It must have few repetitions, none of them of a group, and few choices in groups; the text must
    be short.
    """
    if len(pattern) > _LONGEST_PATTERN or len(text) > _LONGEST_TEXT:
        return False
    choices = _count_choices(pattern)
    return choices is not None and len(text) ** choices <= _STEPS


@lru_cache(maxsize=64)
def _count_choices(pattern: str) -> int | None:
    """Return the number of places where a regex has a choice.

    None if there are too many, or if they multiply.
    """
    choices = len(_REPEAT.findall(pattern)) + (pattern.count("|") if "(" in pattern else 0)
    return choices if choices <= 2 and not _COSTLY.search(pattern) else None


def _make_regex_rule(pattern: str, costly: list[str]) -> _Rule:
    """Make the rule of a regex that can be tried here.

    Texts on which it could take long are collected in `costly`.
    """

    def holds(value: Any) -> bool:
        text = _text(value)
        if not is_cheap(pattern, text):
            costly.append(text)
            return True
        try:
            return re.match(pattern, text) is not None
        except (re.error, RecursionError, OverflowError) as error:
            raise _Broken(str(error)) from None

    return _Rule(holds, _regex_words(pattern))


def _regex_words(pattern: str) -> str:
    return f"must match the regex {shorten(repr(pattern), 200)}"


def _check_costly(texts: list[str], pattern: str, path: str, evaluate: Evaluate) -> None:
    """Try a regex that could take long, within the evaluator's limits."""
    for start in range(0, len(texts), _CHUNK):
        try:
            found = evaluate(
                _FIRST_MISMATCH, {"texts": texts[start : start + _CHUNK], "pattern": pattern}
            )
        except EvaluationFailed as error:
            raise _call_broken(_regex_words(pattern), error, path) from None
        except SpecError as error:
            raise error.within(path) from None
        if found:
            raise _break(f"{shorten(repr(found[0]), 120)} {_regex_words(pattern)}", path)
