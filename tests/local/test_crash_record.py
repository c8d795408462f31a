"""The record that a killed process leaves for its successor: which runs it worked on, and how often
that happened.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opstrand.controller.cache import Cache
from opstrand.controller.crash_record import CrashRecord
from opstrand.controller.gather import World
from opstrand.controller.reconcile import reconcile
from opstrand.kube.resources import OPERATIONS, PODS
from opstrand.local.kube import MemoryKube
from opstrand.settings import Settings
from opstrand.workers.pool import Pool

#: Enters some runs, leaves those that end with "done", prints a line, and is killed.
PROGRAM = """
import asyncio, os, signal, sys
from opstrand.controller.crash_record import CrashRecord

async def main():
    record = CrashRecord(sys.argv[1])
    async def one(uid):
        async with record.flight(uid):
            await asyncio.sleep(0 if uid.endswith("done") else 60)
    tasks = [asyncio.create_task(one(uid)) for uid in sys.argv[2:]]
    await asyncio.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def die(path: Path, *uids: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path), *uids], timeout=60)
    assert done.returncode == -signal.SIGKILL


def counts(path: Path, *uids: str) -> list[int]:
    record = CrashRecord(str(path))
    found = [record.count(uid) for uid in uids]
    record.close()
    return found


def test_what_was_under_way_is_counted_and_what_was_done_is_not(tmp_path: Path) -> None:
    path = tmp_path / "state" / "crashes"
    die(path, "a", "b", "c-done")
    assert counts(path, "a", "b", "c-done") == [1, 1, 0]
    assert counts(path, "a", "b") == [1, 1]


def test_of_those_with_a_count_one_at_a_time_is_counted_again(tmp_path: Path) -> None:
    """Otherwise all runs at work beside the one that kills the process would be set aside with
    it.
    """
    path = tmp_path / "crashes"
    die(path, "a", "b", "new")
    die(path, "a", "b", "other")
    assert sorted(counts(path, "a", "b")) == [1, 2]
    assert counts(path, "other", "new") == [1, 1]


def test_a_run_that_was_reconciled_after_all_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "crashes"
    die(path, "a", "b")
    record = CrashRecord(str(path))
    record.forgive("a")
    assert (record.count("a"), counts(path, "a", "b")) == (0, [0, 1])
    die(path, "b")
    record = CrashRecord(str(path))
    record.forgive("b")
    assert record.is_set_aside("b")


@pytest.mark.parametrize("content", [b"", b"nothing of ours", b"\xff" * 16448])
def test_a_file_of_something_else_is_made_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "crashes"
    path.write_bytes(content)
    die(path, "a")
    assert counts(path, "a") == [1]


def test_a_place_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    record = CrashRecord(str(tmp_path / "file" / "crashes"))
    assert record.count("a") == 0


def test_more_runs_than_fit_are_reconciled_all_the_same() -> None:
    async def work() -> None:
        record = CrashRecord()

        async def one(number: int) -> None:
            async with record.flight(str(number)):
                await asyncio.sleep(0.01)

        for _ in range(2):
            await asyncio.gather(*(one(number) for number in range(200)))

    asyncio.run(work())


async def test_a_run_that_killed_its_operator_twice_ends_with_a_reason_and_others_go_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "crashes"
    kube = MemoryKube(lambda *_: None)
    component = {"run": {"kind": "job", "container": {"image": "busybox", "command": ["true"]}}}
    for name in ("bad", "good"):
        await kube.create(
            OPERATIONS,
            "ns",
            {"metadata": {"name": name, "uid": name}, "spec": {"component": component}},
        )
    die(path, "bad", "good")
    die(path, "bad")
    world = World(kube, Cache(), Settings(), Pool(modules=()), crashes=CrashRecord(str(path)))
    for body in (await kube.list(OPERATIONS))[0]:
        world.cache.put(OPERATIONS, body)
    for name in ("bad", "good", "bad"):
        await reconcile(("ns", name), world=world, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    bad, good = [(await kube.get(OPERATIONS, "ns", name))["status"] for name in ("bad", "good")]
    assert (bad["phase"], bad["reason"], "killed 2 times" in bad["message"]) == (
        "Failed",
        "SetAside",
        True,
    )
    assert (good["phase"], len((await kube.list(PODS))[0]), world.crashes.count("good")) == (
        "Starting",
        1,
        0,
    )
