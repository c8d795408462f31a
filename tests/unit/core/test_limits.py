"""Sizes: what is measured, how it is refused, how a message is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.limits import check_size, measure
from opstrand.errors import SpecError
from opstrand.text import shorten


def test_bytes_are_counted_as_they_are_stored() -> None:
    assert measure({"k": "é"}) == len('{"k":"é"}'.encode())
    assert check_size(b"abc", 3, "it") == 3


def test_both_sizes_are_named() -> None:
    with pytest.raises(
        SpecError, match=r"params: the inputs take 2.0 KiB \(2050 bytes\); at most 1000 bytes fit"
    ) as caught:
        check_size("a" * 2048, 1000, "the inputs", "params")
    assert caught.value.reason == "TooLarge"


@given(st.text(max_size=400), st.integers(min_value=60, max_value=300))
def test_a_message_is_cut_in_the_middle(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert (
        short == text
        if len(text) <= limit
        else (short.startswith(text[:5]) and short.endswith(text[-5:]))
    )
