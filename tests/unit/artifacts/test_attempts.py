"""What earlier attempts wrote counts up to the first step of the later one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opstrand.artifacts.attempts import drop_replaced, is_series, read_earlier, read_step, set_aside

HEAD = "step|timestamp|metric"


def supersede(folder: Path, *contents: str) -> tuple[list[str], str]:
    """Replace a series by each content; return what counts of earlier ones, and the last."""
    kept, later, earlier = folder / "kept", folder / "later", folder / "deep" / "earlier"
    for content in contents:
        later.write_text(content)
        set_aside(kept, later, earlier)
        later.replace(kept)
    return [line.decode() for line in read_earlier(earlier, kept)], kept.read_text()


@pytest.mark.parametrize(
    ("contents", "counts"),
    [
        ([f"{HEAD}\n1|a|1"], []),
        ([f"{HEAD}\n1|a|1", f"{HEAD}\n1|a|1\n2|b|2"], []),
        ([f"{HEAD}\n1|a|1\n2|a|2", f"{HEAD}\n2|b|2"], ["1|a|1"]),
        ([f"{HEAD}\n1|a|1\n2|a|2", f"{HEAD}\n1|b|2"], []),
        ([f"{HEAD}\n1|a|1\n2|a|2", f"{HEAD}\n2|b|2", f"{HEAD}\n3|c|3"], ["1|a|1", "2|b|2"]),
        ([f"{HEAD}\n|a|1", f"{HEAD}\n|b|2"], ["|a|1"]),
        ([f"{HEAD}\n|a|1\n5|a|1", f"{HEAD}\n5|b|2"], ["|a|1"]),
        (
            ['\n{"step": 1, "text": "a"}', '\n{"step": 2, "text": "b"}'],
            ['{"step": 1, "text": "a"}'],
        ),
        (['\n{"step": 2, "text": "a"}', '\n{"step": 2, "text": "b"}'], []),
        (["", f"{HEAD}\n1|a|1"], []),
    ],
)
def test_what_counts(tmp_path: Path, contents: list[str], counts: list[str]) -> None:
    assert supersede(tmp_path, *contents) == (counts, contents[-1])


def at(second: int) -> str:
    return f"2026-01-01 00:00:{second:02}+00:00"


@pytest.mark.parametrize(
    ("lines", "restarts", "kept"),
    [
        ([(0, 1), (1, 2), (2, 3)], [], [0, 1, 2]),
        ([(0, 1), (1, 2), (0, 11), (1, 12)], [10], [2, 3]),
        ([(0, 1), (1, 2), (1, 11), (2, 12)], [10], [0, 2, 3]),
        ([(0, 1), (1, 2), (1, 2)], [], [0, 1, 2]),
        ([(0, 1), (1, 2), (1, 11), (2, 12), (2, 21)], [10, 20], [0, 2, 4]),
        ([(0, 1), (1, 2)], [10], [0, 1]),
        ([(None, 1), (5, 2), (5, 11)], [10], [0, 2]),
        ([(0, 1), (None, 11)], [10], [0, 1]),
    ],
)
def test_a_later_attempt_in_the_same_file_replaces_from_its_first_step_on(
    lines: list[tuple[int | None, int]], restarts: list[int], kept: list[int]
) -> None:
    metric = [f"{'' if step is None else step}|{at(second)}|1.0".encode() for step, second in lines]
    text = [
        json.dumps({"timestamp": at(second), "step": step, "text": "x"}).encode()
        for step, second in lines
    ]
    times = [f"2026-01-01T00:00:{second}Z" for second in restarts]
    for written in (metric, text):
        assert drop_replaced(written, times) == [written[index] for index in kept]


def test_what_has_no_time_is_kept() -> None:
    lines = [b"", b"x", b"1|noon|2", b"{", b"[1]", b"3|2026-01-01 00:00:00|1"]
    assert drop_replaced(lines, ["2025-01-01T00:00:00Z", "noon", ""]) == lines


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("events/metric/a.plx", True),
        ("resources/metric/cpu.plx", True),
        ("outputs/a.plx", False),
        ("events/metric/a.txt", False),
        ("assets/image/a.png", False),
    ],
)
def test_which_paths_are_series(path: str, expected: bool) -> None:
    assert is_series(path) is expected


@pytest.mark.parametrize(
    "line", [b"", b"x|y", b"{", b"[1]", b'{"step": [1]}', b'{"a": 1}', b"\xff|"]
)
def test_a_line_without_a_step_has_none(line: bytes) -> None:
    assert read_step(line) is None
