"""The full template language: types of results, unknown names, and no result that differs from one
evaluation to the next.
"""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.templates.evaluation import evaluate
from opstrand.core.templates.template import EvaluationFailed


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ 1 + 1 }}", 2),
        ("{{ 1 / 2 }}", 0.5),
        ("{{ 4 / 2 }}", 2.0),
        ("{{ [4 / 2] }}", [2.0]),
        ("{{ {1: 2} }}", {"1": 2}),
        ("{{ '1' }}", "1"),
        ("{{ '1' ~ 2 }}", "12"),
        ("{{ xs | map('string') }}", ["1", "2"]),
        ("x{{ xs | map('string') }}", "x['1', '2']"),
        ("{{ (1, [2]) }}", [1, [2]]),
        ("{{ d.items() }}", [["a", None]]),
        ("{{ d.keys() | list }}", ["a"]),
        ("{{ none }}", None),
        ("x{{ none }}", "xNone"),
        ("{{ '<' | e }}", "&lt;"),
        ("{{ nope is defined }}", False),
        ("{{ nope | default([]) }}", []),
        ("{{ 'a' if nope else 'b' }}", "b"),
        ("{% if nope %}a{% endif %}", ""),
        ("{% set y = xs | sum %}{{ y }}", "3"),
        ("{{ xs | join('-') }}\n", "1-2\n"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{{ '--debug' if nope }}", ""),
        ("{{ xs if d.a }}", ""),
        ("{{ 1 if false }}", ""),
        ("x{{ '--debug' if nope }}", "x"),
        ("{{ ['a' if nope] }}", [""]),
        ("{{ {'a': 'b' if nope} }}", {"a": ""}),
        ("{{ ['a' if nope] | tojson }}", '[""]'),
        ("{{ range(2) | tojson }}", "[0, 1]"),
        ("{{ [xs | map('string')] | tojson }}", '[["1", "2"]]'),
    ],
)
def test_results(source: str, value: Any) -> None:
    found = evaluate(source, {"xs": [1, 2], "d": {"a": None}})
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("source", "undefined"),
    [("{{ nope }}", "nope"), ("x{{ nope }}", "nope"), ("{{ nope.x }}", "nope"),
     ("{{ nope + 1 }}", "nope"), ("{{ nope == 1 }}", "nope"),
     ("{% for i in nope %}{% endfor %}", "nope"), ("{{ d.nope + 1 }}", None),
     ("{{ nope | tojson }}", "nope"), ("{{ [nope] | tojson }}", "nope"),
     ("{{ nope if nope == 1 }}", "nope")],
)  # fmt: skip
def test_using_an_unknown_name_is_refused_with_the_name(source: str, undefined: str | None) -> None:
    with pytest.raises(EvaluationFailed) as caught:
        evaluate(source, {"d": {}})
    assert caught.value.undefined == undefined
    assert "nope" in caught.value.message


@pytest.mark.parametrize(
    "source",
    [
        "{{ [1, 2] | random }}",
        "{{ lipsum() }}",
        "x{{ joiner() }}",
        "{{ cycler(1) }}",
        "x{{ xs.append }}",
        "{{ 2 ** 70 }}",
    ],
)
def test_what_is_no_lasting_value_is_refused(source: str) -> None:
    with pytest.raises(EvaluationFailed):
        evaluate(source, {"xs": []})


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1e308 * 10 }}",
        "{{ f * 10 }}",
        "{{ [f * 10] }}",
        "{{ {'a': f * 10 - f * 10} }}",
        "{{ 1e999 }}",
        "{{ 1e308 * 10 - f * 10 }}",
    ],
)
def test_a_number_that_no_store_keeps_is_refused_and_never_becomes_nothing(source: str) -> None:
    with pytest.raises(EvaluationFailed, match="infinite"):
        evaluate(source, {"f": 1e308})


@pytest.mark.parametrize(
    "source",
    ["{{ xs.append(1) }}", "{{ d.update({'a': 1}) }}", "{{ d.clear() }}", "{% set d.a = 1 %}"],
)
def test_a_template_changes_nothing(source: str) -> None:
    values: dict[str, Any] = {"xs": [], "d": {"b": 1}}
    with pytest.raises(EvaluationFailed):
        evaluate(source, values)
    assert values == {"xs": [], "d": {"b": 1}}
