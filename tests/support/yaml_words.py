"""Scalars on which YAML readers differ, and what the real kubectl reads them as."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

_WORDS = """
    n y N Y no yes on off ON Off true True TRUE false null Null NULL ~ 2e-5 12:30 1:20:30 1:60
    08 010 0o10 0o8 1_000 ._1 .5 1. 1.0 1.5 -0 +1 0x1F 0x_1 0X1f 0b11 0b_ 0b -0b11 +0b1 1e20
    1e21 1e999 1.0e+999 .inf -.inf .nan .NaN inf nan = << _1 1__0 9223372036854775807
    9223372036854775808 18446744073709551616 0xFFFFFFFFFFFFFFFFF 2026-01-01 2026-01-01T10:00:00Z
    2026-99-99 1e-3 12e03 -.5e3 - + . .. 0 00 0_ 1,000 1Gi 3.11-slim 10.0.0.1 x yes/no Y.Z 0.1.2
    +.inf -.5 .5e 5e 0x"""


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


PLAIN = st.text("0123456789_.:+-eExXobBaAfFnNyY~tTrRuUsSlL", min_size=1, max_size=10)


OF_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


LINES = st.lists(
    st.sampled_from(
        ["", " ", "a", " b", "c ", "\td", "- e", "# f", "g: h", "---", "...", "\x85", "\u2028x"]
    ),
    max_size=5,
).map("\n".join)


TEXTS = st.one_of(
    OF_TEXT,
    LINES,
    PLAIN,
    st.sampled_from(WORDS),
    st.sampled_from([one for one in ODD if one != "\ud800"]),
    st.text("\x1b[31m\u202e\u2066\u2029\x9b\x07\r\t \n", max_size=8),
)


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
)


SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Return whether both are equal, types included; JSON has one number for a whole float and an
    integer.
    """
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, int | float):
        return type(one) is type(other) and (
            _same_inside(one, other) if isinstance(one, list | dict) else one == other
        )
    return isinstance(other, int | float) and float(one) == float(other)


def _same_inside(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(same, one, other))
