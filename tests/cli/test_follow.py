"""The cursor of a followed log: whatever is read again after a cut, every line is told once and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opstrand.cli.follow import LogCursor

#: Times as the kubelet writes them: nanoseconds without their last zeros, several lines at one time.
TIMES = ["01.1Z", "01.12Z", "01.12Z", "01.12Z", "01.5Z", "02Z", "02Z", "02.000000001Z", "03.9Z", "03.9Z"]
LINES = [f"2026-01-01T00:00:{time} line {index}\n".encode() for index, time in enumerate(TIMES)]
TEXTS = [f"line {index}\n".encode() for index in range(len(TIMES))]


def read(cursor: LogCursor, until: int) -> list[bytes]:
    """One stream from where the cursor asks (in whole seconds, as the API server has it), cut before line `until`."""
    since = cursor.begin()
    seen = [line for line in LINES[:until] if since is None or line[:19] >= since[:19].encode()]
    return [text for line in seen if (text := cursor.take(line)) is not None]


@given(st.lists(st.integers(0, len(LINES)), max_size=6))
def test_no_line_is_lost_or_told_twice(cuts: list[int]) -> None:
    cursor = LogCursor()
    told = [text for until in (*cuts, len(LINES)) for text in read(cursor, until)]
    assert told == TEXTS


def test_lines_keep_their_bytes() -> None:
    cursor = LogCursor()
    assert cursor.take(b"2026-01-01T00:00:01Z \xff  two blanks\r\n") == b"\xff  two blanks\r\n"
    assert cursor.take(b"2026-01-01T00:00:02Z \n") == b"\n"
    assert cursor.take(b"2026-01-01T02:00:03+02:00 other zone") == b"other zone"
    assert cursor.at == "2026-01-01T00:00:03.000000000Z"


def test_the_kubelet_s_own_word_is_told_once() -> None:
    cursor = LogCursor()
    word = b"unable to retrieve container logs for containerd://abc"
    assert (cursor.take(word), cursor.take(word)) == (word, None)
