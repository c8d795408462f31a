"""A template prints values only: nothing that differs between processes, whatever filter, operator
or format makes the text.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.templates.environment import make_environment
from opstrand.core.templates.evaluation import evaluate
from opstrand.core.templates.template import EvaluationFailed

VALUES: dict[str, Any] = {"x": "text", "xs": ["a", "b"], "d": {"a": 1}, "n": 1}
#: The statements that are needed first, and the object: none of these is a value.
OBJECTS = {
    "a method": ("", "''.upper"),
    "a method of a value": ("", "x.upper"),
    "a method by its name": ("", "x['upper']"),
    "a method by a filter": ("", "(x | attr('upper'))"),
    "a method of a mapping": ("", "d.items"),
    "a method of a list": ("", "xs.index"),
    "a method of a number": ("", "n.bit_length"),
    "a method that formats": ("", "x.format"),
    "methods of items": ("", "(xs | map(attribute='upper'))"),
    "a list of methods": ("", "[x.upper]"),
    "a mapping of methods": ("", "{'a': x.upper}"),
    "a function": ("", "range"),
    "a class": ("", "dict"),
    "a namespace": ("", "namespace(a=1)"),
    "a namespace by name": ("{% set ns = namespace(a=1) %}", "ns"),
    "a cycler": ("", "cycler('a')"),
    "a cycler's method": ("", "cycler('a').next"),
    "a joiner": ("", "joiner(',')"),
    "a macro": ("{% macro m() %}a{% endmacro %}", "m"),
    "a macro's caller": ("{% macro m() %}{{ caller | string }}{% endmacro %}", "m"),
    "the template": ("", "self"),
    "a block": ("{% block b %}a{% endblock %}", "self.b"),
}
#: Generators have a text: that of the list that they make.
GENERATORS = [
    "(xs | map('upper'))",
    "(xs | select)",
    "(xs | batch(1))",
    "(xs | slice(1))",
    "(xs | reverse)",
    "(xs | unique)",
    "d.items()",
]
UNKNOWN = ["nope", "[nope]", "{'a': nope}", "d.nope"]
#: Expressions that make a text.
PRINTERS = [
    "{{ %s }}",
    "a{{ %s }}",
    "{{ %s | map_format('%%r') }}",
    "{{ %s | map_format('%%s') }}",
    "{{ %s | map_format('%%(a)r', 'a') }}",
    "{{ '%%r' | format(%s) }}",
    "{{ '%%s' | format(%s) }}",
    "{{ '%%r' %% [%s] }}",
    "{{ '%%(a)s' %% {'a': %s} }}",
    "{{ %s ~ '' }}",
    "{{ '' ~ [%s] }}",
    "{{ [%s] | join }}",
    "{{ [%s] | join('-') }}",
    "{{ %s | string }}",
    "{{ [%s] | string }}",
    "{{ %s | pprint }}",
    "{{ [%s] | pprint }}",
    "{{ %s | tojson }}",
    "{{ %s | e }}",
    "{{ %s | upper }}",
    "{{ %s | replace('a', 'b') }}",
    "{{ %s | indent }}",
    "{{ '{}'.format(%s) }}",
    "{{ '{!r}'.format(%s) }}",
    "{{ '{0!s:>9}'.format(%s) }}",
    "{{ '{a}'.format_map({'a': %s}) }}",
    "{{ '{a[0]}'.format(a=[%s]) }}",
    "{{ {'a': %s} | xmlattr }}",
    "{{ xs.index(%s) }}",
    "{{ d[%s] }}",
    "{{ xs | join(%s) }}",
    "{{ xs | groupby(%s) | string }}",
    "{%% filter upper %%}{{ %s }}{%% endfilter %%}",
    "{%% set y = [%s] %%}{{ y | pprint }}",
]
_ADDRESS = re.compile(
    r"0x[0-9a-f]{6,}|<.*object|<.*method|<function|<class|<Macro|<Namespace|<Template|<generator|Undefined"
)


def render(source: str) -> tuple[Any, str]:
    """Return the result, or the error."""
    try:
        return evaluate(source, VALUES), ""
    except EvaluationFailed as error:
        return None, error.message


@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_no_value_has_no_text(name: str, printer: str) -> None:
    before, expression = OBJECTS[name]
    for text in map(str, render(before + printer % expression)):
        assert not _ADDRESS.search(text)


@pytest.mark.parametrize("printer", PRINTERS[:4])
@pytest.mark.parametrize(
    "expression", ["''.upper", "x.upper", "range", "namespace(a=1)", "cycler('a')", "joiner()"]
)
def test_it_is_refused(expression: str, printer: str) -> None:
    with pytest.raises(EvaluationFailed, match="no value that could be"):
        evaluate(printer % expression, VALUES)


@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("expression", GENERATORS)
def test_what_is_lazy_has_the_text_of_its_list(expression: str, printer: str) -> None:
    result, why = render(printer % expression)
    assert not _ADDRESS.search(f"{result}{why}")


@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("expression", UNKNOWN)
def test_an_unknown_name_is_never_printed(expression: str, printer: str) -> None:
    result, why = render(printer % expression)
    assert not _ADDRESS.search(f"{result}")
    assert "0x" not in why


_FILTERS = sorted(name for name in make_environment().filters if name.isidentifier())
_EXPRESSIONS = (
    [expression for before, expression in OBJECTS.values() if not before] + GENERATORS + UNKNOWN
)
_ARGUMENTS = st.lists(
    st.sampled_from(
        [*_EXPRESSIONS, "'upper'", "'%r'", "1", "x", "attribute='upper'", "default=x.upper"]
    ),
    max_size=2,
)


@given(
    st.sampled_from(_EXPRESSIONS),
    st.lists(st.tuples(st.sampled_from(_FILTERS), _ARGUMENTS), min_size=1, max_size=3),
)
def test_no_filters_print_what_is_no_value(
    expression: str, filters: list[tuple[str, list[str]]]
) -> None:
    calls = " | ".join(f"{name}({', '.join(arguments)})" for name, arguments in filters)
    for source in (
        f"{{{{ {expression} | {calls} }}}}",
        f"a{{{{ {expression} | {calls} | string }}}}",
    ):
        result, why = render(source)
        assert not re.search(r"0x[0-9a-f]{6,}", f"{result}{why}")


def test_functions_and_objects_are_still_of_use() -> None:
    assert evaluate("{{ x.upper() ~ range(2) | list | length }}", VALUES) == "TEXT2"
    assert evaluate("{% set ns = namespace(a=1) %}{% set ns.a = 2 %}{{ ns.a }}", VALUES) == "2"
    assert evaluate("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(x) }}", VALUES) == "<text>"
    assert evaluate("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}", VALUES) == "ab"
    assert (
        evaluate("{% set j = joiner(',') %}{% for y in xs %}{{ j() }}{{ y }}{% endfor %}", VALUES)
        == "a,b"
    )
    assert (
        evaluate("{% for y in xs %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{% endfor %}", VALUES)
        == "1a2b"
    )
    assert (
        evaluate(
            "{% for y in [[xs]] recursive %}{{ loop(y) if y is not string else y }}{% endfor %}",
            VALUES,
        )
        == "ab"
    )
    assert (
        evaluate("{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}a{% endcall %}", VALUES)
        == "a"
    )
    assert evaluate("{{ '{}-{a}'.format(n, a=x) }}", VALUES) == "1-text"
    assert evaluate("{{ dict(a=1) | dictsort | first | join }}", VALUES) == "a1"
    assert evaluate("{{ (d.items() | list)[0][0] }}", VALUES) == "a"
    assert evaluate("{{ range(10 ** 9) | first }}", VALUES) == 0
