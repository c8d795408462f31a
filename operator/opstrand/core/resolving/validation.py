"""What a value must satisfy beyond its type (`validation:` and `options:` of a declaration).

Owns the meaning of every rule: for lists and dictionaries the rules on values hold for each item, those on size and keys for the whole.
Must not convert. A rule that cannot hold for a kind of value (a length of a number) refuses it; the package crashes there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from opstrand.core.limits import shorten
from opstrand.core.templates.template import Evaluate, EvaluationFailed, refuse
from opstrand.errors import SpecError
from opstrand.spec.io import IO, Validation

_Rule = Callable[[Any, Any], bool]


class _Unfit(Exception):
    """The rule says nothing about such a value."""


class _Broken(Exception):
    """The rule itself is wrong."""


def validate(value: Any, io: IO, path: str = "", *, evaluate: Evaluate = refuse) -> None:
    """SpecError ParamValidation if a value that is there breaks a rule, InvalidSpec if a rule is no rule."""
    rules = io.validation or (Validation() if io.options is not None else None)
    if rules is None:
        return
    _check_whole(value, rules, path)
    for item in _list_items(value):
        _check_item(item, rules, io, path, evaluate)


def _list_items(value: Any) -> list[Any]:
    """The values that rules are about: those inside a list or a dictionary, or the value itself."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [inner for item in value for inner in (_list_items(item) if isinstance(item, list) else [item])]
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
        raise _break(f"has the keys {sorted(keys)}, exactly {sorted(rules.keys)} are wanted", path)
    missing = set(rules.contains_keys or ()) - keys
    if missing:
        raise _break(f"misses the keys {sorted(missing)}", path)
    forbidden = set(rules.excludes_keys or ()) & keys
    if forbidden:
        raise _break(f"has the forbidden keys {sorted(forbidden)}", path)


def _check_item(item: Any, rules: Validation, io: IO, path: str, evaluate: Evaluate) -> None:
    for name, (rule, words) in _RULES.items():
        wanted = getattr(rules, name)
        if wanted is not None:
            _apply(rule, item, wanted, f"must {words} {shorten(repr(wanted), 120)}", path)
    if rules.regex is not None:
        _apply(lambda v, w: matches(v, w, evaluate), item, rules.regex, f"must match the regex {rules.regex!r}", path)
    if io.options is not None:
        _apply(_is_option, item, io.options, f"must be one of {shorten(repr(io.options), 200)}", path)


def _apply(rule: _Rule, item: Any, wanted: Any, words: str, path: str) -> None:
    try:
        if rule(item, wanted):
            return
    except _Broken as error:
        raise SpecError("InvalidSpec", f"the rule '{words}' is none: {error}", path) from None
    except SpecError as error:
        raise error.within(path) from None
    except _Unfit as error:
        words = f"{words}, which needs {error}"
    raise _break(f"{shorten(repr(item), 120)} {words}", path)


def _break(message: str, path: str) -> SpecError:
    return SpecError("ParamValidation", message, path)


def _number(value: Any) -> Fraction:
    """The exact number: 0.3 is three tenths, so that a rule does not see how floats are stored."""
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


def _is_multiple(value: Any, factor: Any) -> bool:
    if not factor:
        raise _Broken("nothing is a multiple of 0")
    return _number(value) % _bound(factor) == 0


def _digits(value: Any) -> int:
    _number(value)
    return sum(char.isdigit() for char in format(Decimal(repr(value)), "f"))


def _places(value: Any) -> int:
    _number(value)
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _contains(value: Any, wanted: Any) -> bool:
    text = _text(value)
    return all(str(part) in text for part in (wanted if isinstance(wanted, list) else [wanted]))


def _excludes(value: Any, unwanted: Any) -> bool:
    text = _text(value)
    return not any(str(part) in text for part in (unwanted if isinstance(unwanted, list) else [unwanted]))


def _is_option(value: Any, options: Any) -> bool:
    if isinstance(options, str):
        return isinstance(value, str) and value in options
    if not isinstance(options, list):
        raise _Broken("options are a list")
    return value in options


_RULES: dict[str, tuple[_Rule, str]] = {
    "gt": (lambda v, w: _number(v) > _bound(w), "be greater than"),
    "ge": (lambda v, w: _number(v) >= _bound(w), "be greater than or equal to"),
    "lt": (lambda v, w: _number(v) < _bound(w), "be less than"),
    "le": (lambda v, w: _number(v) <= _bound(w), "be less than or equal to"),
    "multiple_of": (_is_multiple, "be a multiple of"),
    "min_digits": (lambda v, w: _digits(v) >= w, "have at least so many digits:"),
    "max_digits": (lambda v, w: _digits(v) <= w, "have at most so many digits:"),
    "decimal_places": (lambda v, w: _places(v) <= w, "have at most so many decimal places:"),
    "min_length": (lambda v, w: len(_text(v)) >= w, "be at least so long:"),
    "max_length": (lambda v, w: len(_text(v)) <= w, "be at most so long:"),
    "contains": (_contains, "contain"),
    "excludes": (_excludes, "not contain"),
    "options": (_is_option, "be one of"),
}

_COSTLY = re.compile(r"\)[*+?{]|\\[1-9]|\(\?P=|\(\?\(")
_REPEAT = re.compile(r"(?<!\()[*+?{]")


def is_cheap(pattern: str, text: str) -> bool:
    """Whether a regex cannot take long on a text: few repetitions, none of a group, few choices in groups, on a short text."""
    choices = len(_REPEAT.findall(pattern)) + (pattern.count("|") if "(" in pattern else 0)
    return len(pattern) <= 500 and len(text) <= 1000 and choices <= 2 and not _COSTLY.search(pattern)


def matches(value: Any, pattern: str, evaluate: Evaluate = refuse) -> bool:
    """Whether a text matches from its start. A regex that could take long is left to the evaluator's limits."""
    text = _text(value)
    if not is_cheap(pattern, text):
        try:
            return bool(evaluate("{{ text is matching(pattern) }}", {"text": text, "pattern": pattern}))
        except EvaluationFailed as error:
            raise _Broken(error.message) from None
    try:
        return re.match(pattern, text) is not None
    except (re.error, RecursionError, OverflowError) as error:
        raise _Broken(str(error)) from None
