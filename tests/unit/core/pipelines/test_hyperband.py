"""Hyperband: its brackets, its shares of the resource, and promotions in any order of results."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.pipelines.hyperband import make_brackets, promote, spend


@pytest.mark.parametrize(
    ("most", "eta", "sizes", "shares"),
    [
        # The table of the paper.
        (
            81,
            3,
            [[81, 27, 9, 3, 1], [34, 11, 3, 1], [15, 5, 1], [8, 2], [5]],
            [[1, 3, 9, 27, 81], [3, 9, 27, 81], [9, 27, 81], [27, 81], [81]],
        ),
        (9, 3, [[9, 3, 1], [5, 1], [3]], [[1, 3, 9], [3, 9], [9]]),
        # log(243)/log(3) is below 5 in floats.
        (243, 3, [[243, 81, 27, 9, 3, 1]], [[1, 3, 9, 27, 81, 243]]),
        (10, 3, [[9, 3, 1], [5, 1], [3]], [[1, 3, 10], [3, 10], [10]]),
        (1, 3, [[1]], [[1]]),
        (8, 2, [[8, 4, 2, 1], [6, 3, 1], [4, 2], [4]], [[1, 2, 4, 8], [2, 4, 8], [4, 8], [8]]),
    ],
)
def test_brackets_are_those_of_the_paper(
    most: int, eta: float, sizes: list[list[int]], shares: list[list[int]]
) -> None:
    brackets = make_brackets(most, eta)[: len(sizes)]
    assert [[rung.size for rung in rungs] for rungs in brackets] == sizes
    assert [[spend(rung.resource, "int") for rung in rungs] for rungs in brackets] == shares


def test_places_are_numbered_without_a_gap() -> None:
    rungs = [rung for bracket in make_brackets(27, 3) for rung in bracket]
    assert [place for rung in rungs for place in rung.places] == list(
        range(sum(rung.size for rung in rungs))
    )


def test_a_float_resource_is_kept_as_it_is() -> None:
    first = make_brackets(10, 3)[0][0]
    assert spend(first.resource, "float") == pytest.approx(10 / 9)
    assert spend(first.resource, None) == pytest.approx(10 / 9)


def test_a_rung_waits_for_its_last_result() -> None:
    brackets = make_brackets(9, 3)
    results: dict[int, float | None] = {place: float(place) for place in range(8)}
    assert promote(brackets, results, recorded={}, minimize=True).origins == {}
    results[8] = -1.0
    assert promote(brackets, results, recorded={}, minimize=True).origins == {9: 8, 10: 0, 11: 1}
    assert promote(brackets, results, recorded={}, minimize=False).origins == {9: 7, 10: 6, 11: 5}


def test_a_run_without_a_result_is_never_promoted() -> None:
    results: dict[int, float | None] = dict.fromkeys(range(9))
    results[4] = 1.0
    promotions = promote(make_brackets(9, 3), results, recorded={}, minimize=False)
    assert promotions.origins == {9: 4}
    # The third rung still waits for the run that was promoted.
    assert promotions.dropped == {10, 11}
    results[9] = None
    assert promote(make_brackets(9, 3), results, recorded={}, minimize=False).dropped == {
        10,
        11,
        12,
    }


def test_a_recorded_promotion_stays_whatever_the_results_say_later() -> None:
    results: dict[int, float | None] = {place: float(place) for place in range(9)}
    promotions = promote(make_brackets(9, 3), results, recorded={9: 5}, minimize=True)
    assert promotions.origins == {9: 5}
    assert promotions.dropped == {10, 11}


@given(st.integers(1, 30), st.sampled_from([2, 2.5, 3, 4]), st.integers(0, 10**6))
def test_every_order_of_results_gives_the_same_promotions(
    most: int, eta: float, shuffle: int
) -> None:
    brackets = make_brackets(most, eta)
    source = random.Random(shuffle)
    total = brackets[-1][-1].places.stop
    value = {place: source.choice([None, source.random(), 0.5]) for place in range(total)}

    def run(order: random.Random) -> dict[int, int]:
        results: dict[int, float | None] = {}
        known: dict[int, int] = {}
        while True:
            promotions = promote(brackets, results, recorded=known, minimize=True)
            assert known.items() <= promotions.origins.items()
            known = dict(promotions.origins)
            firsts = {place for rungs in brackets for place in rungs[0].places}
            alive = sorted((firsts | known.keys()) - results.keys())
            if not alive:
                assert firsts | known.keys() | promotions.dropped == set(range(total))
                return known
            ended = order.choice(alive)
            results[ended] = value[ended]

    assert run(random.Random(1)) == run(random.Random(2))
