"""A matrix while its runs start and end: letters, results, the best run and the end."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.phase import Phase
from opstrand.core.pipelines.letters import Children
from opstrand.core.pipelines.matrix_progress import (
    Progress,
    Run,
    abandon,
    drop,
    find_early_stop,
    find_matrix_end,
    find_missing_metrics,
    list_startable,
    observe,
)
from opstrand.core.pipelines.progress import End
from opstrand.core.pipelines.search import Metric

LOSS = Metric("loss", minimize=True, path="matrix.metric.name", is_needed=True)
NONE = Metric("", minimize=False)


def begin(states: str, results: dict[int, float] | None = None) -> Progress:
    return Progress(Children(states), results or {})


def run(letter: str, **outputs: Any) -> Run:
    return Run(letter, f"run-{letter}", "u" * 32, outputs)


def test_a_result_is_kept_once_its_run_ended_well() -> None:
    found = observe(
        begin("rrr."),
        {0: run("s", loss=0.5), 1: run("f", loss=0.1), 2: run("r", loss=0.2)},
        LOSS,
    )
    assert (found.children.states, found.results) == ("sfr.", {0: 0.5})
    assert found.ended() == {0: 0.5, 1: None}
    assert found.best == {"name": "run-s", "uuid": "u" * 32, "value": 0.5}


def test_what_ended_stays_as_it_is() -> None:
    known = begin("sx", {0: 0.5})
    found = observe(known, {0: run("s", loss=0.1), 1: run("r")}, LOSS, gone={0})
    assert (found.children.states, found.results) == ("sx", {0: 0.5})


def test_a_run_whose_object_is_gone_counts_as_stopped() -> None:
    assert observe(begin("rw."), {1: run("w")}, LOSS, gone={0, 1}).children.states == "xw."


def test_the_best_run_stays_known_once_its_object_is_gone() -> None:
    best = {"name": "a", "uuid": "b", "value": 0.1}
    known = Progress(Children("sr"), {0: 0.1}, best)
    assert observe(known, {1: run("s", loss=0.2)}, LOSS).best == best
    assert observe(known, {1: run("s", loss=0.05)}, LOSS).best == {
        "name": "run-s",
        "uuid": "u" * 32,
        "value": 0.05,
    }


@pytest.mark.parametrize(
    ("states", "ready", "concurrency", "most", "started"),
    [
        ("....", range(4), None, 50, [0, 1, 2, 3]),
        ("....", range(4), 2, 50, [0, 1]),
        ("....", range(4), None, 3, [0, 1, 2]),
        ("rws.", range(4), 3, 50, [3]),
        ("rwr.", range(4), 3, 50, []),
        ("rwrr", range(4), 3, 50, []),
        ("s...", [0, 2], 5, 50, [2]),
    ],
)
def test_runs_start_in_order_while_there_is_room(
    states: str, ready: Any, concurrency: int | None, most: int, started: list[int]
) -> None:
    params = {index: {} for index in ready}
    found = list_startable(Children(states), params, concurrency=concurrency, most=most)
    assert found == started


def test_what_no_run_will_be_is_skipped_and_what_never_started_is_stopped() -> None:
    assert drop(Children("s..r"), {0, 1}).states == "sk.r"
    assert abandon(Children("s..r")).states == "sxxr"


def test_a_run_without_the_metric_counts_as_failed_and_says_so() -> None:
    progress = begin("ssf", {0: 0.5})
    assert progress.ended() == {0: 0.5, 1: None, 2: None}
    (failure,) = find_missing_metrics(progress, LOSS)
    assert (failure["op"], failure["reason"]) == ("1", "MetricMissing")
    assert "no number as 'loss'" in failure["message"]
    assert list(find_missing_metrics(progress, NONE)) == []


STOP = End(Phase.SUCCEEDED, "MetricReached", "stopped early")


@pytest.mark.parametrize(
    ("progress", "metric", "stop", "phase", "reason"),
    [
        (begin("ss"), NONE, None, Phase.SUCCEEDED, "Succeeded"),
        (begin(""), NONE, None, Phase.SUCCEEDED, "Succeeded"),
        (begin("sf"), NONE, None, Phase.FAILED, "ChildFailed"),
        (begin("xx"), NONE, None, Phase.STOPPED, "Stopped"),
        (begin("sxf"), NONE, STOP, Phase.SUCCEEDED, "MetricReached"),
        (begin("ss"), LOSS, None, Phase.FAILED, "MetricMissing"),
        (begin("ss", {0: 0.5}), LOSS, None, Phase.SUCCEEDED, "Succeeded"),
    ],
)
def test_a_matrix_ends(
    progress: Progress, metric: Metric, stop: End | None, phase: Phase, reason: str
) -> None:
    end = find_matrix_end(progress, metric, stop=stop)
    assert (end.phase, end.reason) == (phase, reason)


def test_a_metric_that_no_run_reports_is_named_with_its_path() -> None:
    assert find_matrix_end(begin("ss"), LOSS).message == (
        "matrix.metric.name: none of 2 runs reported 'loss'"
    )


def test_the_values_of_running_runs_stop_the_rest_too() -> None:
    written = [
        {
            "kind": "metric_early_stopping",
            "metric": "loss",
            "value": 0.1,
            "optimization": "minimize",
        }
    ]
    seen = {0: run("s", loss=0.5), 1: run("r", loss=0.05)}
    progress = observe(begin("rr.."), seen, LOSS)
    stop = find_early_stop(written, progress, seen)
    assert stop is not None
    assert stop.phase is Phase.SUCCEEDED
    assert find_early_stop(None, progress, seen) is None
