"""A log is read over the seam between what is kept and what the Pod has, without a line lost or
repeated, by requests that know only where the previous one ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from tests.support.running_run import operation

from opstrand.artifacts.log_chunks import open_log
from opstrand.artifacts.log_writer import LogWriter, Sizes
from opstrand.runs.kept_logs import KeptLogs, Position, continue_after, explain_gap
from opstrand.runs.log_tail import Chunk, Cursor, follow
from opstrand.runs.protocols import LogLine
from opstrand.types import Body

BODY = operation(phase="Succeeded")


def line(nanoseconds: int, text: str) -> LogLine:
    return LogLine(f"2026-01-02T03:04:{nanoseconds // 10**9:02}.{nanoseconds % 10**9:09}Z", text)


@st.composite
def logs(draw: st.DrawFn) -> list[LogLine]:
    """Draw a log in which some lines share a time, and some seconds have none."""
    at, lines = 0, []
    steps = st.sampled_from([0, 0, 1, 3 * 10**8, 10**9])
    for number, step in enumerate(draw(st.lists(steps, max_size=40))):
        at += step
        lines.append(line(at, f"{number}"))
    return lines


class Pod:
    """Has the lines of a log from this one on, and sends them as a node does."""

    def __init__(self, lines: Sequence[LogLine]) -> None:
        self.lines = lines

    async def read(self, since: str | None) -> AsyncGenerator[LogLine, None]:
        for one in self.lines:
            if since is None or one.at[:19] >= since[:19]:
                yield one


class SeamedRuns:
    """The part of `Runs` that a log needs, where `kept` lines are in files."""

    def __init__(
        self, base: Path, kept: Sequence[LogLine], pod: Pod | None, *, complete: bool
    ) -> None:
        async def read_uid(_: Body) -> str:
            return "namespace-uid"

        self.logs, self.pod = KeptLogs(base, read_uid), pod
        self._base, self._kept, self._complete = base, kept, complete

    async def fill(self) -> None:
        folder = await self.logs.folder(BODY)
        assert folder is not None
        writer = LogWriter(open_log(folder, 0, "main"), Sizes(chunk=200))
        writer.open()
        for one in self._kept:
            writer.append([f"{one.at} {one.text}\n".encode()])
        if self._complete:
            writer.finish()

    def log(self, body: Body, attempt: int, since: str | None) -> AsyncGenerator[LogLine, None]:
        return self.logs.read(body, attempt, since, self.pod.read if self.pod else None)


async def read_all(runs: SeamedRuns, most: int) -> list[str]:
    """Read by as many requests as it takes, each of about `most` bytes."""
    cursor, texts = Cursor(), list[str]()
    while True:
        chunk = Chunk(Cursor.parse(str(cursor)), most=most)
        await follow(runs, BODY, chunk, asyncio.Event())  # type: ignore[arg-type]
        texts += [one.text for one in chunk.lines]
        if chunk.is_complete:
            return texts
        assert chunk.cursor != cursor or not chunk.lines
        cursor = chunk.cursor


@given(logs(), st.integers(0, 40), st.integers(0, 40), st.sampled_from([1, 250, 10**6]))
async def test_any_cut_between_kept_and_live_gives_the_same_lines(
    lines: list[LogLine], kept: int, rotated: int, most: int
) -> None:
    with TemporaryDirectory() as folder:
        # The node has deleted some of the lines that are kept, and all of one time together.
        begin = min(rotated, max(min(kept, len(lines)) - 1, 0))
        while begin and lines[begin - 1].at == lines[begin].at:
            begin -= 1
        runs = SeamedRuns(Path(folder), lines[:kept], Pod(lines[begin:]), complete=False)
        await runs.fill()
        assert await read_all(runs, most) == [one.text for one in lines]


@given(logs(), st.sampled_from([1, 250, 10**6]))
async def test_a_complete_log_needs_no_pod(lines: list[LogLine], most: int) -> None:
    with TemporaryDirectory() as folder:
        runs = SeamedRuns(Path(folder), lines, None, complete=True)
        await runs.fill()
        assert await read_all(runs, most) == [one.text for one in lines]


@given(logs(), st.data())
async def test_a_cursor_stays_valid_from_live_to_kept(
    lines: list[LogLine], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        live = SeamedRuns(Path(folder), [], Pod(lines), complete=False)
        first = Chunk(Cursor(), most=data.draw(st.integers(1, 3000)))
        await follow(live, BODY, first, asyncio.Event())  # type: ignore[arg-type]
        gone = SeamedRuns(Path(folder), lines, None, complete=True)
        await gone.fill()
        rest = Chunk(Cursor.parse(str(first.cursor)), most=10**6)
        await follow(gone, BODY, rest, asyncio.Event())  # type: ignore[arg-type]
        assert [one.text for one in (*first.lines, *rest.lines)] == [one.text for one in lines]


async def joined(lines: Sequence[LogLine], end: Position) -> list[str]:
    return [one.text async for one in continue_after(Pod(lines).read(None), end, explain_gap(BODY))]


async def test_what_the_node_has_deleted_is_said() -> None:
    found = await joined(
        [line(5 * 10**9, "a"), line(6 * 10**9, "b")], Position(line(10**9, "").at, 1)
    )
    assert found == [
        "(opstrand: lines from 2026-01-02T03:04:01Z to 2026-01-02T03:04:05Z may be missing: the "
        "node had deleted its older log files before they were read)",
        "a",
        "b",
    ]


def test_a_service_goes_on_in_another_container() -> None:
    facts = {"name": "x", "host": "x", "baseUrl": "/", "ports": [80]}
    service = operation(service=facts)
    assert explain_gap(service) == "the container or the Pod was replaced"


async def test_a_note_is_read_once_and_moves_no_cursor() -> None:
    with TemporaryDirectory() as folder:
        kept, rest = [line(1, "a"), line(2, "b")], [line(5 * 10**9, "c"), line(6 * 10**9, "d")]
        runs = SeamedRuns(Path(folder), kept, Pod(rest), complete=False)
        await runs.fill()
        for most in (1, 10**6):
            texts = await read_all(runs, most)
            assert [text[:9] for text in texts] == ["a", "b", "(opstrand", "c", "d"]


async def test_the_first_reading_says_nothing_of_a_gap() -> None:
    assert await joined([line(5, "a")], Position()) == ["a"]
    assert await joined([], Position(line(1, "").at, 1)) == []


async def test_a_message_of_the_node_is_left_out_where_lines_are_kept() -> None:
    message = LogLine("", "unable to retrieve container logs")
    assert await joined([message], Position()) == [message.text]
    assert await joined([message], Position(line(1, "").at, 1)) == []


async def test_logs_are_deleted_with_their_run(tmp_path: Path) -> None:
    runs = SeamedRuns(tmp_path, [line(1, "a")], None, complete=True)
    await runs.fill()
    folder = await runs.logs.folder(BODY)
    assert folder is not None
    assert folder.exists()
    await runs.logs.delete(BODY)
    assert await read_all(runs, 10) == []
    assert not folder.exists()


async def test_a_namespace_that_is_gone_has_no_logs(tmp_path: Path) -> None:
    async def no_uid(_: Body) -> None:
        return None

    logs = KeptLogs(tmp_path, no_uid)
    assert [one async for one in logs.read(BODY, 0, None, None)] == []
    await logs.delete(BODY)
