"""Which runs a search suggests, and which matrices are refused with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.pipelines.search import check_search, read_metric, suggest
from opstrand.errors import SpecError

HYPERBAND: dict[str, Any] = {
    "kind": "hyperband",
    "maxIterations": 9,
    "eta": 3,
    "resource": {"name": "epochs", "type": "int"},
    "metric": {"name": "loss", "optimization": "minimize"},
    "params": {"lr": {"kind": "uniform", "value": [0, 1]}},
}


def test_a_grid_can_make_all_its_runs_at_once() -> None:
    matrix = {"kind": "grid", "params": {"a": {"kind": "choice", "value": [1, 2]}}}
    found = suggest(matrix, 7)
    assert (found.total, dict(found.params), found.missing) == (2, {0: {"a": 1}, 1: {"a": 2}}, 0)


def test_a_space_that_is_used_up_says_how_many_runs_are_missing() -> None:
    space = {"a": {"kind": "choice", "value": [1, 2, 3]}}
    found = suggest({"kind": "random", "numRuns": 10, "params": space}, 7)
    assert (found.total, found.missing) == (3, 7)
    assert sorted(run["a"] for run in found.params.values()) == [1, 2, 3]


def test_hyperband_starts_with_the_first_rung_of_every_bracket() -> None:
    found = suggest(HYPERBAND, 7)
    assert found.total == 9 + 3 + 1 + 5 + 1 + 3
    assert list(found.params) == [*range(9), *range(13, 18), *range(19, 22)]
    shares = [found.params[place]["epochs"] for place in (0, 13, 19)]
    assert shares == [1, 3, 9]
    assert len({run["lr"] for run in found.params.values()}) == 17


def test_a_promoted_run_keeps_its_params_and_gets_more_of_the_resource() -> None:
    start = suggest(HYPERBAND, 7)
    results: dict[int, float | None] = {place: float(place) for place in range(9)}
    found = suggest(HYPERBAND, 7, results)
    assert found.origins == {9: 0, 10: 1, 11: 2}
    assert found.params[10] == {"lr": start.params[1]["lr"], "epochs": 3}
    results |= {9: 0.5, 10: 0.1, 11: None}
    last = suggest(HYPERBAND, 7, results, found.origins)
    assert last.origins == {9: 0, 10: 1, 11: 2, 12: 10}
    assert last.params[12] == {"lr": start.params[1]["lr"], "epochs": 9}


def test_a_small_space_makes_the_rungs_smaller() -> None:
    params = {"lr": {"kind": "choice", "value": [1, 2]}}
    found = suggest({**HYPERBAND, "params": params}, 7)
    assert found.missing == 7 + 3 + 1
    assert set(range(2, 9)) <= found.dropped
    results: dict[int, float | None] = {0: 1.0, 1: 0.5}
    later = suggest({**HYPERBAND, "params": params}, 7, results)
    assert later.origins == {9: 1, 10: 0}
    assert 11 in later.dropped


def test_recorded_promotions_that_make_no_sense_are_no_runs() -> None:
    found = suggest(HYPERBAND, 7, {}, {12: 11, 9: 4})
    assert 12 not in found.params
    assert found.params[9]["epochs"] == 3


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"kind": "bayes"}, "matrix.kind", "use one of the kinds mapping, grid, random, hyperband"),
        ({"kind": "tpe"}, "matrix.kind", "kind tpe"),
        ({"kind": "iterative"}, "matrix.kind", "kind iterative"),
        ({"tuner": {"hubRef": "mine"}}, "matrix.tuner", "remove `tuner`"),
        ({"resume": True}, "matrix.resume", "from its beginning"),
        ({"metric": None}, "matrix", "needs `metric`"),
        ({"resource": None}, "matrix", "needs `resource`"),
        ({"eta": 1}, "matrix.eta", "above 1"),
        ({"eta": 1.0001}, "matrix.maxIterations", "at most 1,000"),
        ({"maxIterations": 100_000}, "matrix.maxIterations", "at most 1,000"),
        ({"maxIterations": 10**400}, "matrix.maxIterations", "expected at most"),
        (
            {"resource": {"name": "lr"}},
            "matrix.params.lr",
            "the resource, whose values hyperband chooses",
        ),
    ],
)
def test_a_search_that_cannot_run_says_why(changes: dict[str, Any], path: str, words: str) -> None:
    (problem,) = check_search({**HYPERBAND, **changes})
    assert problem.path == path
    assert words in problem.message
    with pytest.raises(SpecError):
        suggest({**HYPERBAND, **changes}, 7)


@pytest.mark.parametrize(
    ("matrix", "name", "minimize"),
    [
        (HYPERBAND, "loss", True),
        ({"kind": "grid"}, "", False),
        (
            {
                "kind": "grid",
                "earlyStopping": [
                    {"kind": "failure_early_stopping", "percent": 5},
                    {
                        "kind": "metric_early_stopping",
                        "metric": "acc",
                        "value": 1,
                        "optimization": "maximize",
                    },
                ],
            },
            "acc",
            False,
        ),
    ],
)
def test_the_metric_is_the_searchs_own_or_that_of_early_stopping(
    matrix: dict[str, Any], name: str, minimize: bool
) -> None:
    metric = read_metric(matrix)
    assert (metric.name, metric.minimize) == (name, minimize)
