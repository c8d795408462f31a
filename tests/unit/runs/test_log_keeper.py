"""Logs are kept while their Pods run, and to their ends once these have ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.running_run import operation
from tests.support.steady import works_on

from opstrand.artifacts.log_chunks import LogFiles, open_log
from opstrand.kube.errors import ApiError, NotFound
from opstrand.runs.kept_logs import KeptLogs
from opstrand.runs.log_keeper import LogKeeper
from opstrand.types import Body

#: Seconds; the machine may be slow.
PATIENCE = 60.0


@dataclass
class Pod:
    """A Pod whose container writes what a test says."""

    lines: list[bytes] = field(default_factory=list)
    has_ended: bool = False
    #: Refusals that the next readings get.
    refusals: list[Exception] = field(default_factory=list)
    followers: int = 0

    def write(self, *texts: str, end: str = "\n") -> None:
        for text in texts:
            self.lines.append(f"2026-01-02T03:04:05.{len(self.lines):09}Z {text}{end}".encode())


class Node:
    """Serves the logs of Pods as an API server does."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}

    def run(self, number: int = 0, attempt: int = 0) -> Pod:
        return self.pods.setdefault(f"run-{number}-{attempt}", Pod())

    async def follow_log(self, _: str, pod: str, **query: Any) -> AsyncGenerator[bytes, None]:
        found, sent = self._find(pod), 0
        found.followers += 1
        try:
            while not (found.has_ended and sent == len(found.lines)):
                for line in found.lines[sent:]:
                    sent += 1
                    yield line
                await asyncio.sleep(0.01)
        finally:
            found.followers -= 1

    async def read_log_lines(self, _: str, name: str, **query: Any) -> AsyncGenerator[bytes, None]:
        for line in list(self._find(name).lines):
            yield line

    def _find(self, name: str) -> Pod:
        if name not in self.pods:
            raise NotFound("no such Pod", status=404)
        found = self.pods[name]
        if found.refusals:
            raise found.refusals.pop(0)
        return found


def run(number: int = 0, **status: Any) -> Body:
    attempt = status.get("attempt", 0)
    body = operation(pod={"name": f"run-{number}-{attempt}"}, **{"uuid": f"{number:032}", **status})
    body["metadata"] |= {"uid": f"{number:032}", "name": f"run-{number}"}
    return body


class Keeping:
    """A keeper over a node, and the files that it writes."""

    def __init__(self, base: Path, *, streams: int = 10) -> None:
        async def read_uid(_: Body) -> str:
            return "namespace-uid"

        self.node = Node()
        self.logs = KeptLogs(base, read_uid)
        self.keeper = LogKeeper(self.logs, self.node, streams=streams)
        self._base = base

    def files(self, number: int = 0, attempt: int = 0) -> LogFiles:
        folder = self._base / "logs" / "namespace-uid" / f"{number:032}"
        return open_log(folder, attempt, "main")

    def read(self, number: int = 0, attempt: int = 0) -> list[str]:
        parts = self.files(number, attempt).read()
        return [line.decode()[31:].removesuffix("\n") for part in parts for line in part]

    async def wait(self, until: Callable[[], bool]) -> None:
        for _ in range(int(PATIENCE / 0.01)):
            if until():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not happen in time")

    async def wait_until_complete(self, number: int = 0, attempt: int = 0) -> None:
        await self.wait(self.files(number, attempt).is_complete)


@contextlib.asynccontextmanager
async def keeping(base: Path, **settings: Any) -> AsyncIterator[Keeping]:
    made = Keeping(base, **settings)
    task = asyncio.create_task(made.keeper.run())
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_running_log_is_kept_as_it_is_written_and_complete_at_its_end(
    tmp_path: Path,
) -> None:
    async with keeping(tmp_path) as kept:
        pod = kept.node.run()
        pod.write("one")
        kept.keeper.changed(run())
        await kept.wait(lambda: kept.read() == ["one"])
        pod.write("two", "three")
        await kept.wait(lambda: kept.read() == ["one", "two", "three"])
        assert not kept.files().is_complete()
        pod.has_ended = True
        kept.keeper.changed(run(phase="Succeeded"))
        await kept.wait_until_complete()
        assert kept.read() == ["one", "two", "three"]


async def test_an_object_that_is_deleted_while_its_pod_ends_loses_no_line(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        pod = kept.node.run()
        pod.write("one")
        kept.keeper.changed(run())
        await kept.wait(lambda: pod.followers == 1)
        kept.keeper.dropped(run())
        pod.write("in its grace", "last")
        pod.has_ended = True
        await kept.wait(lambda: pod.followers == 0)
        del kept.node.pods["run-0-0"]
        await kept.wait_until_complete()
        assert kept.read() == ["one", "in its grace", "last"]


async def test_each_attempt_has_its_log(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        for attempt in range(3):
            kept.node.run(attempt=attempt).write(f"attempt {attempt}")
            kept.keeper.changed(run(attempt=attempt))
            kept.node.run(attempt=attempt).has_ended = True
        kept.keeper.changed(run(attempt=2, phase="Failed"))
        for attempt in range(3):
            await kept.wait_until_complete(attempt=attempt)
            assert kept.read(attempt=attempt) == [f"attempt {attempt}"]


async def test_a_log_beyond_the_streams_is_read_once_its_pod_has_ended(tmp_path: Path) -> None:
    async with keeping(tmp_path, streams=1) as kept:
        first, second = kept.node.run(1), kept.node.run(2)
        for number, pod in ((1, first), (2, second)):
            pod.write("begins")
            kept.keeper.changed(run(number))
        await kept.wait(lambda: first.followers == 1)
        second.write("ends")
        second.has_ended = True
        kept.keeper.changed(run(2, phase="Failed"))
        await kept.wait_until_complete(2)
        assert (kept.read(2), first.followers) == (["begins", "ends"], 1)


async def test_another_process_goes_on_where_one_stopped(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        kept.node.run().write("one", "two")
        kept.keeper.changed(run())
        await kept.wait(lambda: kept.read() == ["one", "two"])
    async with keeping(tmp_path) as kept:
        pod = kept.node.run()
        pod.write("one", "two", "three", "four")
        pod.lines = pod.lines[1:]
        pod.has_ended = True
        kept.keeper.changed(run(phase="Succeeded"))
        await kept.wait_until_complete()
        assert kept.read() == ["one", "two", "three", "four"]


async def test_what_a_node_deleted_before_it_was_read_is_said(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        kept.node.run().write("one")
        kept.keeper.changed(run())
        await kept.wait(lambda: kept.read() == ["one"])
    async with keeping(tmp_path) as kept:
        pod = kept.node.run()
        pod.write("one", "two", "three")
        pod.lines = pod.lines[2:]
        kept.keeper.changed(run(phase="Succeeded"))
        await kept.wait_until_complete()
        begin, gap, end = kept.read()
        assert (begin, end, gap.startswith("(opstrand: lines from")) == ("one", "three", True)


async def test_a_pod_that_goes_in_the_middle_of_its_log_is_said(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        kept.node.run().write("one")
        kept.keeper.changed(run())
        await kept.wait(lambda: kept.read() == ["one"])
    async with keeping(tmp_path) as kept:
        kept.keeper.changed(run(phase="Succeeded"))
        await kept.wait_until_complete()
        assert kept.read() == [
            "one",
            "(opstrand: the Pod was deleted while its log was read: lines may be missing here)",
        ]


async def test_a_pod_that_was_gone_before_its_log_was_read_leaves_none(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        kept.keeper.changed(run(phase="Succeeded"))
        await kept.wait_until_complete()
        assert kept.read() == []


async def test_the_last_line_of_a_program_may_have_no_end(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        pod = kept.node.run()
        pod.write("one")
        pod.write("no end", end="")
        pod.has_ended = True
        kept.keeper.changed(run(phase="Succeeded"))
        await kept.wait_until_complete()
        assert kept.read() == ["one", "no end"]


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
async def test_a_log_that_cannot_be_read_is_read_later(phase: str, tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        pod = kept.node.run()
        pod.write("one")
        pod.refusals = [ApiError("the node does not answer", status=502)]
        kept.keeper.changed(run(phase=phase))
        await kept.wait(lambda: kept.read() == ["one"] if kept.files().exists() else False)


async def test_a_message_of_the_node_is_no_line_of_the_log(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        kept.node.run().lines = [b"unable to retrieve container logs for containerd://4f0c"]
        kept.keeper.changed(run(phase="Succeeded"))
        await kept.wait_until_complete()
        assert kept.read() == []


async def test_a_run_that_is_removed_leaves_no_file(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        pod = kept.node.run()
        pod.write("one")
        kept.keeper.changed(run())
        await kept.wait(lambda: kept.read() == ["one"])
        await kept.keeper.remove(run())
        kept.keeper.dropped(run(phase="Succeeded"))
        kept.node.run(1).has_ended = True
        kept.keeper.changed(run(1, phase="Succeeded"))
        await kept.wait_until_complete(1)
        assert (kept.files().exists(), pod.followers) == (False, 0)


async def test_two_processes_do_not_write_at_a_time(tmp_path: Path) -> None:
    async with keeping(tmp_path) as first, keeping(tmp_path) as second:
        second.node.run().write("one")
        second.keeper.changed(run(phase="Succeeded"))
        first.node.run(1).write("one")
        first.keeper.changed(run(1, phase="Succeeded"))
        await first.wait_until_complete(1)
        assert not second.files().exists()


async def test_a_run_without_a_pod_has_no_log(tmp_path: Path) -> None:
    async with keeping(tmp_path) as kept:
        body = run(phase="Skipped")
        body["status"]["pod"] = {}
        kept.keeper.changed(body)
        kept.keeper.changed(run(1, phase="Succeeded"))
        await kept.wait_until_complete(1)
        assert not kept.files().exists()


async def test_an_unexpected_error_is_logged_and_logs_are_kept_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # A path that no file system has: an error that is no OSError.
    work = Keeping(Path("\0")).keeper.run()
    assert await works_on(work, caplog, after="a bug: no log is kept")
