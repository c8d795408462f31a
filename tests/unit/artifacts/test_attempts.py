"""What earlier attempts wrote counts up to the first step of the later one."""

from __future__ import annotations

from pathlib import Path

import pytest

from opstrand.artifacts.attempts import is_series, read_earlier, read_step, set_aside

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
