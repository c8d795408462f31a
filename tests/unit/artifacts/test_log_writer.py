"""A log is read as it was written, whatever was killed in between, and a long one says what is left
out of it.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.artifacts.log_chunks import LogFiles, just_before, open_log, run_folder
from opstrand.artifacts.log_writer import LogWriter, Sizes
from opstrand.artifacts.names import BadPath

SMALL = Sizes(chunk=300, head=2, tail=3)


def stamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"2026-01-02T03:{seconds // 60:02}:{seconds % 60:02}.{rest:09}Z"


def make_lines(count: int, step: int = 10**8, text: str = "line") -> list[bytes]:
    return [f"{stamp(number * step)} {text} {number}\n".encode() for number in range(count)]


def read(files: LogFiles, since: str | None = None) -> list[bytes]:
    return [line for part in files.read(since) for line in part]


def open_writer(folder: Path, sizes: Sizes = SMALL) -> LogWriter:
    writer = LogWriter(LogFiles(folder), sizes)
    writer.open()
    return writer


def batches(lines: Sequence[bytes], cuts: Sequence[int]) -> Iterator[Sequence[bytes]]:
    edges = sorted({0, len(lines), *(cut % (len(lines) + 1) for cut in cuts)})
    for begin, end in pairwise(edges):
        yield lines[begin:end]


TEXTS = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=80)
#: The nanoseconds between two lines: some share a time, some are seconds apart.
STEPS = st.sampled_from([0, 0, 1, 10**8, 10**9, 7 * 10**9])


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    at, lines = 0, []
    for step, text in draw(st.lists(st.tuples(STEPS, TEXTS), max_size=60)):
        at += step
        lines.append(f"{stamp(at)} {text}\n".encode())
    return lines


@given(logs(), st.lists(st.integers(0, 99), max_size=8), st.integers(0, 200))
def test_a_process_that_is_killed_goes_on_where_its_files_end(
    lines: list[bytes], cuts: list[int], part: int
) -> None:
    with TemporaryDirectory() as folder:
        sizes = Sizes(chunk=300)
        for batch in batches(lines, cuts):
            writer = open_writer(Path(folder), sizes)
            writer.append(batch)
            stamped = [line[:30].decode() for line in lines[: lines.index(batch[-1]) + 1]]
            assert writer.at == stamped[-1]
            open_ones = list(Path(folder).glob("*.open"))
            if open_ones and part:
                # What it was about to write, and what it had not yet deleted.
                with open_ones[0].open("ab") as file:
                    file.write(b"2026-01-02T03:04:05.000000000Z cut"[:part])
        assert read(LogFiles(Path(folder))) == lines
        writer = open_writer(Path(folder), sizes)
        writer.finish()
        assert read(LogFiles(Path(folder))) == lines
        assert (writer.files.is_complete(), list(Path(folder).glob("*.open"))) == (True, [])


@given(logs(), st.integers(0, 60))
def test_reading_begins_with_a_whole_second(lines: list[bytes], second: int) -> None:
    with TemporaryDirectory() as folder:
        writer, since = open_writer(Path(folder), Sizes(chunk=300)), stamp(second * 10**9 + 5)
        writer.append(lines)
        expected = [line for line in lines if line[:19].decode() >= since[:19]]
        assert read(writer.files, since) == expected


@given(st.lists(st.sampled_from([0, 1]), min_size=1, max_size=40), st.integers(1, 7))
def test_lines_of_one_time_are_counted_over_chunks_and_processes(
    steps: list[int], size: int
) -> None:
    with TemporaryDirectory() as folder:
        at = row = 0
        for step in steps:
            at, row = at + step, 1 if step else row + 1
            writer = open_writer(Path(folder), Sizes(chunk=40 * size))
            writer.append([f"{stamp(at)} x\n".encode()])
            assert (writer.at, writer.nth) == (stamp(at), row)
            again = open_writer(Path(folder))
            assert (again.at, again.nth) == (stamp(at), row)


def test_a_chunk_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    writer, lines = open_writer(tmp_path, Sizes()), make_lines(3)
    writer.append(lines)
    writer.finish()
    (chunk,) = writer.files.scan().chunks
    assert (chunk.lines, chunk.size) == (3, sum(map(len, lines)))
    assert (chunk.first, chunk.last) == (stamp(0), stamp(2 * 10**8))
    assert gzip.decompress((tmp_path / chunk.name).read_bytes()) == b"".join(lines)


def test_a_last_line_without_an_end_is_read_without_one(tmp_path: Path) -> None:
    writer, lines = open_writer(tmp_path), [*make_lines(2), stamp(10**9).encode() + b" no end"]
    writer.append(lines)
    assert read(writer.files) == lines[:2]
    writer.finish()
    assert read(writer.files) == lines


@given(logs(), st.integers(0, 70))
def test_the_last_lines_are_found_without_reading_the_first(
    lines: list[bytes], wanted: int
) -> None:
    with TemporaryDirectory() as folder:
        writer = open_writer(Path(folder), Sizes(chunk=300))
        for line in lines:
            writer.append([line])
        begin = writer.files.find_tail(wanted)
        found = read(writer.files, begin)
        assert found[len(found) - wanted :] == lines[-wanted:] or len(lines) < wanted or not wanted
        complete = sum(chunk.lines for chunk in writer.files.scan().chunks)
        assert (begin is None) == (complete < wanted or not complete)


def test_of_a_long_log_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    lines = make_lines(200)
    for begin in range(0, 200, 2):
        open_writer(tmp_path).append(lines[begin : begin + 2])
    writer = open_writer(tmp_path)
    writer.finish()
    found = read(writer.files)
    notes = [line for line in found if line not in lines]
    assert len(notes) == 1
    index = found.index(notes[0])
    assert found[:index] == lines[:index]
    assert found[index + 1 :] == lines[-len(found[index + 1 :]) :]
    left_out = lines[index : -len(found[index + 1 :])]
    text = notes[0].decode()
    assert f"(opstrand: {len(left_out)} lines ({sum(map(len, left_out)):,} bytes) from " in text
    assert f"from {left_out[0][:19].decode()}Z to {left_out[-1][:19].decode()}Z" in text
    assert text[:30] == just_before(found[index + 1][:30].decode())
    # A reader that is beyond what is left out is told nothing of it.
    since = found[-1][:30].decode()
    assert read(writer.files, since) == [line for line in found if line[:19].decode() >= since[:19]]
    assert notes[0] not in read(writer.files, since)
    assert len(list(tmp_path.glob("*.gz"))) == SMALL.head + SMALL.tail


def test_a_chunk_that_was_left_out_and_not_deleted_is_not_read(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    kept = {}
    for number in range(60):
        writer.append(make_lines(60)[number : number + 1])
        kept |= {place.name: place.read_bytes() for place in tmp_path.glob("*.gz")}
    before = read(writer.files)
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    assert read(writer.files) == before
    open_writer(tmp_path)
    assert len(list(tmp_path.glob("*.gz"))) == SMALL.head + SMALL.tail


def test_a_log_that_was_deleted_is_not_made_again(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "log")
    writer.append(make_lines(1))
    for place in (tmp_path / "log").iterdir():
        place.unlink()
    (tmp_path / "log").rmdir()
    with pytest.raises(FileNotFoundError):
        writer.append(make_lines(1))
    assert (read(writer.files), writer.files.exists()) == ([], False)


def test_what_cannot_be_written_is_not_there_in_part(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.append(make_lines(2))
    place = writer.files.growing(1)
    place.chmod(0o400)
    place.rename(tmp_path / "aside")
    place.mkdir()
    with pytest.raises(IsADirectoryError):
        writer.append(make_lines(3))
    place.rmdir()
    (tmp_path / "aside").rename(place)
    assert read(writer.files) == make_lines(2)


@pytest.mark.parametrize(
    ("at", "before"),
    [
        ("2026-01-02T03:04:05.000000001Z", "2026-01-02T03:04:05.000000000Z"),
        ("2026-01-01T00:00:00.000000000Z", "2025-12-31T23:59:59.999999999Z"),
    ],
)
def test_just_before(at: str, before: str) -> None:
    assert just_before(at) == before


@pytest.mark.parametrize(("project", "uuid"), [("", "a"), ("..", "a"), ("a", "b/c"), ("a", ".")])
def test_no_folder_outside_is_named(project: str, uuid: str, tmp_path: Path) -> None:
    with pytest.raises(BadPath):
        run_folder(tmp_path, project, uuid)
    assert open_log(run_folder(tmp_path, "a", "b"), 0, "main").folder == (
        tmp_path / "logs" / "a" / "b" / "0" / "main"
    )


@pytest.mark.parametrize("moment", range(4))
def test_a_log_that_is_deleted_while_it_is_read_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Before it is listed, and before any of its chunks is opened."""
    writer, lines = open_writer(tmp_path / "log"), make_lines(32)
    for line in lines:
        writer.append([line])
    steps = 0

    def vanishing(do: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            nonlocal steps
            if steps == moment:
                rmtree(tmp_path / "log")
            steps += 1
            return do(*args)

        return step

    monkeypatch.setattr(Path, "iterdir", vanishing(Path.iterdir))
    monkeypatch.setattr(LogFiles, "read_chunk", vanishing(LogFiles.read_chunk))
    found = read(writer.files)
    assert found == lines[: len(found)]
    assert (len(found) == 0) == (moment < 2)
    assert steps > moment
    assert writer.files.find_tail(1) is None
    with pytest.raises(FileNotFoundError):
        writer.append(lines)


def test_the_end_of_a_log_that_is_deleted_meanwhile_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, listed = open_writer(tmp_path / "log"), Path.iterdir
    for line in make_lines(20):
        writer.append([line])
    assert writer.files.find_tail(1) is not None

    def vanish(folder: Path) -> Iterator[Path]:
        rmtree(folder)
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", vanish)
    assert writer.files.find_tail(1) is None
