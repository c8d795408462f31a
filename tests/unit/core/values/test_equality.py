"""Keys of values are equal exactly where Python calls the values equal; parts are found at their
paths.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.resolving.parts import Parts, TooManySteps
from opstrand.core.values.equality import equality_key

_small = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e300, 2.0**63])
    | st.sampled_from(["", "1", "a"])
)
_values = st.recursive(
    _small,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
)
_any = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


@given(_values, _values)
def test_keys_are_equal_where_values_are(one: Any, other: Any) -> None:
    assert (equality_key(one) == equality_key(other)) == (one == other)


@given(_any, _any)
def test_keys_of_scalars_are_equal_where_they_are(one: Any, other: Any) -> None:
    assert (equality_key(one) == equality_key(other)) == (one == other)


_texts = st.text("ab", max_size=40)
_parts = st.lists(st.text("ab", max_size=6), max_size=60)


@given(_parts, st.lists(_texts, max_size=3))
def test_parts_are_found_as_one_by_one(parts: list[str], texts: list[str]) -> None:
    search = Parts(parts)
    for text in texts:
        assert search.is_any_in(text) == any(part in text for part in parts)
        assert search.are_all_in(text) == all(part in text for part in parts)


def test_a_search_that_takes_too_long_is_given_up() -> None:
    parts = ["b" * length for length in range(1, 100)]
    assert not Parts(parts).is_any_in("a" * 10_000)
    with pytest.raises(TooManySteps):
        Parts(parts, steps=1000).is_any_in("a" * 10_000)
