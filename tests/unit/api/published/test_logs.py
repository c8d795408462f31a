"""Following a log: every line arrives once, whatever the requests look like, and the end arrives as
soon as there is one.
"""

import asyncio
import time
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.running_run import RUN, UUID, operation

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.core.phase import parse_phase
from opstrand.errors import PlatformError
from opstrand.runs.log_tail import Chunk, Cursor, Patience, read_chunk
from opstrand.runs.memory import MemoryRuns
from opstrand.runs.protocols import LogLine

Api = TestClient[Any, Any]
#: Seconds: answers that are held back are held for three or longer, and a busy machine is slow.
#: Seconds, on a busy machine; a client that is held back waits at least ten.
AT_ONCE = 8.0
LOGS = RUN.replace("/api/v1/", "/streams/v1/quick-start/") + "/logs"


async def follow(api: Api, *, most: int = 50) -> list[str]:
    """Return what the published command line shows: its loop, without its sleeps.

    `most` bounds the requests.
    """
    seen: list[str] = []
    params: dict[str, str] = {"last_time": "2026-01-02T03:04:05.000000+0000"}
    for _ in range(most):
        answer = await (await api.get(LOGS, params=params)).json()
        assert set(answer) == {"logs", "last_time", "last_file", "files"}
        seen += [line["value"] for line in answer["logs"]]
        if not answer["last_file"]:
            assert answer["last_time"] is None
            statuses = await (await api.get(RUN + "/statuses")).json()
            assert statuses["status"] in ("succeeded", "failed")
            return seen
        assert len(answer["files"]) > 1
        assert answer["last_file"] != answer["files"][-1]
        params = {"last_file": answer["last_file"], "last_time": answer["last_time"] or ""}
    raise AssertionError("it never ended")


async def test_a_finished_run_is_reported_at_once(api: Api, runs: MemoryRuns) -> None:
    for text in ("one", "", "it's ünïcode\t$$"):
        await runs.write_log(UUID, text)
    await runs.put(operation(phase="Succeeded"))
    async with asyncio.timeout(AT_ONCE):
        assert await follow(api, most=1) == ["one", "", "it's ünïcode\t$$"]


async def test_one_answer_has_all_of_a_short_run(api: Api, runs: MemoryRuns) -> None:
    await runs.put(operation(startedAt=None, phase="Starting"))

    async def live() -> None:
        await asyncio.sleep(0.1)
        await runs.write_log(UUID, "{'message': 'test 1'}")
        await asyncio.sleep(0.1)
        await runs.end_log(UUID)
        await asyncio.sleep(0.1)
        await runs.put(operation(phase="Succeeded"))

    living = asyncio.create_task(live())
    assert await follow(api, most=1) == ["{'message': 'test 1'}"]
    await living


async def test_no_line_is_lost_or_printed_twice_while_it_grows(api: Api, runs: MemoryRuns) -> None:
    async def live() -> None:
        for number in range(60):
            # ten lines share each timestamp, as a quick loop makes them
            await runs.write_log(
                UUID, str(number), at=f"2026-01-02T03:04:0{number // 10}.123456789Z"
            )
            await asyncio.sleep(0.002)
        await runs.put(operation(phase="Succeeded"))

    living = asyncio.create_task(live())
    assert await follow(api) == [str(number) for number in range(60)]
    await living


async def test_every_attempt_is_reported_in_its_turn(api: Api, runs: MemoryRuns) -> None:
    await runs.write_log(UUID, "first", attempt=0)
    await runs.end_log(UUID, 0)
    await runs.write_log(UUID, "second", attempt=1)
    await runs.put(operation(phase="Failed", attempt=1))
    assert await follow(api) == ["first", "second"]


@pytest.mark.alone
async def test_who_does_not_follow_is_not_held_back_by_a_long_run(
    api: Api, runs: MemoryRuns
) -> None:
    await runs.write_log(UUID, "still here")
    started = time.monotonic()
    answer = await (await api.get(LOGS)).json()
    assert time.monotonic() - started < AT_ONCE
    assert [line["value"] for line in answer["logs"]] == ["still here"]
    assert answer["last_time"]  # the published command line needs it to end


def test_a_cursor_survives_its_way_through_the_client() -> None:
    chunk = Chunk(Cursor())
    for text in "ab":
        chunk.add(LogLine("2026-01-02T03:04:05.123456789Z", text), 2)
    assert Cursor.parse(str(chunk.cursor)) == Cursor(2, "2026-01-02T03:04:05.123456789Z", 2)
    chunk.add(LogLine("2026-01-02T03:04:05.123456789Z", "abc", is_whole=False), 2)
    assert Cursor.parse(str(chunk.cursor)) == Cursor(2, "2026-01-02T03:04:05.123456789Z", 3, 3)
    for nonsense in ("1.2-x.y", "1.-2.y", None, "", "x", "1", "1.x.y", "9" * 100):
        assert Cursor.parse(nonsense) == Cursor()


@pytest.mark.alone
async def test_statuses_are_held_back_only_for_who_waits(api: Api, runs: MemoryRuns) -> None:
    await runs.put(operation(phase="Queued"))
    started = time.monotonic()
    assert (await (await api.get(RUN + "/statuses")).json())["status"] == "queued"
    assert time.monotonic() - started < AT_ONCE

    async def start() -> None:
        await asyncio.sleep(0.2)
        await runs.put(operation(phase="Running"))

    starting = asyncio.create_task(start())
    assert (await (await api.get(RUN + "/statuses")).json())["status"] == "running"
    assert time.monotonic() - started < AT_ONCE
    await starting


@pytest.mark.alone
async def test_a_new_request_is_answered_at_once(api: Api, runs: MemoryRuns) -> None:
    await runs.put(operation(phase="Queued"))
    started = time.monotonic()
    for _ in range(3):  # a restarted command line uses another connection
        answer = await api.get(RUN + "/statuses", headers={"Connection": "close"})
        assert (await answer.json())["status"] == "queued"
    assert time.monotonic() - started < AT_ONCE


class ComplainingRuns(MemoryRuns):
    """Every read of the log ends with a message of the node while the run is not over; some end
    with an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self.troubles = [False, True, False, True, True]

    async def log(self, body: Any, attempt: int, since: str | None) -> Any:
        for line in self._logs[UUID, attempt]:
            yield line
        if parse_phase(body["status"]).is_final:
            return
        if self.troubles and self.troubles.pop(0):
            raise PlatformError("the node does not answer")
        yield LogLine("", "failed to create fsnotify watcher: too many open files")


async def test_messages_of_a_node_in_a_log_make_no_line_appear_twice() -> None:
    runs = ComplainingRuns()
    await runs.put(operation())
    await runs.write_log(UUID, "one")

    async def live() -> None:
        for text in ("two", "three"):
            await asyncio.sleep(0.7)
            await runs.write_log(UUID, text)
        await asyncio.sleep(0.7)
        await runs.put(operation(phase="Succeeded"))

    async with TestClient(
        TestServer(create_app(runs, StaticToken("secret"))),
        headers={"Authorization": "Token secret"},
    ) as api:
        living = asyncio.create_task(live())
        told = await follow(api)
        await living
    assert [text for text in told if not text.startswith("failed")] == ["one", "two", "three"]
    assert told.count("failed to create fsnotify watcher: too many open files") == 1


class BrokenOffRuns(MemoryRuns):
    """Each read of the log ends later in the same line."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = [4, 4, 6, 10]
        self.last = asyncio.Event()

    async def log(self, body: Any, attempt: int, since: str | None) -> Any:
        end = self.ends.pop(0) if self.ends else 10
        if not self.ends:
            self.last.set()
        yield LogLine("2026-01-02T03:04:05.000000000Z", "before")
        text = "0123456789"[:end]
        yield LogLine("2026-01-02T03:04:05.000000000Z", text, is_whole=end == 10)


async def test_a_line_of_which_the_end_arrives_later_is_read_whole() -> None:
    runs = BrokenOffRuns()
    await runs.put(operation())

    async def end() -> None:
        await runs.last.wait()
        await runs.put(operation(phase="Succeeded"))

    async with TestClient(
        TestServer(create_app(runs, StaticToken("secret"))),
        headers={"Authorization": "Token secret"},
    ) as api:
        ending = asyncio.create_task(end())
        told = await follow(api)
        await ending
    assert told == ["before", "0123", "45", "6789"]


class UnreadableRuns(MemoryRuns):
    async def log(self, body: Any, attempt: int, since: str | None) -> Any:
        raise PlatformError("the node does not answer")
        yield


async def test_a_log_that_can_no_more_be_read_is_an_error_and_no_endless_question() -> None:
    runs = UnreadableRuns()
    async with TestClient(
        TestServer(create_app(runs, StaticToken("secret"))),
        headers={"Authorization": "Token secret"},
    ) as api:
        for phase, query, status in (
            ("Succeeded", "0.1.x", 503),
            ("Running", "", 503),
            ("Running", "0.1.x", 200),
        ):
            await runs.put(operation(phase=phase))
            answer = await api.get(LOGS, params={"last_file": query} if query else {})
            assert answer.status == status, (phase, query)
        assert (await answer.json())["last_file"] == "0.1.x"
        started = time.monotonic()
        await api.get(LOGS, params={"last_file": "0.1.x"})
        # a client that repeats at once is no faster than this
        assert time.monotonic() - started > 0.5


class BreakingRuns(MemoryRuns):
    """A followed log ends before its last lines arrive, as a kubelet's may when a container ends at
    once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.times_read = 0

    async def log(self, body: Any, attempt: int, since: str | None) -> Any:
        self.times_read += 1
        if self.times_read == 1:
            return
        async for line in super().log(body, attempt, since):
            yield line


async def test_a_log_that_breaks_off_is_read_again_once_the_run_is_over() -> None:
    runs = BreakingRuns()
    body = await runs.put(operation())
    await runs.write_log(UUID, "the only line")
    reading = asyncio.create_task(read_chunk(runs, body, Cursor(), Patience(5, 5)))
    await asyncio.sleep(0.05)
    await runs.put(operation(phase="Succeeded"))
    chunk = await reading
    assert ([line.text for line in chunk.lines], chunk.is_complete) == (["the only line"], True)
