"""The history of metrics that a program logs: files in the published format, and what the API makes
of them.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opstrand.client import RunClient
from opstrand.client.series import Series

UUID = "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_each_metric_has_a_file_in_the_published_format(tmp_path: Path) -> None:
    for step, loss in ((1, 0.5), (None, "nan")):
        # Another process of the run continues the file.
        Series(str(tmp_path)).append({"loss": loss, "acc": 1}, step, AT)
    folder = tmp_path / "events" / "metric"
    assert (folder / "loss.plx").read_text() == (
        "step|timestamp|metric\n1|2026-01-01 00:00:00+00:00|0.5\n|2026-01-01 00:00:00+00:00|nan"
    )
    assert sorted(one.name for one in folder.iterdir()) == ["acc.plx", "loss.plx"]


def test_more_metrics_than_files_may_be_open(tmp_path: Path) -> None:
    series = Series(str(tmp_path))
    for step in range(2):
        series.append({f"m{number}": step for number in range(200)}, step, AT)
    files = list((tmp_path / "events" / "metric").iterdir())
    assert len(files) == 200
    assert all(len(one.read_text().splitlines()) == 3 for one in files)


def test_a_folder_that_cannot_be_written_is_named_once(
    api: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "artifacts" / UUID
    folder.mkdir(parents=True)
    (folder / "events").write_text("a file in the way")
    client = RunClient()
    for step in range(3):
        client.log_metric("loss", step, step=step)
    assert capfd.readouterr().err.count("opstrand: log_metric: ") == 1
    assert client.flush(5)
    assert api.status["outputs"] == {"loss": 2.0}
    Series(str(tmp_path / "nowhere")).append({"loss": 1}, 1, None)
    assert capfd.readouterr().err == ""


def test_what_was_logged_is_read_back(api: Any, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / UUID
    folder.mkdir(parents=True)
    client = RunClient()
    for step in range(3):
        client.log_metrics(step=step, timestamp=AT, loss=1 / (step + 1))
    client.log_metric("acc", 1)
    client.flush()
    assert api.status["outputs"] == {"loss": 1 / 3, "acc": 1}
    # As the collector stores it.
    shutil.copytree(folder, tmp_path / "store" / "artifacts" / "uid-of-quick-start" / UUID)
    api.stop()
    api.files = tmp_path / "store"
    api.start()
    found = client.get_metrics(["loss"])
    assert found["loss"]["data"] == {
        "step": [0, 1, 2],
        "timestamp": [str(AT)] * 3,
        "metric": [1.0, 0.5, 1 / 3],
    }
    assert list(client.get_metrics()) == ["acc", "loss"]
