"""Evaluate one template with the full template language over plain values.

Owns the Jinja environment: the immutable sandbox, what an unknown name does (testing it is fine,
using it is an error), the filter `map_format`, the type of a result, and which pieces of a text an
expression printed. Pure, but not bounded: it is only called where memory and time are
(`opstrand.controller.template_worker`). Must never use `NativeEnvironment`: it reads text as
Python, so that "1" becomes 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.environment import TemplateExpression

from opstrand.core.templates.environment import (
    LAZY,
    UnknownName,
    guard,
    make_environment,
    print_value,
)
from opstrand.core.templates.lookups import RAW
from opstrand.core.templates.template import EvaluationFailed
from opstrand.core.templates.traced import Piece, TracedText
from opstrand.core.values.safe import Mismatch, check_text, make_safe

TOO_MUCH = "it takes too much memory"
_NOT_FINITE = "a number in it is infinite, or not a number"


_LISTS: tuple[type[Iterable[Any]], ...] = (list, *LAZY)
#: The recursion stops at this depth; `make_safe` refuses what is deeper.
_DEPTH = 50


class _Printed(str):
    """What an expression printed outside of every block that collects text.

    Its str() is itself, so that a template yields it unchanged.
    """

    def __str__(self) -> _Printed:
        return self


#: A filter name that no template can write.
_PRINTED = "printed by an expression"


@jinja2.pass_context  # never evaluated while compiling: the context is not known then
def _mark_printed(context: jinja2.runtime.Context, value: Any) -> Any:
    value = print_value(value)
    return value if isinstance(value, jinja2.Undefined) else _Printed(str(value))


_ENVIRONMENT = make_environment()
_ENVIRONMENT.filters[_PRINTED] = _mark_printed


def evaluate(source: str, values: Mapping[str, Any]) -> Any:
    """Return the JSON value of a template: typed if it is one expression, else text.

    Raises EvaluationFailed for every error.
    """
    result = evaluate_traced(source, values)
    return str(result) if isinstance(result, TracedText) else result


def evaluate_traced(source: str, values: Mapping[str, Any]) -> Any:
    """Evaluate a template, and return a text that is not one expression as TracedText.

    The trace separates what expressions print from what the author wrote.
    """
    try:
        return _evaluate(source, values)
    except EvaluationFailed:
        raise
    except UnknownName as error:
        raise EvaluationFailed(error.message or "a name is unknown", error.name) from None
    except jinja2.TemplateSyntaxError as error:
        raise EvaluationFailed(f"{error.message or type(error).__name__} ({RAW})") from None
    except jinja2.TemplateError as error:
        raise EvaluationFailed(f"{error.message or type(error).__name__}") from None
    except Mismatch as error:
        raise EvaluationFailed(f"its result cannot be kept: {error}") from None
    except MemoryError:
        raise EvaluationFailed(TOO_MUCH, out_of_memory=True) from None
    except RecursionError:
        raise EvaluationFailed("it is nested too deeply") from None
    except NameError:  # inf and nan are names in the code that Jinja generates
        raise EvaluationFailed(_NOT_FINITE) from None
    except Exception as error:
        raise EvaluationFailed(f"{type(error).__name__}: {error}") from None


def _evaluate(source: str, values: Mapping[str, Any]) -> Any:
    """Return the value of the template, or raise what the template language raises."""
    protected, restore = _protect_line_ends(source)
    template = _compile_cached(protected) if len(protected) <= _CACHED else _compile(protected)
    if isinstance(template, TemplateExpression):
        return restore(_finish(template(values)))
    chunks = template.generate(values)
    text = TracedText.of_pieces(
        Piece(restore(str.__str__(chunk)), isinstance(chunk, _Printed)) for chunk in chunks
    )
    check_text(str(text))
    return text


#: Longer texts (whole files) are compiled each time: caching them would use up the memory limit of
#: templates.
_CACHED = 2000


@lru_cache(maxsize=256)
def _compile_cached(source: str) -> jinja2.Template | TemplateExpression:
    return _compile(source)


def _compile(source: str) -> jinja2.Template | TemplateExpression:
    """Return the compiled template, or the compiled expression if the template is nothing else."""
    tree = guard(_ENVIRONMENT.parse(source))
    match tree.body:
        case [nodes.Output(nodes=[expression])] if not isinstance(expression, nodes.TemplateData):
            assign = nodes.Assign(nodes.Name("result", "store", lineno=1), expression, lineno=1)
            body = nodes.Template([assign], lineno=1)
            return TemplateExpression(_ENVIRONMENT.from_string(body), undefined_to_none=False)
        case _:
            tree.body = _mark_outputs(tree.body)
            return _ENVIRONMENT.from_string(tree)


#: Statements that write nothing themselves.
_SILENT = (
    nodes.Assign,
    nodes.AssignBlock,
    nodes.Macro,
    nodes.ExprStmt,
    nodes.Import,
    nodes.FromImport,
)
_COLLECTED = "opstrand_collected"


def _mark_outputs(body: list[nodes.Node]) -> list[nodes.Node]:
    """Return the statements with every expression that prints into the result marked.

    What a block collects (a filter block, a macro's call, a recursive loop) mixes printed and
    written text: it counts as printed.
    """
    return [marked for node in body for marked in _mark_statement(node)]


def _mark_statement(node: nodes.Node) -> list[nodes.Node]:
    match node:
        case nodes.Output():
            node.nodes = [
                one if isinstance(one, nodes.TemplateData) else _mark(one) for one in node.nodes
            ]
        case nodes.If():
            node.body, node.else_ = _mark_outputs(node.body), _mark_outputs(node.else_)
            node.elif_ = [
                one
                for branch in node.elif_
                for one in _mark_statement(branch)
                if isinstance(one, nodes.If)
            ]
        case nodes.For(recursive=False):
            node.body, node.else_ = _mark_outputs(node.body), _mark_outputs(node.else_)
        case nodes.With():
            node.body = _mark_outputs(node.body)
        case _ if not isinstance(node, _SILENT):
            collect = nodes.AssignBlock(nodes.Name(_COLLECTED, "store"), None, [node])
            print_it = nodes.Output([_mark(nodes.Name(_COLLECTED, "load"))])
            return [
                one.set_lineno(node.lineno).set_environment(_ENVIRONMENT)
                for one in (collect, print_it)
            ]
        case _:
            pass
    return [node]


def _mark(expression: nodes.Expr) -> nodes.Expr:
    marked = nodes.Filter(expression, _PRINTED, [], [], None, None)
    marked.set_lineno(expression.lineno).set_environment(_ENVIRONMENT)
    return marked


def _finish(result: Any, depth: int = 0) -> Any:
    """Turn a template's result into a value.

    Lazy results are listed, marked text becomes text, a float stays a float.
    """
    if isinstance(result, jinja2.Undefined):
        return str(
            result
        )  # raises for an unknown name; an `if` without an `else` gives "", as in a text
    if isinstance(result, float) and not math.isfinite(result):
        raise Mismatch(_NOT_FINITE)
    if isinstance(result, str):
        return check_text(str(result))
    if isinstance(result, Mapping) and depth < _DEPTH:
        return {str(key): _finish(item, depth + 1) for key, item in result.items()}
    if isinstance(result, _LISTS) and depth < _DEPTH:
        return [_finish(item, depth + 1) for item in result]
    return result if isinstance(result, float) else make_safe(result)


def _protect_line_ends(source: str) -> tuple[str, Any]:
    r"""Protect `\r\n`, which the template engine turns into `\n`: a file's bytes must stay.

    A separator character that the source does not use stands in for `\r`.
    """
    spare = next((blank for blank in "\x1f\x1e\x1d\x1c" if blank not in source), None)
    if "\r" not in source or spare is None:
        return source, lambda result: result
    return source.replace(
        "\r", spare
    ), lambda result: result.replace(spare, "\r") if isinstance(result, str) else result
