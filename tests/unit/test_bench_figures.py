"""Percentiles, medians, ratios and durations of the bench are computed correctly."""

from __future__ import annotations

import json
import math
from pathlib import Path

from tests.bench.budgets import render_budgets
from tests.bench.etcd import copy_run
from tests.bench.figures import median, median_ratio, percentile, render_table, show
from tests.bench.trail import Trail


def test_percentiles_are_samples_and_the_median_may_lie_between_two() -> None:
    hundred = list(range(100, 0, -1))
    assert (percentile(hundred, 0.5), percentile(hundred, 0.99), percentile(hundred, 1)) == (
        50,
        99,
        100,
    )
    assert percentile([7.0], 0.01) == 7.0
    assert (median([3, 1, 2]), median([4, 1, 3, 2])) == (2, 2.5)
    assert math.isnan(percentile([], 0.5))
    assert math.isnan(median([]))


def test_ratios_are_taken_round_by_round() -> None:
    assert median_ratio([10, 50, 30], [20, 100, 30]) == 0.5


def test_a_table_is_markdown_and_a_missing_figure_a_dash() -> None:
    assert render_table(["", "a"], [["runs/s", show(1234.56)], ["x", show(None)]]).splitlines() == [
        "|        |       a |",
        "| ------ | ------: |",
        "| runs/s | 1,234.6 |",
        "| x      |       - |",
    ]


def test_a_budget_that_was_not_measured_is_not_validated() -> None:
    table = render_budgets({"cpu_ms": 12.5, "check_ratio": 4.0})
    assert table.count("\n") == 3
    assert [line.split("|")[-2].strip() for line in table.splitlines()[2:]] == ["NO", "yes"]


def test_durations_are_read_from_the_audit_log(tmp_path: Path) -> None:
    def line(
        user: str,
        verb: str,
        resource: str,
        name: str,
        received: int,
        answered: int,
        code: int = 200,
    ) -> str:
        plural, _, sub = resource.partition("/")
        reference = {"resource": plural, "name": name, **({"subresource": sub} if sub else {})}
        moment = "2026-01-01T00:00:00.{:06d}Z"
        entry = {
            "stage": "ResponseComplete",
            "user": {"username": user},
            "verb": verb,
            "objectRef": reference,
        }
        times = {
            "requestReceivedTimestamp": moment.format(received * 1000),
            "stageTimestamp": moment.format(answered * 1000),
        }
        return json.dumps({**entry, **times, "responseStatus": {"code": code}}) + "\n"

    log = tmp_path / "audit.log"
    log.write_text("{}\n")
    start = log.stat().st_size
    with log.open("a") as file:
        for entry in (
            line("me", "create", "operations", "run-1", 0, 4, 201),
            line("us", "create", "pods", "run-1-abcdef01-0", 10, 16, 201),
            line("me", "patch", "pods/status", "run-1-abcdef01-0", 20, 22),
            line("me", "patch", "pods/status", "run-1-abcdef01-0", 30, 33),
            line("us", "patch", "operations/status", "run-1", 40, 50),
            line("us", "patch", "operations/status", "run-1", 60, 61, 409),
        ):
            file.write(entry)
    trail = Trail.read(log, start, "us")
    assert [round(one) for one in trail.create_to_pod(["run-1"])] == [16]
    assert [round(one) for one in trail.done_to_final(["run-1"])] == [31]
    assert round(trail.seconds_for(["run-1"]), 3) == 0.061
    assert trail.count() == {
        "create pods": 1,
        "patch operations/status": 1,
        "patch operations/status (409)": 1,
    }


def test_a_copied_run_keeps_every_length() -> None:
    stored = b'{"name":"finished-00000","uid":"0123abcd-1111","pod":"finished-00000-0123abcd-0"}'
    name, operation, pod = copy_run(
        stored,
        b"\x0aaaaabbbb",
        name="finished-00000",
        uid="0123abcd-1111",
        pod_uid="aaaabbbb-2",
        number=7,
    )
    assert name == "finished-00007"
    assert len(operation) == len(stored)
    assert b"finished-00007-a0000007-0" in operation
    assert pod == b"\x0ab0000007"
