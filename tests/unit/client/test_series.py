"""The history of metrics that a program logs: files in the published format, and what the API makes
of them.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
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
    assert client.flush(60)
    assert api.status["outputs"] == {"loss": 2.0}
    Series(str(tmp_path / "nowhere")).append({"loss": 1}, 1, None)
    assert capfd.readouterr().err == ""


def test_a_file_without_room_for_its_header_is_not_kept_open(tmp_path: Path) -> None:
    series = Series(str(tmp_path))
    file = tmp_path / "events" / "metric" / "loss.plx"
    file.parent.mkdir(parents=True)
    file.symlink_to("/dev/full")
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            series.append({"loss": 1}, 1, AT)
    numbers = Path("/proc/self/fd")
    assert [
        one for one in os.listdir(numbers) if os.path.realpath(numbers / one) == "/dev/full"
    ] == []
    file.unlink()
    series.append({"loss": 1}, 1, AT)
    lines = file.read_text().splitlines()
    assert lines == ["step|timestamp|metric", "1|2026-01-01 00:00:00+00:00|1"]


def test_no_line_goes_into_a_file_of_the_program(tmp_path: Path) -> None:
    """The program closes a file that is not its own, and gets the number of another for its own."""
    series = Series(str(tmp_path))
    series.append({f"m{number}": 1 for number in range(64)}, 1, AT)
    os.close(series._files["metric", "m63"])
    series.append({"more": 1}, 1, AT)
    own = [os.open(tmp_path / f"own{number}", os.O_RDWR | os.O_CREAT) for number in range(70)]
    try:
        series.append({f"m{number}": 2 for number in range(64)}, 2, AT)
        assert [os.fstat(file).st_size for file in own] == [0] * 70
    finally:
        for file in own:
            os.close(file)


def test_threads_that_open_and_close_many_files_lose_no_line(tmp_path: Path) -> None:
    series = Series(str(tmp_path))
    names = [f"m{number}" for number in range(100)]
    with ThreadPoolExecutor(8) as threads:
        for done in [
            threads.submit(series.append, dict.fromkeys(names, 1), 1, AT) for _ in range(40)
        ]:
            done.result()
    files = [tmp_path / "events" / "metric" / f"{name}.plx" for name in names]
    assert {len(one.read_text().splitlines()) for one in files} == {41}


@pytest.mark.usefixtures("api")
def test_a_program_that_alternates_folders_keeps_the_files_of_one_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = [tmp_path / "one", tmp_path / "other"]
    for root in roots:
        (root / "artifacts" / UUID).mkdir(parents=True)
    client = RunClient()
    for step in range(20):
        monkeypatch.setenv("POLYAXON_CONTEXT_ROOT", str(roots[step % 2]))
        client.log_metrics(step=step, loss=step, acc=step)
    assert client.flush(60)
    numbers = Path("/proc/self/fd")
    opened = [os.path.realpath(numbers / one) for one in os.listdir(numbers)]
    events = roots[1] / "artifacts" / UUID / "events" / "metric"
    ours = [one for one in opened if one.endswith(".plx") and one.startswith(str(tmp_path))]
    assert sorted(ours) == [
        str(events / "acc.plx"),
        str(events / "loss.plx"),
    ]
    assert len((events / "loss.plx").read_text().splitlines()) == 11


def test_a_line_after_the_end_of_a_series_is_written_and_leaves_no_file_open(
    tmp_path: Path,
) -> None:
    series = Series(str(tmp_path))
    series.append({"loss": 1}, 1, AT)
    series.close()
    series.append({"loss": 2}, 2, AT)
    numbers = Path("/proc/self/fd")
    opened = [os.path.realpath(numbers / one) for one in os.listdir(numbers)]
    assert [one for one in opened if one.startswith(str(tmp_path))] == []
    lines = (tmp_path / "events" / "metric" / "loss.plx").read_text().splitlines()
    assert [line[:2] for line in lines] == ["st", "1|", "2|"]


def test_a_series_that_nothing_uses_is_not_kept(tmp_path: Path) -> None:
    series = Series(str(tmp_path))
    kept = weakref.ref(series)
    del series
    gc.collect()
    assert kept() is None


def test_a_forked_child_can_write_while_a_thread_of_its_parent_did(tmp_path: Path) -> None:
    series = Series(str(tmp_path))
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with series._lock:
            taken.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(60)
    child = os.fork()
    if not child:
        signal.alarm(60)
        series.append({"loss": 1}, 1, AT)
        os._exit(0)
    try:
        assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        thread.join()


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
