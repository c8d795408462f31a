"""Any text under any tag is data or a SpecError with a line, for both kinds of files."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.processor_time import within
from tests.support.yaml_words import ODD, WORDS

from opstrand.core.values.safe import make_safe
from opstrand.errors import SpecError
from opstrand.spec.document import parse_document, parse_documents

_CORE = (
    "int",
    "float",
    "bool",
    "null",
    "str",
    "timestamp",
    "binary",
    "set",
    "omap",
    "pairs",
    "map",
    "seq",
    "merge",
    "value",
)
TAGS = ["", "!", "!x", "!!python/object:os.system", "!<>", *(f"!!{name}" for name in _CORE)]
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(ODD),
    st.text("0123456789_.:+-eExXobBaAfFnNyY~", max_size=12),
    st.text(max_size=12),
)
#: Far more CPU seconds than one small text takes.
SECONDS = 2.0
#: Every place of a scalar, with the text that may be before it.
PLACES = [
    "{}",
    "a: {}",
    "{}: a",
    "- {}",
    "? {}\n: 1",
    "a: &x {}\nb: *x",
    "<<: {}",
    "a: {{b: {}}}",
    "[{}",
    "a: '{}'",
    'a: "{}"',
    "a: |\n  {}",
    "{{a: {}",
]


@settings(max_examples=examples(600))
@given(st.sampled_from(PLACES), st.sampled_from(TAGS), SCALARS)
@example("a: {}", "!!int", "")
@example("a: {}", "!!int", "+")
@example("a: {}", "!!float", "-")
@example("a: {}", "!!timestamp", "x")
def test_any_scalar_under_any_tag_is_data_or_a_problem_with_its_line(
    place: str, tag: str, scalar: str
) -> None:
    text = place.format(f"{tag} {scalar}" if tag else scalar)
    for parse in (parse_document, lambda text: [one.data for one in parse_documents(text)]):
        try:
            with within(SECONDS):
                found, problems = parse(text), ()
        except SpecError as error:
            found, problems = None, error.problems
        assert {problem.reason for problem in problems} <= {"InvalidYAML", "TooLarge"}
        assert all(problem.line for problem in problems)
        make_safe(getattr(found, "data", found))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a: !!int ""', "'' is not an int"),
        ("a: !!bool 1", "'1' is not a bool"),
        ("a: !!int yes", "'yes' is not an int"),
        ("a: !!binary aGk=", "not supported"),
        ("a: !!set {b}", "not supported"),
        ("a: !!int [1]", "not supported"),
        ("!!int 1: a", ""),
        ("!x 1: a", "not supported"),
    ],
)
def test_a_tag_is_only_a_promise(text: str, words: str) -> None:
    if not words:
        assert parse_document(text).data == {"1": "a"}
        return
    with pytest.raises(SpecError) as caught:
        parse_document(f"b: 1\n{text}")
    assert (caught.value.problems[0].reason, caught.value.problems[0].line) == ("InvalidYAML", 2)
    assert words in caught.value.message
