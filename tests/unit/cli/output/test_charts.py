"""Metrics as lines of characters."""

from __future__ import annotations

import pytest

from opstrand.cli.output.charts import History, as_rows, by_metric, draw_chart, group_by_run

TIMES = [f"2026-01-01 00:00:0{second}+00:00" for second in range(5)]


def history(run: str = "train", name: str = "loss", **more: object) -> History:
    facts = {"steps": [0, 1, 2], "timestamps": TIMES[:3], "values": [0.0, 1.0, 2.0], **more}
    return History(run, f"uuid-{run}", name, **facts)  # type: ignore[arg-type]


def columns(drawn: str) -> set[int]:
    """Return the columns in which a point is, within the frame."""
    rows = [line.partition("┤")[2] or line.partition("│")[2] for line in drawn.splitlines()]
    return {at for row in rows for at, one in enumerate(row.rpartition("│")[0]) if one not in " ┤│"}


@pytest.mark.parametrize(
    ("more", "axis"),
    [
        ({}, "step"),
        ({"steps": [None] * 3}, "seconds"),
        ({"steps": [1, None, 2]}, "seconds"),
        ({"steps": [None] * 3, "timestamps": ["x", None, ""]}, "point"),
    ],
)
def test_the_axis_is_what_every_point_has(more: dict[str, object], axis: str) -> None:
    drawn = draw_chart("loss", [history(**more)], 60, 12)
    assert drawn.splitlines()[0].strip() == "loss"
    assert drawn.splitlines()[-1].strip() == axis
    assert max(map(len, drawn.splitlines())) <= 60


def test_a_value_that_is_no_number_is_a_gap() -> None:
    steps, times = list(range(5)), TIMES
    whole = history(steps=steps, timestamps=times, values=[1.0, 1.0, 1.0, 1.0, 1.0])
    broken = history(steps=steps, timestamps=times, values=[1.0, 1.0, None, 1.0, 1.0])
    assert len(columns(draw_chart("a", [broken], 60, 8))) < len(
        columns(draw_chart("a", [whole], 60, 8))
    )


def test_several_runs_are_named() -> None:
    drawn = draw_chart("loss", [history("slow"), history("fast", values=[2.0, None, 0.0])], 60, 12)
    assert drawn.count("slow") == drawn.count("fast") == 1
    assert "•" in drawn
    assert "\x1b" not in drawn


def test_one_point_and_ten_runs_can_be_drawn() -> None:
    assert draw_chart("loss", [history(steps=[3], timestamps=TIMES[:1], values=[1e300])], 60, 12)
    assert draw_chart("loss", [history(f"r{number}") for number in range(10)], 10, 12)


def test_rows_and_groups() -> None:
    found = [history(values=[1.0, None, 3.0]), history(name="acc", steps=[None] * 3)]
    assert list(by_metric(found)) == ["acc", "loss"]
    assert list(as_rows(found))[:2] == [
        ["train", "loss", 0, TIMES[0], 1.0],
        ["train", "loss", 1, TIMES[1], ""],
    ]
    grouped = group_by_run(found, {"uuid-train": "train", "other": "empty"})
    assert [(one["run"], len(one["metrics"])) for one in grouped] == [("train", 2), ("empty", 0)]
