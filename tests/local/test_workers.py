"""The pool of workers: what ends a job, which group pays for it, whose turn it is, and that the
pool ends at once on request.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from tests.support.process_tree import is_alive, read_cpu_seconds

from opstrand.core.phase import Phase
from opstrand.core.templates.traced import Piece, TracedText
from opstrand.errors import SpecError
from opstrand.workers.frames import read_answer, write_value
from opstrand.workers.nursery import NICENESS
from opstrand.workers.pool import Busy, Exceeded, Pool, Stuck

pytestmark = pytest.mark.timeout(300)

EVALUATE = "opstrand.workers.worker:evaluate"
LOOP = "{% for i in range(10**12) %}{% endfor %}"
BOMB = "{{ [0] * 10**9 }}"


@pytest_asyncio.fixture(loop_scope="session")
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(modules=("support.jobs",), seconds=0.3, megabytes=96)
    assert (await evaluate(pool, "{{ 1 + 1 }}")).value == 2
    yield pool
    pool.close()


async def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(3000):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not within 60 s")


async def evaluate(pool: Pool, source: str, group: str = "ns", **values: Any) -> Any:
    return await pool.run(EVALUATE, source, values, group=group)


@pytest.mark.parametrize(
    "source", [LOOP, "{{ 9 ** (9 ** 9) }}", "{{ text is matching('(a+)+b') }}"]
)
async def test_a_job_ends_with_its_time_also_where_no_signal_is_heard(
    pool: Pool, source: str
) -> None:
    with pytest.raises(Exceeded, match=r"longer than 0\.3 s of computing time") as caught:
        await evaluate(pool, source, text="a" * 40 + "c")
    assert 0.2 < caught.value.seconds < 3
    assert (await evaluate(pool, "{{ x * 2 }}", x=2)).value == 4


async def test_the_template_that_took_the_time_is_named(pool: Pool) -> None:
    with pytest.raises(Exceeded, match="range"):
        await evaluate(pool, LOOP)


@pytest.mark.parametrize("job", ["support.jobs:eat_memory", "support.jobs:eat_in_one_piece"])
async def test_a_job_ends_with_its_memory(pool: Pool, job: str) -> None:
    with pytest.raises(Exceeded, match="more than 96 MiB"):
        await pool.run(job, group="ns", seconds=10)  # a busy machine allocates memory slowly
    assert (await evaluate(pool, "{{ 1 + 2 }}")).value == 3


async def test_what_is_wrong_with_the_users_data_comes_back_as_it_is(pool: Pool) -> None:
    with pytest.raises(SpecError) as caught:
        await pool.run("support.jobs:refuse_it", group="ns")
    assert [(one.reason, one.path) for one in caught.value.problems] == [("TooLarge", "a.b")]


async def test_a_worker_that_is_lost_is_replaced(pool: Pool) -> None:
    with pytest.raises(Exceeded):
        await pool.run("support.jobs:leave", 7, group="ns")
    assert (await evaluate(pool, "{{ 1 + 3 }}")).value == 4


async def test_a_worker_that_does_not_answer_is_no_fault_of_the_job(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opstrand.workers.pool._PATIENCE", 2.0)
    with pytest.raises(Stuck, match="did not answer within 2 s") as caught:
        await pool.run("support.jobs:sleep", 60, group="ns", seconds=1.5)
    assert caught.value.seconds == 1.5
    monkeypatch.undo()
    assert (await evaluate(pool, "{{ 1 + 3 }}")).value == 4


async def test_everything_else_goes_before_workers(pool: Pool) -> None:
    assert (await pool.run("support.jobs:read_niceness", group="ns")).value == os.nice(0) + NICENESS


@pytest.mark.alone
async def test_one_namespace_never_has_all_workers(pool: Pool) -> None:
    crowd = [asyncio.create_task(evaluate(pool, LOOP, "crowd")) for _ in range(12)]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    assert (await evaluate(pool, "{{ 1 + 4 }}", "other")).value == 5
    assert sum(task.done() for task in crowd) < 12
    assert time.monotonic() - began < 2
    for task in crowd:
        task.cancel()
    assert all(
        isinstance(one, asyncio.CancelledError | Exceeded)
        for one in await asyncio.gather(*crowd, return_exceptions=True)
    )
    assert (await evaluate(pool, "{{ 1 + 5 }}", "crowd")).value == 6


async def test_more_than_may_wait_is_refused_at_once() -> None:
    pool = Pool(modules=(), seconds=0.3, most_waiting=3)
    crowd = [asyncio.create_task(evaluate(pool, LOOP)) for _ in range(6)]
    found = await asyncio.gather(*crowd, return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["Busy"] * 2 + ["Exceeded"] * 4
    assert Busy in map(type, found)
    pool.close()


@pytest.mark.alone
async def test_a_pool_ends_at_once_whatever_its_workers_do() -> None:
    pool = Pool(modules=(), seconds=30, workers=3)
    crowd = [asyncio.create_task(evaluate(pool, "{{ 9 ** (9 ** 9) }}", group)) for group in "ab"]
    await asyncio.sleep(3)
    began = time.monotonic()
    pool.close()
    assert time.monotonic() - began < 1
    assert all(
        isinstance(one, Exception) for one in await asyncio.gather(*crowd, return_exceptions=True)
    )


@pytest.mark.skipif(
    sys.platform != "linux", reason="no other kernel ends a process with its parent"
)
async def test_a_worker_that_computes_ends_with_the_process_that_it_was_forked_from() -> None:
    pool = Pool(modules=("support.jobs",), seconds=30)
    worker, parent = (await pool.run("support.jobs:read_pids", group="ns")).value
    endless = asyncio.create_task(evaluate(pool, "{{ 9 ** (9 ** 9) }}"))
    await wait_until(lambda: read_cpu_seconds(worker) > 0.5)
    os.kill(parent, signal.SIGKILL)
    await wait_until(lambda: not is_alive(worker))
    endless.cancel()
    pool.close()


async def test_many_things_cross_in_pieces(pool: Pool) -> None:
    done = await pool.run(
        "support.jobs:count", "x", group="ns", chunks=([number] * 10 for number in range(50))
    )
    assert done.value == ("x", 500)


def test_an_answer_can_be_nothing_but_values() -> None:
    assert read_answer(pickle.dumps({"a": [1, Phase.FAILED, frozenset({2})]})) == {
        "a": [1, Phase.FAILED, frozenset({2})]
    }
    assert read_answer(write_value([TracedText.of_pieces([Piece("a", True)]), Phase.FAILED])) == [
        "a",
        Phase.FAILED,
    ]
    for wrong in (os.system, print, Pool, asyncio.sleep):
        with pytest.raises(pickle.UnpicklingError):
            read_answer(pickle.dumps(wrong))


async def test_what_a_worker_answers_is_not_believed(pool: Pool) -> None:
    with pytest.raises(RuntimeError, match="cannot be read"):
        await pool.run("support.jobs:answer_with_code", group="ns")


def test_a_pool_that_is_closed_while_its_loop_stands_still_disturbs_no_later_socket() -> None:
    pool = Pool(modules=())
    with asyncio.Runner() as runner:
        assert runner.run(evaluate(pool, "{{ 1 + 6 }}")).value == 7
        pool.close()
        assert runner.run(_talk_over(20)) == [b"hello"] * 20


async def _talk_over(count: int) -> list[bytes]:
    """Send a word over so many new connections, which get the numbers of closed ones."""
    pairs = [socket.socketpair() for _ in range(count)]
    opened = [await asyncio.open_connection(sock=ours) for ours, _ in pairs]
    for _, theirs in pairs:
        with theirs:
            theirs.sendall(b"hello")
    try:
        async with asyncio.timeout(30):
            return [await reader.read() for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.close()
