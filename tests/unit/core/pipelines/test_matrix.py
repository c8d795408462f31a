"""Matrices beyond the vectors: seeds, bounds, uniqueness, limits."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.core.pipelines.drawing import Generator
from opstrand.core.pipelines.matrix import expand, given_names, matrix_names
from opstrand.core.pipelines.matrix_rules import check_size, check_spaces, iter_values
from opstrand.core.pipelines.spaces import MAX_RUNS
from opstrand.errors import SpecError
from opstrand.spec.io import IO


def random(count: int, seed: int | None = None, **spaces: Any) -> dict[str, Any]:
    params = {name: {"kind": kind, "value": value} for name, (kind, value) in spaces.items()}
    return {
        "kind": "random",
        "numRuns": count,
        "params": params,
        **({"seed": seed} if seed is not None else {}),
    }


@given(st.integers(0, 2**63 - 1), st.integers(1, 30))
def test_a_seed_gives_the_same_runs_always_and_none_twice(seed: int, count: int) -> None:
    matrix = random(
        count, seed, x=("uniform", [2, 3]), y=("choice", ["a", "b"]), z=("quniform", [0, 10, 2.5])
    )
    runs = expand(matrix)
    assert runs == expand(matrix, seed=99)
    assert len(runs) == count == len({repr(run) for run in runs})
    assert all(
        2 <= run["x"] < 3 and run["y"] in "ab" and run["z"] in (0, 2.5, 5, 7.5, 10) for run in runs
    )


def test_a_seed_means_the_same_in_every_release() -> None:
    assert [Generator(7).next(), Generator(0).next()] == [7191089600892374487, 16294208416658607535]
    assert expand(random(2, 7, x=("choice", [1, 2, 3, 4]))) == [{"x": 2}, {"x": 1}]


def test_without_a_seed_the_given_one_counts() -> None:
    matrix = random(3, x=("uniform", [0, 1]))
    assert expand(matrix, seed=1) == expand(matrix, seed=1) != expand(matrix, seed=2)


@pytest.mark.parametrize(
    ("kind", "value", "mean", "low", "high"),
    [
        ("uniform", [0, 10], 5, 0, 10),
        ("normal", [5, 2], 5, -10, 20),
        ("loguniform", [0, 1], 1.718, 1, 2.7183),
        ("lognormal", [0, 0.25], 1.032, 0, 5),
        ("qnormal", [10, 3, 1], 10, -10, 30),
        ("quniform", [0, 4, 2], 2, 0, 4),
        ("qloguniform", [0, 2, 0.5], 3.2, 1, 7.5),
        ("qlognormal", [0, 0.5, 0.25], 1.13, 0, 10),
    ],
)
def test_distributions_have_their_means_and_bounds(
    kind: str, value: list[float], mean: float, low: float, high: float
) -> None:
    from opstrand.spec.spaces import Space

    source, space = Generator(3), Space.model_validate({"kind": kind, "value": value})
    drawn = [source.draw(space) for _ in range(4000)]
    assert statistics.fmean(drawn) == pytest.approx(mean, rel=0.05)
    assert low <= min(drawn) <= max(drawn) <= high


def test_weights_of_a_pchoice_are_kept() -> None:
    from opstrand.spec.spaces import Space

    source, space = (
        Generator(3),
        Space.model_validate({"kind": "pchoice", "value": [["a", 0.2], ["b", 0.6]]}),
    )
    drawn = [source.draw(space) for _ in range(4000)]
    assert drawn.count("b") / len(drawn) == pytest.approx(0.75, abs=0.03)


def test_a_space_that_is_used_up_ends() -> None:
    assert len(expand(random(50, 1, x=("quniform", [0, 1, 0.25])))) == 5
    assert len(expand(random(100, 1, x=("choice", list(range(60)))))) == 60


def test_a_matrix_without_an_end_is_refused_before_it_is_built() -> None:
    space = {"kind": "linspace", "value": [0, 1, 100_000]}
    with pytest.raises(SpecError, match=f"more than {MAX_RUNS:,} runs"):
        expand({"kind": "grid", "params": {"a": space, "b": space}})
    assert len(expand({"kind": "grid", "params": {"a": space, "b": space}, "numRuns": 3})) == 3
    with pytest.raises(SpecError, match="a range of"):
        expand({"kind": "grid", "params": {"a": {"kind": "range", "value": [0, 1, 1e-9]}}})


@pytest.mark.parametrize("kind", ["bayes", "hyperband", "tpe", "iterative"])
def test_what_looks_at_results_cannot_be_expanded(kind: str) -> None:
    with pytest.raises(SpecError, match="not all known beforehand") as caught:
        expand({"kind": kind, "params": {}})
    assert caught.value.reason == "NotSupported"


@pytest.mark.parametrize(
    ("matrix", "runs"),
    [
        (random(10_001, x=("uniform", [0, 1])), "10,001"),
        (random(10_001, x=("choice", [1, 2])), ""),
        ({"kind": "mapping", "values": [{"x": 1}] * 10_001}, "10,001"),
        ({"kind": "mapping", "values": [{"x": 1}] * 10_000}, ""),
        (
            {"kind": "grid", "params": {"x": {"kind": "linspace", "value": [0, 1, 10_001]}}},
            "10,001",
        ),
    ],
)
def test_more_runs_than_the_limit_are_refused(matrix: dict[str, Any], runs: str) -> None:
    found = [(one.reason, one.message.partition(" ")[0], one.path) for one in check_size(matrix)]
    assert found == ([("TooLarge", runs, "matrix")] if runs else [])
    if runs:
        with pytest.raises(SpecError, match="more than 10,000 runs"):
            expand(matrix)


def test_a_template_must_be_rendered_first() -> None:
    for matrix in (
        {"kind": "mapping", "values": "{{ rows }}"},
        {"kind": "grid", "params": "{{ spaces }}"},
        {"kind": "grid", "params": {"x": {"kind": "choice", "value": "{{ xs }}"}}},
    ):
        with pytest.raises(SpecError, match="must be rendered"):
            expand(matrix)


@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        ([], 0),
        ([IO(name="lr", type="float")], 0),
        ([IO(name="lr", type="str")], 1),
        ([IO(name="lr")], 1),
    ],
)
def test_a_distribution_fits_the_type_of_its_input_where_one_is_declared(
    inputs: list[IO], wrong: int
) -> None:
    assert len(check_spaces(random(2, lr=("uniform", [0, 1])), inputs)) == wrong


@pytest.mark.parametrize("kind", ["hyperband", "iterative", "random", "bayes", "grid"])
def test_a_matrix_whose_params_are_null_has_a_verdict(kind: str) -> None:
    assert check_spaces({"kind": kind, "params": None}, []) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("logspace", [0, 400, 5]),
        ("logspace", [0, 2, 5, -2]),
        ("logspace", [-1, 2, 5, 0]),
        ("linspace", [-1.7e308, 1.7e308, 5]),
        ("range", [-1.7e308, 1.7e308, 1]),
        ("range", [0, 1, 1e-320]),
    ],
)
def test_a_space_with_values_beyond_every_number_is_refused(kind: str, value: list[float]) -> None:
    matrix = {"kind": "grid", "params": {"a": {"kind": kind, "value": value}}}
    (problem,) = check_size(matrix)
    assert (problem.reason, problem.path) == ("InvalidSpec", "matrix.params.a")
    assert list(iter_values(matrix)) == []
    with pytest.raises(SpecError):
        expand(matrix)


def test_a_geometric_sequence_may_be_as_small_as_numbers_are() -> None:
    runs = expand(
        {"kind": "grid", "params": {"a": {"kind": "geomspace", "value": [1e-300, 1e-200, 3]}}}
    )
    assert [runs[0], runs[-1]] == [{"a": 1e-300}, {"a": 1e-200}]


@pytest.mark.parametrize(
    ("matrix", "given", "names"),
    [
        (None, set(), []),
        ({"kind": "mapping", "values": [{"a": 1, "b": 2}, {"b": 3}]}, {"b"}, ["a", "b"]),
        ({"kind": "mapping", "values": "{{ rows }}"}, set(), []),
        ({"kind": "grid", "params": {"a": {}}}, {"a"}, ["a"]),
        (
            {"kind": "hyperband", "params": {"a": {}}, "resource": {"name": "epochs"}},
            {"a", "epochs"},
            ["a", "epochs"],
        ),
    ],
)
def test_the_names_that_runs_get_are_known_before_the_runs(
    matrix: Any, given: set[str], names: list[str]
) -> None:
    assert (given_names(matrix), matrix_names(matrix)) == (given, names)
