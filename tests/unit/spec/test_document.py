"""From text to data: what is read, what is refused, and the line of everything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples
from tests.support.processor_time import within

from opstrand.errors import MAX_PROBLEMS, SpecError
from opstrand.spec.document import MAX_BYTES, parse_document
from opstrand.spec.yaml_reader import MAX_DEPTH

#: Far more CPU seconds than one small text takes.
SECONDS = 2.0
ECHO = """\
version: 1.1
kind: component
inputs:
- name: message
  type: str
run:
  kind: job
  container:
    image: busybox
    command: [python3, -u, echo.py]
"""


def refuse(text: str | bytes) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse_document(text, source="a.yaml")
    return caught.value


def reason_of(text: str | bytes) -> str:
    try:
        parse_document(text)
    except SpecError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (1, 1)),
        (("inputs", 0, "type"), (5, 3)),
        (("inputs", 0), (4, 3)),
        (("run", "container", "command", 1), (10, 24)),
        (("run", "container", "imag"), (8, 3)),
        (("nowhere", "at", "all"), (1, 1)),
    ],
)
def test_every_key_and_item_has_its_place_and_what_is_absent_that_of_its_parent(
    path: Any, place: tuple[int, int]
) -> None:
    assert parse_document(ECHO).locate(path) == place


def test_data_without_a_text_has_no_places() -> None:
    assert parse_document("").locate(("a",)) is None


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: 2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"),
        ("a: 2026-01-01", "2026-01-01"),
        ("a: yes", True),
        ("a: 010", 8),
        ("a: 12:30:45", 45045),
        ("a: 1e-3", "1e-3"),
        ("a: 9223372036854775807", 2**63 - 1),
        ("a: '1'", "1"),
        ("a: !!str 1", "1"),
        ("a: ~", None),
        ("a: &x {b: 1}\nc: *x", {"b": 1}),
        ("b: &x {c: 1, d: 2}\na: {<<: *x, d: 3}", {"d": 3, "c": 1}),
        ("b: &x {c: 1}\ne: &y {c: 2, f: 3}\na: {<<: [*x, *y]}", {"c": 1, "f": 3}),
        ('{"a": "\\u00e9"}', "é"),
        ("a:\r\n- b\r\n", ["b"]),
        ("\ufeffa: b", "b"),
    ],
)
def test_values_are_those_of_yaml_1_1_and_what_json_has_no_word_for_stays_text(
    text: str, data: Any
) -> None:
    assert parse_document(text).data["a"] == data
    assert parse_document(text.encode()).data["a"] == data


def test_keys_are_text_as_in_json() -> None:
    assert list(parse_document("1: a\nyes: b\nnull: c\n2026-01-01: d").data) == [
        "1",
        "yes",
        "null",
        "2026-01-01",
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3", 3, "already on line 1"),
        ("a: 1\nb:\n\tc: 2", 3, "a tab cannot indent"),
        (b"a: b\nc: \xff", 2, "not UTF-8: byte 0xff"),
        ("a: b".encode("utf-16"), 1, "not UTF-8"),
        ("a: \x01", 1, "not allowed in YAML"),
        ("a: \ud800", 1, "lone surrogate"),
        ("a: [1, 2", 2, "did not find expected"),
        ("a: {{ b }}", 1, "quote a template"),
        ("a: 9223372036854775808", 1, "does not fit into 64 bits"),
        ("a: -9223372036854775809", 1, "does not fit into 64 bits"),
        ("a: .nan", 1, "not a finite number"),
        ("b: 1\na: -.inf", 2, "not a finite number"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("a: &x [*x]", 1, "no finished anchor"),
        ("a: *x", 1, "alias"),
        ("a: !!python/object/apply:os.system [ls]", 1, "not supported"),
        ("a: !secret b", 1, "not supported"),
        ("a: !!int b", 1, "is not an int"),
        ("a: {<<: 3}", 1, "accepts a mapping"),
        ("? [a]\n: b", 1, "a key must be text"),
        ("a: &x b\n*x : c", 2, "an alias cannot be a key"),
    ],
)
def test_what_is_refused_says_where_and_why(text: str | bytes, line: int, words: str) -> None:
    error = refuse(text)
    assert error.reason == "InvalidYAML"
    assert error.problems[-1].source == "a.yaml"
    assert any(problem.line == line and words in problem.message for problem in error.problems), (
        error
    )


def test_all_problems_come_at_once() -> None:
    assert [
        problem.line for problem in refuse("a: 1\na: 2\nb: .inf\nc: 99999999999999999999").problems
    ] == [2, 3, 4]
    assert len(refuse("a: 1\n" * 500).problems) == MAX_PROBLEMS


def test_depth_has_a_limit_and_what_is_below_it_is_read() -> None:
    assert parse_document("[" * MAX_DEPTH + "]" * MAX_DEPTH).data
    assert (
        f"more than {MAX_DEPTH} levels"
        in refuse("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).message
    )


def test_a_text_at_the_limit_is_read() -> None:
    content = "x" * (MAX_BYTES - 10)
    assert parse_document(f"a: {content}").data == {"a": content}
    assert refuse("a: " + "x" * MAX_BYTES).reason == "TooLarge"


@settings(max_examples=examples(300))
@given(
    st.one_of(
        st.text(max_size=80),
        st.binary(max_size=80),
        st.text("ab:-[]{}&*!|>%@`\"'#,? \n\t0.~<", max_size=40),
    )
)
def test_any_text_is_data_or_a_spec_error(text: str | bytes) -> None:
    with within(SECONDS):
        reason = reason_of(text)
    assert reason in ("", "InvalidYAML", "TooLarge")


_TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("😀\U0010ffff\\u\"'d83")),
    max_size=20,
)


@settings(max_examples=examples(300))
@given(
    st.dictionaries(_TEXTS, st.one_of(_TEXTS, st.lists(_TEXTS, max_size=3)), max_size=3),
    st.booleans(),
)
def test_what_json_writes_is_read_as_it_is(data: Any, is_ascii: bool) -> None:
    """A JSON writer that only uses ASCII writes a character beyond 16 bits as two halves."""
    text = json.dumps({"a": data}, ensure_ascii=is_ascii).replace("\x7f", "\\u007f")
    assume(not reason_of(text) or is_ascii)
    assert parse_document(text).data["a"] == data


@pytest.mark.parametrize(
    "text", ['{"a": "\\ud83d"}', '{"a": "\\ude00\\ud83d"}', 'a: "\\ud83d\\ude00"']
)
def test_half_a_character_and_yaml_with_halves_are_refused(text: str) -> None:
    assert reason_of(text) == "InvalidYAML"


def test_an_escaped_backslash_before_what_looks_like_halves_stays_one() -> None:
    text = '{"a": "\\\\ud83d\\\\ude00 \\ud83d\\ude00"}'
    assert parse_document(text).data["a"] == json.loads(text)["a"]
