"""Whether a run starts at all: an operation's `conditions`, and its approval.

Owns what counts as yes and no. Must not decide what becomes of a run that does not start.
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
    text: str | None, context: Mapping[str, Any], *, evaluate: Evaluate = refuse
) -> bool | None:
    """Whether the conditions hold, or None without any. The braces around an expression are
    optional, as the documentation says.

    SpecError ConditionInvalid for what is neither yes nor no, TemplateError for what cannot be
    evaluated.
    """
    if text is None:
        return None
    if is_template(text):
        _refuse_lone_undefined(text, context)
        return _validate(render_one(text, context, "conditions", evaluate=evaluate), text)
    try:
        return parse_bool_word(text)
    except Mismatch:
        return _validate(_evaluate_bare(text, context, evaluate), text, strict=True)


def _evaluate_bare(text: str, context: Mapping[str, Any], evaluate: Evaluate) -> Any:
    """`p > 0.1`, written without braces."""
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
    """A condition that is one unknown name is no condition; a part of an unknown name stays the
    template's error.
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
    raise SpecError("ConditionInvalid", message, "conditions")


def evaluate_approval(value: Any) -> bool | None:
    """`isApproved` after rendering: None where nothing was said."""
    if value is None or isinstance(value, bool):
        return value
    try:
        return parse_bool_word(str(value))
    except Mismatch:
        raise SpecError(
            "InvalidSpec", f"expected true or false, found {shorten(repr(value), 60)}", "isApproved"
        ) from None
