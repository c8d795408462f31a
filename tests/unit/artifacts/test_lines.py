"""Lines of a file at equal distances."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opstrand.artifacts import lines
from opstrand.artifacts.lines import count_lines, pick_lines, read_lines, spread

LINES = st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), max_size=60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=LINES, most=st.integers(0, 70), ends=st.booleans(), near=st.integers(1, 50))
def test_picked_lines_are_whole_and_in_order(
    tmp_path: Path, found: list[bytes], most: int, ends: bool, near: int
) -> None:
    place = tmp_path / "file"
    whole = [b"head", *found]
    place.write_bytes(b"\n".join(whole) + (b"\n" if ends else b""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_NEAR", near)
        patch.setattr(lines, "_BLOCK", near)
        picked = list(pick_lines(place, most))
        expected = whole if whole[-1] or ends else whole[:-1]
        assert (list(read_lines(place)), count_lines(place)) == (expected, len(expected))
    assert len(picked) <= most
    rest = iter(found)
    assert all(any(line == one for one in rest) for line in picked)
    if most and found and found[-1]:
        assert picked[-1] == found[-1]


def test_the_distances_are_equal(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("\n".join(["head", *(f"{number:06}" for number in range(100_000))]))
    picked = [int(line) for line in pick_lines(place, 101)]
    assert (len(picked), picked[0], picked[-1]) == (101, 0, 99_999)
    assert all(999 <= later - one <= 1001 for one, later in pairwise(picked))


@pytest.mark.parametrize(
    ("count", "most", "numbers"),
    [
        (3, 5, [0, 1, 2]),
        (3, 3, [0, 1, 2]),
        (10, 4, [0, 3, 6, 9]),
        (10, 1, [9]),
        (10, 0, []),
        (0, 4, []),
    ],
)
def test_numbers_are_spread(count: int, most: int, numbers: list[int]) -> None:
    assert spread(count, most) == numbers
