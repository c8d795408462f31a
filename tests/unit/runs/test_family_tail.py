"""Following a pipeline: every line of its runs arrives once, with its operation's name."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import zlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from tests.support.builders import JOB, child_of, parent_of, pipeline

from opstrand.errors import PlatformError
from opstrand.runs.bodies import run_uuid
from opstrand.runs.family_tail import FamilyCursor, read_family
from opstrand.runs.log_tail import Cursor, Patience
from opstrand.runs.memory import MemoryRuns
from opstrand.runs.protocols import Listed, LogLine
from opstrand.types import Body

SOON = Patience(0.2, 0.05)
DAG = parent_of("p", "...", pipeline(*({"name": key, **JOB} for key in "abc")))
PROJECT = DAG["metadata"]["namespace"]


def begun(key: str, phase: str = "Running") -> Body:
    return child_of(DAG, key, phase, pod={"name": f"{key}-pod-0"})


async def enter(runs: MemoryRuns, body: Body, phase: str) -> None:
    await runs.put({**body, "status": {**body["status"], "phase": phase}})


async def read_all(runs: MemoryRuns, *, most: int = 60) -> list[str]:
    """Return all lines, by requests that each know only the text of the last one's cursor."""
    seen, text = list[str](), None
    for _ in range(most):
        chunk = await read_family(runs, DAG, FamilyCursor.parse(text), SOON)
        seen += [said.line.text for said in chunk.lines]
        if chunk.is_complete:
            return seen
        text = str(chunk.cursor)
    raise AssertionError("it never ended")


async def test_the_lines_of_finished_runs_are_sorted_by_time() -> None:
    runs = MemoryRuns([PROJECT])
    await enter(runs, DAG, "Succeeded")
    a, b = begun("a", "Succeeded"), begun("b", "Failed")
    skipped = child_of(DAG, "c", "Skipped")
    for body in (a, b, skipped):
        await runs.put(body)
    for second, (body, text) in enumerate([(a, "one"), (b, "two"), (a, "three")]):
        stamp = f"2026-01-02T03:04:0{second}.000000000Z"
        await runs.write_log(run_uuid(body), text, at=stamp)
    assert await read_all(runs, most=1) == ["[a] one", "[b] two", "[a] three"]


@pytest.mark.parametrize("seed", range(3))
async def test_no_line_is_lost_or_repeated_while_runs_come_and_go(seed: int) -> None:
    runs, chance = MemoryRuns([PROJECT]), random.Random(seed)
    await enter(runs, DAG, "Running")

    async def live(key: str) -> None:
        await asyncio.sleep(chance.random() / 5)
        body = begun(key)
        await runs.put(body)
        for number in range(40):
            # Ten lines share each time, as a quick loop makes them.
            stamp = f"2026-01-02T03:04:0{number // 10}.123456789Z"
            await runs.write_log(run_uuid(body), str(number), at=stamp)
            await asyncio.sleep(chance.random() / 50)
        await enter(runs, body, "Succeeded")

    async def live_all() -> None:
        await asyncio.gather(*map(live, "abc"))
        await enter(runs, DAG, "Succeeded")

    living = asyncio.create_task(live_all())
    seen = await read_all(runs)
    await living
    for key in "abc":
        own = [line for line in seen if line.startswith(f"[{key}] ")]
        assert own == [f"[{key}] {number}" for number in range(40)]


async def test_a_pipeline_that_goes_on_is_waited_for() -> None:
    runs = MemoryRuns([PROJECT])
    await enter(runs, DAG, "Running")
    chunk = await read_family(runs, DAG, FamilyCursor(), SOON)
    assert (chunk.lines, chunk.is_complete, chunk.cursor) == ((), False, FamilyCursor())


async def test_a_run_that_is_deleted_holds_nobody_back() -> None:
    runs = MemoryRuns([PROJECT])
    await enter(runs, DAG, "Running")
    body = begun("a")
    await runs.put(body)
    await runs.write_log(run_uuid(body), "one")
    chunk = await read_family(runs, DAG, FamilyCursor(), SOON)
    assert [said.line.text for said in chunk.lines] == ["[a] one"]
    await runs.delete(PROJECT, run_uuid(body))
    await enter(runs, DAG, "Succeeded")
    chunk = await read_family(runs, DAG, chunk.cursor, SOON)
    assert (chunk.lines, chunk.is_complete) == ((), True)


class CountingRuns(MemoryRuns):
    """Counts how often the runs of a pipeline are listed; a whole project must not be."""

    looks = 0

    def made_by(self, project: str, uid: str) -> Sequence[Listed]:
        self.looks += 1
        return super().made_by(project, uid)

    async def list(self, project: str) -> Sequence[Listed]:
        raise AssertionError("a project may have a hundred thousand runs")


async def test_only_the_runs_of_the_pipeline_are_listed_and_only_when_they_changed() -> None:
    runs = CountingRuns([PROJECT])
    await enter(runs, DAG, "Running")
    await runs.put(begun("a"))
    chunk = await read_family(runs, DAG, FamilyCursor(), Patience(1.3, 0.05))
    assert (chunk.lines, runs.looks) == ((), 1)
    reading = asyncio.create_task(read_family(runs, DAG, FamilyCursor(), Patience(30, 0.05)))
    await asyncio.sleep(0)
    b = begun("b")
    await runs.put(b)
    await runs.write_log(run_uuid(b), "one")
    chunk = await reading
    assert [said.line.text for said in chunk.lines] == ["[b] one"]


class BrokenRuns(MemoryRuns):
    """The log of one run cannot be read."""

    broken = ""

    async def log(
        self, body: Body, attempt: int, since: str | None
    ) -> AsyncGenerator[LogLine, None]:
        if run_uuid(body) == self.broken:
            raise PlatformError("the node does not answer")
        async for line in super().log(body, attempt, since):
            yield line


async def test_a_log_that_cannot_be_read_is_read_by_the_next_request() -> None:
    runs = BrokenRuns([PROJECT])
    a, b = begun("a", "Succeeded"), begun("b", "Succeeded")
    for body in (a, b):
        await runs.put(body)
        await runs.write_log(run_uuid(body), "one")
    await enter(runs, DAG, "Succeeded")
    runs.broken = run_uuid(a)
    chunk = await read_family(runs, DAG, FamilyCursor(), Patience(30, 30))
    assert ([said.line.text for said in chunk.lines], chunk.is_complete) == (["[b] one"], False)
    with pytest.raises(PlatformError):
        await read_family(runs, DAG, chunk.cursor, Patience(30, 30))
    runs.broken = ""
    chunk = await read_family(runs, DAG, chunk.cursor, Patience(30, 30))
    assert ([said.line.text for said in chunk.lines], chunk.is_complete) == (["[a] one"], True)


def test_a_cursor_survives_its_way_through_the_client() -> None:
    cursor = FamilyCursor(
        {(): 0b1011, (3,): 1 << 9999},
        {(3, 7): Cursor(2, "2026-01-02T03:04:05.123456789Z", 3)},
    )
    assert FamilyCursor.parse(str(cursor)) == cursor
    assert cursor.is_done((3, 9999))
    assert not cursor.is_done((3, 7))
    assert not cursor.is_done((5, 0))


def test_the_cursor_of_ten_thousand_runs_fits_into_a_url() -> None:
    chance = random.Random(1)
    at = "2026-01-02T03:04:{:02}.{:09}Z"
    opened = {
        (number * 300,): Cursor(0, at.format(number, chance.randrange(10**9)), 1)
        for number in range(32)
    }
    text = str(FamilyCursor({(): chance.getrandbits(10_000)}, opened))
    assert len(text) < 5000
    assert FamilyCursor.parse(text).open == opened


def encoded(value: Any) -> str:
    return "p." + base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "0.0.",
        "p.",
        "p.%%%",
        "p.AAAA",
        encoded([]),
        encoded([1, 2]),
        encoded([{"x": "1"}, {}]),
        encoded([{"": 1}, {}]),
        encoded([{}, {"1": 2}]),
        encoded([{}, {}, {}]),
        encoded("x" * 10**6),
        encoded([{"": "f" * 10**6}, {}]),
        "p." + "A" * 10_000,
    ],
)
def test_a_foreign_cursor_is_the_beginning(text: str | None) -> None:
    assert FamilyCursor.parse(text) == FamilyCursor()
