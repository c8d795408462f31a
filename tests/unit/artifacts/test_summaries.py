"""What the lineage table says of series that no one reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from opstrand.artifacts import summaries
from opstrand.artifacts.folder import RunFiles
from opstrand.artifacts.summaries import list_series

HEAD = "step|timestamp|metric"
AT = "2026-01-01 00:00:0{}+00:00"


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path, "uid", "run")


def write(files: RunFiles, path: str, *lines: str) -> None:
    place = files.folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(lines))


def test_a_metric_is_summarized_as_the_published_sidecar_does(files: RunFiles) -> None:
    points = [f"{step}|{AT.format(step)}|{value}" for step, value in enumerate((4.0, 1, 2, 3))]
    write(files, "events/metric/loss.plx", HEAD, *points)
    assert list_series(files) == [
        {
            "name": "loss",
            "kind": "metric",
            "path": "events/metric/loss.plx",
            "summary": {
                "is_event": True,
                "step": {"count": 4, "min": 0, "max": 3},
                "timestamp": {
                    "min": "2026-01-01T00:00:00+00:00",
                    "max": "2026-01-01T00:00:03+00:00",
                },
                "metric": {
                    "count": 4,
                    "mean": 2.5,
                    "std": pytest.approx(1.290994),
                    "min": 1,
                    "25%": 1.75,
                    "50%": 2.5,
                    "75%": 3.25,
                    "max": 4.0,
                    "last": 3,
                },
            },
        }
    ]


def test_every_kind_is_listed_and_the_machine_is_a_system(files: RunFiles) -> None:
    write(files, "events/metric/empty.plx", HEAD)
    write(files, "events/metric/nan.plx", HEAD, "|t|nan")
    write(files, "events/text/note.plx", "", '{"timestamp": "t", "step": 7, "text": "x"}')
    write(files, "resources/metric/cpu.plx", HEAD, "|t|1")
    write(files, "outputs/model.plx", "x")
    found = {one["name"]: one for one in list_series(files)}
    assert {name: one["kind"] for name, one in found.items()} == {
        "nan": "metric",
        "note": "text",
        "cpu": "system",
    }
    assert found["note"]["summary"]["step"] == {"count": 1, "min": 7, "max": 7}
    assert found["nan"]["summary"]["metric"] == {"count": 0, "last": None}
    assert found["cpu"]["path"] == "resources/metric/cpu.plx"


def test_a_long_series_has_the_count_of_all(files: RunFiles) -> None:
    write(files, "events/metric/long.plx", HEAD, *(f"{step}|t|{step}" for step in range(60_001)))
    (found,) = list_series(files)
    assert found["summary"]["step"] == {"count": 60_001, "min": 0, "max": 60_000}
    metric = found["summary"]["metric"]
    assert (metric["count"], metric["min"], metric["max"]) == (60_001, 0, 60_000)
    assert metric["mean"] == pytest.approx(30_000, rel=0.05)


def test_a_file_that_grew_is_read_again(files: RunFiles) -> None:
    for count in (1, 2):
        write(files, "events/metric/a.plx", HEAD, *(["1|t|1"] * count))
        assert list_series(files)[0]["summary"]["metric"]["count"] == count


def test_no_more_series_are_read_than_are_listed(
    files: RunFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the empty ones count: each of them is a file that is read."""
    monkeypatch.setattr(summaries, "_MOST", 3)
    write(files, "events/metric/a.plx", HEAD)
    for name in "bcdef":
        write(files, f"events/metric/{name}.plx", HEAD, "1|t|1")
    before = count_read()
    assert [one["name"] for one in list_series(files)] == ["b", "c"]
    assert count_read() - before == 3


def test_of_one_name_no_other_series_is_read(files: RunFiles) -> None:
    for path in ("events/metric/a", "events/metric/b", "resources/metric/a"):
        write(files, f"{path}.plx", HEAD, "1|t|1")
    before = count_read()
    assert [one["kind"] for one in list_series(files, "a")] == ["metric", "system"]
    assert count_read() - before == 2
    assert list_series(files, "none") == []


def count_read() -> int:
    """Return how many series were summarized; each state of a file is once."""
    return summaries._summarize.cache_info().misses


def test_a_run_without_files_has_none(files: RunFiles) -> None:
    assert list_series(files) == []
