"""Values of events, as the published client writes them, and what is none."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.client import NotSupported
from opstrand.client.event_values import confusion, counted_histogram, curve, histogram


def test_numbers_that_json_lacks_are_left_out() -> None:
    assert curve("roc", [float("nan"), 1], [float("inf"), 2], 0.5) == {
        "kind": "roc",
        "x": [None, 1.0],
        "y": [None, 2.0],
        "annotation": "0.5",
    }


@pytest.fixture
def no_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)


@pytest.mark.usefixtures("no_numpy")
@pytest.mark.parametrize(
    ("values", "bins", "counts", "edges"),
    [
        ([0, 1, 2, 4], 2, [2, 2], [0, 2, 4]),
        ([[0], [[1, 4]]], 2, [2, 1], [0, 2, 4]),
        ([3, 3], 1, [2], [2.5, 3.5]),
        ([], 1, [0], [0, 1]),
        ([0, 1, 2, 9], [0, 1, 2], [1, 2], [0, 1, 2]),
        ([float("nan"), 0, 1], 1, [2], [0, 1]),
    ],
)
def test_a_histogram_without_numpy(
    values: Any, bins: Any, counts: list[int], edges: list[float]
) -> None:
    assert histogram(values, bins) == {"values": counts, "counts": edges}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(1, 50))
def test_every_value_is_in_a_bin(values: list[float], bins: int) -> None:
    found = histogram(values, bins)
    assert sum(found["values"]) == len(values)
    assert (found["counts"][0], found["counts"][-1]) <= (min(values), max(values) + 0.5)
    assert found["counts"] == sorted(found["counts"])


@pytest.mark.usefixtures("no_numpy")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: curve("pr", [1], [1, 2]), "x has 1 values and y has 2"),
        (lambda: curve("pr", "ab", [1, 2]), "expected a list or an array"),
        (lambda: confusion(["a"], ["a"], [[1, 2]]), "as many names as rows and columns"),
        (lambda: counted_histogram([1], [1]), "one more edge than bins"),
        (lambda: counted_histogram([1] * 600, [1] * 601), "at most 512 bins"),
        (lambda: histogram([1], 1000), "from 1 to 512"),
        (lambda: histogram([1], "auto"), "needs the package numpy"),
    ],
)
def test_what_is_no_value(make: Any, why: str) -> None:
    with pytest.raises((ValueError, TypeError, NotSupported), match=why):
        make()
