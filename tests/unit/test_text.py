"""Text that others wrote does not control a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.text import CONTROLS, inline, keep_colours, printable, printable_json

HOSTILE = "\x1b]52;c;aGk=\x07 \x1b[2J \x9b31m \u202e \u2066 \u2028 \u2029 \r \x7f \x00 \x08 \ud800"


@given(st.text())
def test_what_is_printable_holds_no_control_character(text: str) -> None:
    shown = printable(text)
    assert not CONTROLS.search(shown)
    assert {
        letter for letter in shown if unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs")
    } <= {"\n", "\t"}
    assert not set(shown) & {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
    assert "\n" not in inline(text)
    assert printable(shown) == shown


def test_a_control_character_is_seen_as_its_escape() -> None:
    assert printable("a\x1b[31mb\u202ec\x9bd\ne\tf\rg") == "a\\x1b[31mb\\u202ec\\x9bd\ne\tf\\x0dg"
    assert inline("a\nb\tc") == "a\\nb\\tc"
    assert printable("größer 日本 🙂 [red]x[/]") == "größer 日本 🙂 [red]x[/]"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n"),
        ("\x1b[38:2:1:2:3mx\x1b[m", "\x1b[38:2:1:2:3mx\x1b[m"),
        ("50%\r60%\r\n", "50%\r60%\r\n"),
        ("a\x1b[2Jb\x1b[1;1Hc\x1b[Ad", "abcd"),
        ("a\x1b]0;title\x07b\x1b]52;c;aGk=\x1b\\c", "abc"),
        ("a\x1bPq#0\x1b\\b\x1b_x\x1b\\c\x1b^x\x1b\\d", "abcd"),
        ("a\x1b[6nb\x1b[>cc\x1bcd\x1b(0e\x1b#8f", "abcdef"),
        ("a\x9b2Jb\x9d0;t\x9cc\x07\x0e\x0f", "a2Jb0;tc"),
        ("a\x1b]0;never ends\nb", "a\nb"),
        ("a\x1b", "a"),
        ("a\x1b[31", "a"),
    ],
)
def test_of_a_programs_own_output_a_terminal_gets_text_and_colour(written: str, kept: str) -> None:
    assert keep_colours(written) == kept


@given(st.text("\x1b[]0123456789;mHJAPc\x07\\\x9b\n\r ?>a"))
def test_whatever_a_program_writes_only_colour_is_left(text: str) -> None:
    rest = keep_colours(text)
    for part in rest.split("\x1b")[1:]:
        assert part[0] == "["
        assert part.lstrip("[0123456789;:")[0] == "m"


@given(
    st.recursive(
        st.text(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner), max_leaves=5
    )
)
def test_json_stays_what_it_is(value: object) -> None:
    shown = printable_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(shown) == value
    assert not CONTROLS.search(shown)
