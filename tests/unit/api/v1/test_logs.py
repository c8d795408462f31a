"""The log of a run as plain text."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from opstrand.runs.bodies import run_uuid
from opstrand.runs.memory import MemoryRuns

RUNS = "/apis/runs.opstrand.dev/v1alpha1/namespaces/team/runs"
AT = "2026-01-02T03:04:08.00000000{}Z"
Client = TestClient[Any, Any]


async def write(runs: MemoryRuns, name: str, *lines: str, attempt: int = 0) -> None:
    uuid = run_uuid(runs.bodies["team", name])
    for number, line in enumerate(lines):
        await runs.write_log(uuid, line, attempt=attempt, at=AT.format(number))


async def read(api: Client, name: str, **query: str) -> str:
    async with api.get(f"{RUNS}/{name}/log", params=query) as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return await answer.text()


async def test_the_log_of_a_run_that_is_over_is_whole(api: Client, runs: MemoryRuns) -> None:
    await write(runs, "run-1", "a", "", "\N{SNOWMAN}")
    assert await read(api, "run-1") == "a\n\n\N{SNOWMAN}\n"
    assert await read(api, "run-1", tailLines="1") == "\N{SNOWMAN}\n"
    assert await read(api, "run-1", tailLines="9") == "a\n\n\N{SNOWMAN}\n"
    assert await read(api, "run-1", tailLines="0") == ""
    assert await read(api, "run-1", tailLines="2", sinceSeconds="1") == ""
    assert await read(api, "run-1", tailLines="2", sinceSeconds="1000000000") == "\n\N{SNOWMAN}\n"
    assert await read(api, "run-1", follow="true") == "a\n\n\N{SNOWMAN}\n"
    assert await read(api, "run-2") == ""
    stamped = await read(api, "run-1", timestamps="true", tailLines="1")
    assert stamped == f"{AT.format(2)} \N{SNOWMAN}\n"


async def test_the_log_of_a_running_run_is_what_there_is_now(api: Client, runs: MemoryRuns) -> None:
    await write(runs, "run-7", "a", "b")
    assert await read(api, "run-7") == "a\nb\n"


async def test_the_newest_attempt_is_read_unless_another_is_asked_for(
    api: Client, runs: MemoryRuns
) -> None:
    body = runs.bodies["team", "run-1"]
    await runs.put({**body, "status": {**body["status"], "attempt": 1}})
    await write(runs, "run-1", "first")
    await write(runs, "run-1", "second", attempt=1)
    assert await read(api, "run-1") == "second\n"
    assert await read(api, "run-1", attempt="0") == "first\n"
    assert await read(api, "run-1", attempt="0", follow="true") == "first\nsecond\n"


async def test_a_followed_log_goes_on_to_the_end_of_the_run(api: Client, runs: MemoryRuns) -> None:
    await write(runs, "run-7", "a")
    async with api.get(f"{RUNS}/run-7/log", params={"follow": "true"}) as answer:
        assert await answer.content.readline() == b"a\n"
        await runs.write_log(run_uuid(runs.bodies["team", "run-7"]), "b")
        assert await asyncio.wait_for(answer.content.readline(), 30) == b"b\n"
        body = runs.bodies["team", "run-7"]
        await runs.put({**body, "status": {**body["status"], "phase": "Succeeded"}})
        assert await asyncio.wait_for(answer.content.read(), 30) == b""


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"attempt": "1"}, "attempt: there are attempts 0 to 0"),
        ({"attempt": "-1"}, "attempt: "),
        ({"follow": "yes"}, "follow: "),
        ({"follow": "true", "tailLines": "1"}, "tailLines: only the log of now has an end"),
    ],
)
async def test_a_wrong_parameter_is_named(api: Client, query: dict[str, str], message: str) -> None:
    async with api.get(f"{RUNS}/run-1/log", params=query) as answer:
        assert answer.status == 400
        assert message in (await answer.json())["message"]
