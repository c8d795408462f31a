"""Render templates in trees: every text is rendered once, and the result is never rendered again.

Owns what counts as a template, the type of its result (`"{{ expr }}"` alone keeps it, inside a
longer text it is text) and the message of a TemplateError. Must not evaluate more than look-ups
itself: filters, calls, loops and arithmetic go to an `Evaluate`, which the caller provides
(`opstrand.controller.template_worker`) and which bounds memory and time. It is passed down as
`evaluate=` from `resolve` and `compile_plan`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opstrand.core.templates.lookups import (
    Lookup,
    Plain,
    Undefined,
    find_names,
    is_template,
    look_up,
    parse_plain,
)
from opstrand.core.templates.meter import Evaluate, Exhausted, Meter, metered
from opstrand.core.templates.traced import Piece, TracedText, forget, pieces_of, trace
from opstrand.errors import MAX_PROBLEMS, Problem, SpecError
from opstrand.text import quote, suggest

__all__ = [
    "Evaluate",
    "EvaluationFailed",
    "View",
    "iter_texts",
    "refuse",
    "render",
    "render_one",
    "render_text",
]


class View(Mapping[str, Any]):
    """A mapping that a context computes when it is read, instead of beforehand."""

    @abstractmethod
    def as_plain(self) -> dict[str, Any]:
        """Return the equivalent dictionary of plain values."""


@dataclass(frozen=True)
class NotGiven:
    """Stands in a context for an unknown value.

    A text that reads it cannot be rendered here, but is not wrong.
    """

    reason: str
    message: str


class EvaluationFailed(Exception):
    """An evaluator's error for a template, with a `message` for a person.

    `undefined` is the unknown name, if that is the cause. `out_of_memory`: the evaluating process
    has reached its limit, and may still hold what the template made.
    """

    def __init__(
        self, message: str, undefined: str | None = None, *, out_of_memory: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.undefined = undefined
        self.out_of_memory = out_of_memory


def refuse(source: str, values: Mapping[str, Any]) -> Any:
    """Refuse everything beyond look-ups: the evaluator to use when there is none."""
    raise SpecError(
        "NotSupported",
        f"{quote(source, 100)} needs more than looking up a name, which is not available here",
    )


def render(
    value: Any,
    context: Mapping[str, Any],
    path: str = "",
    *,
    evaluate: Evaluate = refuse,
    traced: bool = False,
) -> Any:
    """Render every text and every key in `value` once.

    Raises SpecError TemplateError with the path of each wrong text. `traced`: rendered texts are
    TracedText, for what enters a language that interprets them.
    """
    problems: list[Problem] = []
    rendered = _render_tree(value, context, path, metered(evaluate), problems)
    if problems:
        raise SpecError.of(problems)
    return rendered if traced else forget(rendered)


def _render_tree(
    value: Any, context: Mapping[str, Any], path: str, evaluate: Evaluate, problems: list[Problem]
) -> Any:
    if len(problems) >= MAX_PROBLEMS:
        return None
    if isinstance(value, str):
        try:
            return _render_value(value, context, path, evaluate)
        except Exhausted:
            raise
        except SpecError as error:
            problems += error.problems
            return None
    if isinstance(value, Mapping):
        return _render_mapping(value, context, path, evaluate, problems)
    if isinstance(value, list | tuple):
        return [
            _render_tree(item, context, f"{path}[{index}]", evaluate, problems)
            for index, item in enumerate(value)
        ]
    return value


def _render_mapping(
    value: Mapping[str, Any],
    context: Mapping[str, Any],
    path: str,
    evaluate: Evaluate,
    problems: list[Problem],
) -> dict[str, Any]:
    rendered: dict[str, Any] = {}
    for key, item in value.items():
        where = f"{path}.{key}" if path else str(key)
        try:
            name = _render_key(key, context, where, evaluate)
        except Exhausted:
            raise
        except SpecError as error:
            problems += error.problems
            name = key
        if name in rendered:
            problems.append(
                Problem("TemplateError", f"two keys render to {quote(name, 100)}", where)
            )
        rendered[name] = _render_tree(item, context, where, evaluate, problems)
    return rendered


def _render_key(key: Any, context: Mapping[str, Any], path: str, evaluate: Evaluate) -> str:
    return (
        _as_text(_render(key, context, path, evaluate))
        if isinstance(key, str) and is_template(key)
        else str(key)
    )


def _render_value(text: str, context: Mapping[str, Any], path: str, evaluate: Evaluate) -> Any:
    return (
        _render(text.removesuffix("\n").removesuffix("\r"), context, path, evaluate)
        if is_template(text)
        else text
    )


def render_one(
    text: str,
    context: Mapping[str, Any],
    path: str = "",
    *,
    evaluate: Evaluate = refuse,
    traced: bool = False,
) -> Any:
    """Render one text.

    The result is a value if the text is one expression and nothing else, else a text.
    """
    rendered = _render_value(text, context, path, evaluate)
    return rendered if traced else forget(rendered)


def render_text(
    text: str, context: Mapping[str, Any], path: str = "", *, evaluate: Evaluate = refuse
) -> str:
    """Render one text that stays text to the last byte, its line ends and final newline too."""
    return str(_render(text, context, path, evaluate)) if is_template(text) else text


def _render(text: str, context: Mapping[str, Any], path: str, evaluate: Evaluate) -> Any:
    """Render one text; every text that an expression gave is traced.

    What an evaluator returns without a trace counts as printed.
    """
    evaluate = metered(evaluate)
    plain = parse_plain(text)
    try:
        if plain is None:
            value = evaluate(text, select(text, context))
        elif plain.lone is not None:
            value = unwrap(_find(plain.lone, context))
        else:
            return TracedText.of_pieces(_render_pieces(plain, context, path, evaluate.meter))
        evaluate.meter.charge(value, path)
        return trace(value)
    except Exhausted as error:
        raise (
            error
            if error.problems[0].path
            else Exhausted(error.reason, error.problems[0].message, path)
        ) from None
    except Undefined as error:
        raise SpecError("TemplateError", _explain(error), path) from None
    except EvaluationFailed as error:
        hint = suggest(error.undefined, context) if error.undefined else ""
        raise SpecError(
            "TemplateError", f"{quote(text, 100)}: {error.message}{hint}", path
        ) from None
    except SpecError as error:
        raise error if error.problems[0].path else error.within(path) from None


def _render_pieces(
    plain: Plain, context: Mapping[str, Any], path: str, meter: Meter
) -> Iterator[Piece]:
    """Yield the pieces of a text; stop with Exhausted at the first that is too much."""
    for one in plain.pieces:
        text = one if isinstance(one, str) else _as_text(trace(unwrap(_find(one, context))))
        meter.charge(text, path)
        yield from pieces_of(text)


def _as_text(value: Any) -> str:
    """Return a printed value as text, with its trace if it has one."""
    return value if isinstance(value, str) else TracedText.of_pieces([Piece(str(value), True)])


def _require(names: Iterable[Any], context: Mapping[str, Any]) -> None:
    """Raise SpecError for the first name whose value is unknown here."""
    for name in names:
        value = context.get(name)
        if isinstance(value, NotGiven):
            raise SpecError(value.reason, value.message)


def _find(lookup: Lookup, context: Mapping[str, Any]) -> Any:
    if not lookup.constant:
        _require([lookup.head], context)
    if lookup.is_private:
        raise EvaluationFailed("names that begin with an underscore are not for templates")
    return look_up(lookup, context)


def _explain(error: Undefined) -> str:
    if error.known is None:
        return f"'{error.owner}' has no part '{error.name}'"
    owner = f"'{error.owner}' has no" if error.owner else "there is no"
    return f"{owner} '{error.name}'{suggest(error.name, error.known)}"


def iter_texts(value: Any) -> Iterator[str]:
    """Yield every text that `render` would look at, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from iter_texts(key)
            yield from iter_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from iter_texts(item)


def select(text: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a context that a template may read, as plain values.

    So what is sent to an evaluator stays small.
    """
    names = find_names(text)
    _require(sorted(names.top), context)
    values = {name: unwrap(context[name]) for name in names.top if name in context}
    if "params" in context and (names.params or names.every):
        params = context["params"]
        values["params"] = (
            unwrap(params)
            if names.every
            else {n: unwrap(params[n]) for n in names.params if n in params}
        )
    return values


def unwrap(value: Any) -> Any:
    """Return a view (of params) as its dictionary; every other value as it is."""
    if isinstance(value, View):
        return value.as_plain()
    return value
