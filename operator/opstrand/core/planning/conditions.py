"""Evaluate whether a run starts at all: an operation's `conditions`, and its approval.

Owns what counts as true and false. Must not decide what becomes of a run that does not start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opstrand.core.templates.lookups import Undefined, is_template, look_up, parse_plain
from opstrand.core.templates.meter import Evaluate, Exhausted
from opstrand.core.templates.template import refuse, render_one
from opstrand.core.values.safe import Mismatch
from opstrand.core.values.scalars import parse_bool_word
from opstrand.errors import SpecError
from opstrand.text import shorten


def evaluate_condition(
    text: str, context: Mapping[str, Any], *, evaluate: Evaluate = refuse
) -> bool:
    """Return whether the conditions hold.

    The braces around an expression are optional, as the documentation says. Raises SpecError
    ConditionInvalid for a result that is neither true nor false, and TemplateError for what cannot
    be evaluated.
    """
    if is_template(text):
        _refuse_lone_undefined(text, context)
        return _validate(render_one(text, context, "conditions", evaluate=evaluate), text)
    try:
        return parse_bool_word(text)
    except Mismatch:
        return _validate(_evaluate_bare(text, context, evaluate), text, strict=True)


def _evaluate_bare(text: str, context: Mapping[str, Any], evaluate: Evaluate) -> Any:
    """Evaluate a condition without braces, such as `p > 0.1`."""
    if not text.strip() or text != text.strip():
        return text
    wrapped = f"{{{{ {text} }}}}"
    try:
        return render_one(wrapped, context, "conditions", evaluate=evaluate)
    except Exhausted:
        raise
    except SpecError as error:
        raise SpecError(
            "ConditionInvalid",
            f"{shorten(repr(text), 100)}: {error.problems[0].message}",
            "conditions",
        ) from None


def _refuse_lone_undefined(text: str, context: Mapping[str, Any]) -> None:
    """Refuse a condition that is only an unknown name.

    An unknown name within a larger expression stays the template's error.
    """
    plain = parse_plain(text)
    if plain is None or plain.lone is None or plain.lone.constant or plain.lone.steps:
        return
    try:
        look_up(plain.lone, context)
    except Undefined as error:
        raise SpecError(
            "ConditionInvalid",
            f"{shorten(repr(text), 100)}: there is no '{error.name}'",
            "conditions",
        ) from None


def _validate(value: Any, text: str, *, strict: bool = False) -> bool:
    if isinstance(value, bool):
        return value
    try:
        if not strict:
            return parse_bool_word(str(value))
    except Mismatch:
        pass
    message = f"{shorten(repr(text), 100)} gives {shorten(repr(value), 60)}, expected true or false"
    if not text.strip():
        # The published platform does not start such a run either.
        message = (
            "found an empty text, expected an expression that gives true or false; without the key "
            "the run always starts"
        )
    raise SpecError("ConditionInvalid", message, "conditions")


def evaluate_approval(value: Any) -> bool | None:
    """Return `isApproved` after rendering; None if it is not set."""
    if value is None or isinstance(value, bool):
        return value
    try:
        return parse_bool_word(str(value))
    except Mismatch:
        raise SpecError(
            "InvalidSpec", f"expected true or false, found {shorten(repr(value), 60)}", "isApproved"
        ) from None
