"""Templates: plain ones agree with the full language, results are never rendered again, unknown
names are reported.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.builders import here
from tests.support.examples import examples

from opstrand.core.templates.evaluation import evaluate
from opstrand.core.templates.lookups import find_names, parse_plain
from opstrand.core.templates.template import refuse, render, render_one, render_text
from opstrand.errors import SpecError

CONTEXT = {
    "a": 1,
    "b": {"c": [1, {"d": None}], "e f": "x"},
    "s": "text",
    "t": True,
    "f": 1.5,
    "none_value": None,
    "items": {"items": 2},
}


def full(source: str) -> Any:
    """Return the result of the full language for a text, in the form that `render_one` expects."""
    return evaluate(source.removesuffix("\n"), CONTEXT)


LOOKUPS = [
    "a",
    "b",
    "b.c",
    "b.c[0]",
    "b['e f']",
    "b.c[1].d",
    "s",
    "s[0]",
    "s[-1]",
    "t",
    "f",
    "none_value",
    "1",
    "1.5",
    "'q'",
    '"q"',
    "true",
    "none",
]
PIECES = st.one_of(
    st.sampled_from(
        [f"{{{{ {one} }}}}" for one in LOOKUPS]
        + ["{{a}}", "{{- a -}}", "{{ s -}}", "{{-s }}", "{# note #}", "{#- note -#}"]
    ),
    st.text(alphabet=" ab}{%#\n'$", max_size=4).filter(
        lambda text: not any(mark in text for mark in ("{{", "{%", "{#", "{"))
    ),
)


@given(st.lists(PIECES, max_size=6).map("".join))
def test_plain_templates_mean_what_the_full_language_means(source: str) -> None:
    if parse_plain(source) is None or "{{" not in source:
        return
    found = render_one(source, CONTEXT)
    expected = full(source)
    assert (type(found), found) == (type(expected), expected)


@given(st.text(alphabet="{}%# ab.'\"[]0-|\\\n", max_size=30))
def test_a_template_ends_in_a_verdict(source: str) -> None:
    found: SpecError | None = None
    try:
        render_one(source, CONTEXT, "p", evaluate=here)
    except SpecError as error:
        found = error
    assert found is None or (found.reason, found.problems[0].path) == ("TemplateError", "p")


@given(st.text(max_size=30), st.sampled_from(["{{ v }}", "x{{ v }}", "{{ v }}\n"]))
def test_what_was_rendered_is_never_rendered_again(value: str, source: str) -> None:
    hostile = "{{ secret }}{% if secret %}" + value
    rendered = render({"k": [source]}, {"v": hostile, "secret": "leak"})
    assert rendered["k"][0] == source.removesuffix("\n").replace("{{ v }}", hostile)


def test_alone_a_value_keeps_its_type_and_inside_a_text_it_is_text() -> None:
    tree = {
        "alone": "{{ b.c }}",
        "inside": "<{{ b.c }}>",
        "{{ s }}": ["{{ t }}", 1, None],
        "plain": "[1]",
    }
    assert render(tree, CONTEXT) == {
        "alone": [1, {"d": None}],
        "inside": "<[1, {'d': None}]>",
        "text": [True, 1, None],
        "plain": "[1]",
    }
    assert render_text("{{ b.c }}\r\n", CONTEXT) == "[1, {'d': None}]\r\n"


def test_a_key_wins_over_a_method_of_the_same_name() -> None:
    assert render_one("{{ items.items }}", CONTEXT) == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "{{ aa }}",
            "there is no 'aa' (did you mean 'a'? it has: a, b, s, t, f, none_value, items)",
        ),
        ("{{ b.cc }}", "'b' has no 'cc' (did you mean 'c'? it has: c, e f)"),
        ("{{ b.c[7] }}", "'b.c' has no part '7'"),
        ("{{ s.upper }}", "'s' has no part 'upper'"),
        ("{{ none_value.x }}", "'none_value' has no part 'x'"),
        ("{{ b._x }}", "names that begin with an underscore are not for templates"),
        ("{{ aa | upper }}", "'aa' is undefined (did you mean 'a'?"),
    ],
)
def test_an_unknown_name_is_reported_with_the_nearest_one(source: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        render_one(source, CONTEXT, "run.x", evaluate=here)
    assert caught.value.reason == "TemplateError"
    assert message in caught.value.message
    assert caught.value.problems[0].path == "run.x"


def test_without_an_evaluator_only_look_ups_are_evaluated() -> None:
    with pytest.raises(SpecError) as caught:
        render({"k": ["{{ a + 1 }}"]}, CONTEXT, "run", evaluate=refuse)
    assert (caught.value.reason, caught.value.problems[0].path) == ("NotSupported", "run.k[0]")


def test_an_evaluator_gets_only_what_the_template_may_read() -> None:
    seen: list[Any] = []
    render_one(
        "{{ a + 1 }} b {{ 'f' }} {{ s.t }}",
        CONTEXT,
        evaluate=lambda source, values: seen.append((source, values)),
    )
    assert seen == [("{{ a + 1 }} b {{ 'f' }} {{ s.t }}", {"a": 1, "s": "text"})]


@pytest.mark.parametrize(
    ("source", "top", "params"),
    [
        ("{{ x.y }} z", {"x"}, set()),
        ("{{ params.x.as_arg }}", set(), {"x"}),
        ("{{ params['a-b'].value | upper }}", {"upper"}, {"a-b"}),
        ("{{ '}}' ~ x }}", {"x"}, set()),
        ("{% for i in xs %}{{ i }}{% endfor %} y", {"for", "i", "in", "xs", "endfor"}, set()),
        ("{{ 'open ~ x }} y", {"open", "x", "y"}, set()),
        ("{# {{ x }} #}{{ y + 1 }}", {"y"}, set()),
    ],
)
def test_the_names_that_a_template_may_read(source: str, top: set[str], params: set[str]) -> None:
    names = find_names(source)
    assert (names.top, names.params, names.every) == (top, params, False)


def test_params_as_a_whole_reads_all_of_them() -> None:
    assert find_names("{{ params.as_args | join(' ') }}").every
    assert find_names("{{ params.as_args }}").every
    assert find_names("{% for p in params %}{% endfor %}").every


@settings(max_examples=examples(50))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=8,
    )
)
def test_values_without_templates_stay_what_they_are(value: Any) -> None:
    assert render(value, {}) == value or any(
        "{{" in text or "{%" in text for text in str(value).split()
    )


def test_two_keys_that_become_one_are_refused() -> None:
    with pytest.raises(SpecError, match="two keys render to 'x'"):
        render({"{{ p }}": 1, "{{ q }}": 2}, {"p": "x", "q": "x"}, "labels")
