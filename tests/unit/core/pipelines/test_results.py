"""Results as the status keeps them: short, exact, and read back whatever they became."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.pipelines.results import (
    find_best,
    read_promotions,
    read_result,
    read_results,
    write_promotions,
    write_results,
)


def test_results_are_numbers_with_commas_between() -> None:
    assert write_results({0: 0.25, 2: 3.0, 3: 1e-300}) == "0.25,,3,1e-300"
    assert write_results({}) == ""


@given(
    st.dictionaries(
        st.integers(0, 50), st.floats(allow_nan=False, allow_infinity=False), max_size=9
    )
)
def test_results_come_back_exactly(results: dict[int, float]) -> None:
    assert read_results(write_results(results), 51) == results


@pytest.mark.parametrize("text", [None, "", "x", "nan,inf", 5, "1" * 5000])
def test_what_is_no_result_does_not_count(text: object) -> None:
    assert set(read_results(text, 1)) <= {0}


def test_promotions_come_back() -> None:
    assert write_promotions({10: 0, 9: 3}) == "9<3 10<0"
    assert read_promotions("9<3 10<0", 11) == {9: 3, 10: 0}
    assert read_promotions("9<9 10<12 77<1 x<y 5", 11) == {}


def test_the_best_result_is_the_lowest_or_the_highest() -> None:
    results = {0: 0.5, 1: 0.1, 2: 0.5, 3: 0.1}
    assert find_best(results, minimize=True) == 1
    assert find_best(results, minimize=False) == 0
    assert find_best({}, minimize=False) is None


def test_a_result_is_a_number_of_the_metrics_name() -> None:
    assert read_result({"loss": 1}, "loss") == 1.0
    assert read_result({"loss": True}, "loss") is None
    assert read_result({"acc": 1}, "loss") is None
