"""Any text under any tag is data or a SpecError with a line, for both kinds of files; and what a kubectl file says is
what kubectl sends."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opstrand.core.values.safe import make_safe, unstore
from opstrand.errors import SpecError
from opstrand.spec.document import parse_document, parse_documents

KUBECTL = Path(sys.executable).parent / "kubectl"

_CORE = ("int", "float", "bool", "null", "str", "timestamp", "binary", "set", "omap", "pairs", "map", "seq", "merge", "value")
TAGS = ["", "!", "!x", "!!python/object:os.system", "!<>", *(f"!!{name}" for name in _CORE)]
_WORDS = """
    n y N Y no yes on off ON Off true True TRUE false null Null NULL ~ 2e-5 12:30 1:20:30 1:60 08 010 0o10 0o8 1_000
    ._1 .5 1. 1.0 1.5 -0 +1 0x1F 0x_1 0X1f 0b11 0b_ 0b -0b11 +0b1 1e20 1e21 1e999 1.0e+999 .inf -.inf .nan .NaN inf nan = << _1 1__0
    9223372036854775807 9223372036854775808 18446744073709551616 0xFFFFFFFFFFFFFFFFF 2026-01-01 2026-01-01T10:00:00Z 2026-99-99
    1e-3 12e03 -.5e3 - + . .. 0 00 0_ 1,000 1Gi 3.11-slim 10.0.0.1 x yes/no Y.Z 0.1.2 +.inf -.5 .5e 5e 0x"""
WORDS = [*_WORDS.split()]
ODD = [
    "",
    " ",
    "\0",
    "\x1b",
    "\x85",
    "\u2028",
    "\ufeff",
    "\ud800",
    "9" * 500,
    "[" * 100,
    "a: b",
    "*x",
    "&x",
    "|",
    ">",
    "%",
    "@",
    "`",
    "!",
    "-",
    "?",
    ":",
]
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(ODD),
    st.text("0123456789_.:+-eExXobBaAfFnNyY~", max_size=12),
    st.text(max_size=12),
)
#: Where a scalar may stand, with what may be before it.
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


@settings(max_examples=600, deadline=timedelta(seconds=2))
@given(st.sampled_from(PLACES), st.sampled_from(TAGS), SCALARS)
@example("a: {}", "!!int", "")
@example("a: {}", "!!int", "+")
@example("a: {}", "!!float", "-")
@example("a: {}", "!!timestamp", "x")
def test_any_scalar_under_any_tag_is_data_or_a_problem_with_its_line(place: str, tag: str, scalar: str) -> None:
    text = place.format(f"{tag} {scalar}" if tag else scalar)
    for parse in (parse_document, lambda text: [one.data for one in parse_documents(text)]):
        try:
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


# --- what kubectl sends ----------------------------------------------------------------------------------------------


def kubectl_sends(text: str) -> Any:
    """The object that kubectl makes of a file, as it would send it; None where it refuses the file. No server is asked."""
    done = subprocess.run(
        [KUBECTL, "annotate", "--local", "-f", "-", "x=y", "-o", "json"],
        input=text.encode("utf-8", "surrogatepass"),
        capture_output=True,
        env={"KUBECONFIG": "/dev/null", "HOME": "/nonexistent"},
        timeout=60,
        check=False,
    )
    # Go prints a float of 1e20 with all its digits; the API server reads a float again.
    return unstore(json.loads(done.stdout)["spec"]) if done.returncode == 0 else None


HEAD = "apiVersion: opstrand.dev/v1\nkind: Operation\nmetadata: {name: a}\nspec:\n"


def we_read(text: str) -> Any:
    try:
        return parse_documents(text)[0].data["spec"]
    except SpecError:
        return None


def equal(one: Any, other: Any) -> bool:
    """The same JSON, numbers told from booleans."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("quoted", [False, True])
def test_what_a_file_for_kubectl_says_is_what_kubectl_sends(quoted: bool) -> None:
    """In one file, so that kubectl runs once."""
    readable = [word for word in WORDS if we_read(f"{HEAD}  a: {word}\n") is not None]
    assert len(readable) > len(WORDS) * 0.8
    text = HEAD + "".join(f"  k{index}: {json.dumps(word) if quoted else word}\n" for index, word in enumerate(readable))
    assert we_read(text) == kubectl_sends(text)
    assert equal(we_read(text), kubectl_sends(text))


def test_keys_of_a_file_for_kubectl_are_what_kubectl_makes_of_them() -> None:
    text = HEAD + "".join(
        f"  a{i}: {{{word}: 1}}\n" for i, word in enumerate(["n", "y", "on", "010", "0x1F", "12", "a", "2026-01-01", "'n'"])
    )
    assert we_read(text) == kubectl_sends(text)
    for word in ("2e-5", "~", ".5"):
        with pytest.raises(SpecError, match="quote it"):
            parse_documents(f"{HEAD}  {word}: 1\n")


PLAIN = st.text("0123456789_.:+-eExXobBaAfFnNyY~tTrRuUsSlL", min_size=1, max_size=10)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(PLAIN, st.sampled_from(WORDS)), min_size=40, max_size=80))
def test_scalars_of_a_file_for_kubectl(words: list[str]) -> None:
    """Where we refuse one (beyond 64 bits, not finite), kubectl may do as it likes."""
    kept = [word for word in words if we_read(f"{HEAD}  a: {word}\n") is not None]
    text = HEAD + "  a:\n" + "".join(f"  - {word}\n" for word in kept)
    assert equal(we_read(text), kubectl_sends(text)), text


@pytest.mark.parametrize(
    "spec",
    [
        "  a: &x {b: 1, c: [1, 2]}\n  d: *x\n  e: {<<: *x, b: 2}\n",
        "  e:\n    <<: [{a: 1}, {a: 2, b: 3}]\n    c: 4\n",
        "  a: |\n    x\n     y\n\n  b: >-\n    x\n    y\n\n    z\n  c: |+\n    x\n\n",
        "  a: x\n    y\n    z\n  b: 'it''s\n    two'\n",
        "  a: {x: y, 'n': 1, \"y\": 2, n: 3}\n  ? b\n  : c\n",
        "  a: !!str 1\n  b: !!int '5'\n  c: !!float 1\n  d: !!bool 'yes'\n  e: !!null ''\n  f: ! 5\n",
        "  a: &n n\n  b: *n\n  c: 2001-12-14t21:59:43.10-05:00\n",
        "  true: a\n  1: b\n  2026-01-01: c\n  !!str n: d\n",
        "  a: 0777\n  b: 0o777\n  c: 0999\n  d: +0x10\n  e: -010\n  f: 1_2.3_4e5\n",
        "  a: # comment\n    b\n  c: d#e\n  f: http://x:y\n",
        "  a: {? b}\n  c: [d: e]\n",
    ],
)
def test_the_rest_of_yaml_is_what_it_is_to_kubectl(spec: str) -> None:
    assert equal(we_read(HEAD + spec), kubectl_sends(HEAD + spec))
    assert we_read(HEAD + spec) is not None
