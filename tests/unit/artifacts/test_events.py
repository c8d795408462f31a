"""The memory that a long series takes, whoever wrote it: a run must not be able to end the API."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opstrand.artifacts import events
from opstrand.artifacts.attempts import set_aside
from opstrand.artifacts.events import SeriesFile, read_columns

HEAD = "step|timestamp|metric"
#: Each of them takes some 50 bytes as an object.
LINES = 399_999
#: Bytes of memory, of which reading a file by blocks takes the most.
ENOUGH = 15 * 1024 * 1024
RESTART = "2026-01-01T00:00:10Z"


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < ENOUGH, f"{peak:,} bytes were held"


def write(place: Path, steps: range, line: Callable[[int], str] = "{}|t|1".format) -> Path:
    place.write_text("\n".join([HEAD, *map(line, steps)]))
    return place


def test_a_long_series_is_set_aside_line_by_line(tmp_path: Path) -> None:
    kept = write(tmp_path / "kept", range(LINES))
    later = write(tmp_path / "later", range(LINES, LINES + 1))
    earlier = tmp_path / "earlier"
    with little_memory():
        set_aside(kept, later, earlier)
    assert earlier.read_bytes().split() == kept.read_bytes().split()[1:]


def test_what_earlier_attempts_wrote_is_thinned_out_while_it_is_read(tmp_path: Path) -> None:
    earlier = write(tmp_path / "earlier", range(LINES))
    later = write(tmp_path / "later", range(LINES, LINES + 1000))
    with little_memory():
        steps = read_columns(SeriesFile(later, earlier), "metric", 100)["step"]
    assert (steps[0], steps[-1], steps == sorted(set(steps))) == (0, LINES + 999, True)
    assert 90 <= len(steps) <= 100


def test_a_resumed_series_is_thinned_out_before_it_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST", 10_000)

    def line(index: int) -> str:
        """Two thirds of the file, then the second attempt, which begins at half of those steps."""
        is_second = index >= LINES * 2 // 3
        step = index - LINES // 3 if is_second else index
        return f"{step}|2026-01-01 00:00:{11 if is_second else 1:02}|{int(is_second)}"

    place = write(tmp_path / "resumed", range(LINES), line)
    with little_memory():
        series = SeriesFile(place, tmp_path / "none", (RESTART,))
        found = read_columns(series, "metric", 100)
    steps = found["step"]
    assert (steps[0], steps[-1], steps == sorted(steps)) == (0, LINES * 2 // 3 - 1, True)
    assert 90 <= len(steps) <= 100
    seconds = [step for step, value in zip(steps, found["metric"], strict=True) if value]
    assert abs(seconds[0] - LINES // 3) < 2 * LINES // 100


def test_the_longest_lines_are_not_all_that_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines at equal distances in bytes are the long ones."""
    monkeypatch.setattr(events, "_MOST_BYTES", 100_000)

    def line(index: int) -> str:
        return f"{index}|t|{'x' * 20_000 if index % 100 == 50 else 1}"

    place = write(tmp_path / "mixed", range(10_000), line)
    values = read_columns(SeriesFile(place, tmp_path / "none"), "image")["image"]
    assert 10_000 < sum(map(len, values)) <= 125_000
