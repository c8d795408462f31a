"""The cursor of a followed log prints every line once and in order, whatever is read again after a
cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.leaps import in_leaps

from opstrand.cli.cluster.follow import PATIENCE, follow_run
from opstrand.cli.cluster.follow_pipeline import _Logs
from opstrand.cli.cluster.log_cursor import LogCursor, Part
from opstrand.cli.cluster.lookup import choose_attempt
from opstrand.cli.errors import CliError
from opstrand.core.names import GROUP, OP
from opstrand.kube.errors import ApiError, Invalid, NotFound, Unreachable
from opstrand.kube.informer import Informer, Scope
from opstrand.kube.protocol import Page
from opstrand.kube.resources import OPERATIONS, PODS, Resource
from opstrand.runs.members import Path
from opstrand.types import Manifest

#: Times as the kubelet writes them: nanoseconds without trailing zeros, several lines with one
#: time.
TIMES = [
    "01.1Z",
    "01.12Z",
    "01.12Z",
    "01.12Z",
    "01.5Z",
    "02Z",
    "02Z",
    "02.000000001Z",
    "03.9Z",
    "03.9Z",
]
LINES = [f"2026-01-01T00:00:{time} line {index}\n".encode() for index, time in enumerate(TIMES)]
TEXTS = [f"line {index}\n".encode() for index in range(len(TIMES))]


def read(cursor: LogCursor, until: int) -> list[bytes]:
    """Return one stream from the time that the cursor asks for (in whole seconds, as the API server
    has it), cut before line `until`.
    """
    since = cursor.begin()
    seen = [line for line in LINES[:until] if since is None or line[:19] >= since[:19].encode()]
    return [text for line in seen if (text := cursor.accept(line)) is not None]


@given(st.lists(st.integers(0, len(LINES)), max_size=6))
def test_no_line_is_lost_or_printed_twice(cuts: list[int]) -> None:
    cursor = LogCursor()
    told = [text for until in (*cuts, len(LINES)) for text in read(cursor, until)]
    assert told == TEXTS


def test_a_line_of_which_the_end_arrives_later_is_reported_whole() -> None:
    cursor = LogCursor()
    begin, more = b"2026-01-01T00:00:01Z xxxx", b"2026-01-01T00:00:01Z xxxxyy"
    readings = [[begin], [begin], [more], [more + b"\n"], [more + b"\n", begin]]
    reported = []
    for reading in readings:
        cursor.begin()
        reported.append([text for line in reading if (text := cursor.accept(line)) is not None])
    assert reported == [[b"xxxx"], [], [b"yy"], [b"\n"], [b"xxxx"]]


def test_lines_keep_their_bytes() -> None:
    cursor = LogCursor()
    assert cursor.accept(b"2026-01-01T00:00:01Z \xff  two blanks\r\n") == b"\xff  two blanks\r\n"
    assert cursor.accept(b"2026-01-01T00:00:02Z \n") == b"\n"
    assert cursor.accept(b"2026-01-01T02:00:03+02:00 other zone") == b"other zone"
    assert cursor.at == "2026-01-01T00:00:03.000000000Z"


def test_the_kubelet_s_own_word_is_reported_once() -> None:
    cursor = LogCursor()
    word = b"unable to retrieve container logs for containerd://abc"
    assert (cursor.accept(word), cursor.accept(word)) == (word, None)


def test_a_container_that_was_removed_after_its_log_was_read_is_no_news() -> None:
    word = b"unable to retrieve container logs for containerd://abc"
    cursor = LogCursor()
    cursor.begin()
    cursor.finish()
    assert cursor.accept(word) == word, "nothing was read"
    cursor = LogCursor()
    cursor.begin()
    assert cursor.accept(b"2026-01-01T00:00:01Z goodbye\n") == b"goodbye\n"
    cursor.finish()
    cursor.begin()
    assert cursor.accept(word) is None


class RetryingCluster:
    """Plays one run over two attempts: what the API server returns at each step, and which Pods
    have a log then.

    It stands for an API server with a kubelet, which this tier does not have; `follow` is real.
    """

    def __init__(self, steps: list[tuple[dict[str, Any], dict[str, list[bytes]]]]) -> None:
        self._steps = steps
        self._now = 0

    def body(self, number: int) -> Manifest:
        metadata = {
            "namespace": "ns",
            "name": "a",
            "uid": "uid",
            "resourceVersion": str(number + 1),
        }
        return {"metadata": metadata, "spec": {}, "status": self._steps[number][0]}

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[tuple[str, Manifest]]:
        while self._now < len(self._steps) - 1:
            # Wait long enough for the follower to ask for the Pod that does not exist yet.
            await asyncio.sleep(0.3)
            self._now += 1
            yield "MODIFIED", self.body(self._now)

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        if resource is not PODS:
            return self.body(self._now)
        if name not in self._steps[self._now][1]:
            raise NotFound("not there", status=404)
        state = (
            {"terminated": {}}
            if name.endswith(f"-{self._attempt - 1}") or self._is_over
            else {"running": {}}
        )
        return {"status": {"containerStatuses": [{"name": "main", "state": state}]}}

    @property
    def _attempt(self) -> int:
        return int(self._steps[self._now][0]["attempt"])

    @property
    def _is_over(self) -> bool:
        return self._now == len(self._steps) - 1

    async def follow_log(self, namespace: str, pod: str, **_: Any) -> AsyncGenerator[bytes, None]:
        lines = self._steps[self._now][1].get(pod)
        if lines is None:
            raise NotFound("not there", status=404)
        for line in lines:
            yield line


FIRST, SECOND = [b"2026-01-01T00:00:01Z first\n"], [b"2026-01-01T00:00:09Z second\n"]


def at(phase: str, attempt: int) -> dict[str, Any]:
    return {"phase": phase, "attempt": attempt, "pod": {"name": f"a-uid-{attempt}"}}


@pytest.mark.parametrize("ends", ["Succeeded", "Failed"])
@pytest.mark.parametrize(
    "in_between", ["Retrying Starting Running", "Retrying Running", "Retrying", "Retrying Starting"]
)
async def test_every_attempt_is_followed(ends: str, in_between: str) -> None:
    """While a run is retried its status names the next attempt's Pod, which does not exist yet:
    that does not mean that it is gone.
    """
    before = {"a-uid-0": FIRST}
    after = {**before, "a-uid-1": SECOND}
    steps = [(at("Running", 0), before)]
    steps += [
        (at(phase, 1), after if phase == "Running" else before) for phase in in_between.split()
    ]
    cluster: Any = RetryingCluster([*steps, (at(ends, 1), after)])
    told: list[bytes] = []
    final = await follow_run(
        cluster, cluster.body(0), on_change=lambda body: None, on_line=told.append
    )
    assert (final["status"]["phase"], told) == (ends, [b"first\n", b"second\n"])


class WrittenCluster(RetryingCluster):
    """Two attempts have ended; a reading is narrowed as a kubelet narrows it. The Pod of the first
    is gone, and what an API kept of its log is `kept`.
    """

    def __init__(self, kept: list[bytes]) -> None:
        super().__init__([(at("Failed", 1), {"a-uid-1": LINES})])
        self.kept = kept
        self.asked: list[dict[str, Any]] = []

    async def follow_log(
        self, namespace: str, pod: str, **query: Any
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(super().follow_log(namespace, pod)) as lines:
            found = [line async for line in lines]
        since = str(query.get("sinceTime", ""))[:19].encode()
        found = [line for line in found if line[:19] >= since]
        for line in found[max(len(found) - query.get("tailLines", len(found)), 0) :]:
            yield line

    async def read_log_lines(self, *_: Any, **query: Any) -> AsyncGenerator[bytes, None]:
        self.asked.append(query)
        for line in self.kept:
            yield line


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Part(), [b"kept\n", *TEXTS]),
        (Part(tail=2), TEXTS[-2:]),
        (Part(tail=0), []),
        (Part(since="2026-01-01T00:00:01.500000000Z"), TEXTS[4:]),
        (Part(tail=3, since="2026-01-01T00:00:03.000000000Z"), TEXTS[-2:]),
        (Part(tail=1, timestamps=True), [b"2026-01-01T00:00:03.900000000Z line 9\n"]),
    ],
)
async def test_a_part_of_a_log_is_followed(part: Part, expected: list[bytes]) -> None:
    cluster, told = WrittenCluster([b"kept\n"]), list[bytes]()
    await follow_run(
        cluster,  # type: ignore[arg-type]
        cluster.body(0),
        on_change=lambda body: None,
        on_line=told.append,
        part=part,
    )
    assert told == expected
    assert len(cluster.asked) == (0 if part.begins_late else 1)


async def test_a_run_that_has_not_begun_is_not_cut_to_its_last_lines() -> None:
    cluster, told = WrittenCluster([]), list[bytes]()
    pods = {"a-uid-0": LINES}
    cluster._steps = [(at("Starting", 0), {}), (at("Running", 0), pods), (at("Failed", 0), pods)]
    await follow_run(
        cluster,  # type: ignore[arg-type]
        cluster.body(0),
        on_change=lambda body: None,
        on_line=told.append,
        part=Part(tail=2),
    )
    assert told == TEXTS


class WrittenPipeline(WrittenCluster):
    """A list finds one run of a pipeline, and the watch another; both have written their lines."""

    def run(self, name: str) -> Manifest:
        body = self.body(0)
        kind = {"apiVersion": f"{GROUP}/v1", "kind": "Operation"}
        owner = {**kind, "uid": "flow", "controller": True}
        body["metadata"] |= {"name": name, "uid": name, "ownerReferences": [owner]}
        body["metadata"]["labels"] = {OP: name}
        return body

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Page]:
        yield Page([self.run("there")], "1")

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[tuple[str, Manifest]]:
        yield "ADDED", self.run("later")


async def test_only_the_runs_that_are_there_are_cut_to_their_last_lines() -> None:
    cluster: Any = WrittenPipeline([])
    told: dict[Path, list[bytes]] = {}
    logs = _Logs(
        {"metadata": {"uid": "flow"}},
        cluster,
        lambda path: told.setdefault(path, []).append,
        Part(tail=2),
    )
    async with asyncio.timeout(60):
        await Informer(cluster, Scope(OPERATIONS, "ns"), logs).run(until=lambda: len(told) == 2)
        await logs.finish()
    await logs.stop()
    assert told == {("there",): TEXTS[-2:], ("later",): TEXTS}


class TroubledCluster(RetryingCluster):
    """Every watch fails with this error; a GET finds this body, or fails with the same error."""

    def __init__(self, error: Exception, found: Manifest | None = None) -> None:
        super().__init__([(at("Running", 0), {})])
        self.error, self.found = error, found

    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[tuple[str, Manifest]]:
        raise self.error
        yield

    async def get(self, *_: Any) -> Manifest:
        if self.found is None:
            raise self.error
        return self.found


async def follow(cluster: Any) -> tuple[Manifest, list[str]]:
    """Return the final body and the phases that were reported on the way."""
    phases: list[str] = []
    final = await follow_run(
        cluster, cluster.body(0), on_change=lambda body: phases.append(body["status"]["phase"])
    )
    return final, phases


@in_leaps
async def test_a_cluster_that_does_not_answer_is_waited_for_a_minute() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(Unreachable):
        await follow(TroubledCluster(Unreachable("no answer", status=0)))
    assert PATIENCE < loop.time() - began < PATIENCE + 10


@pytest.mark.parametrize("error", [NotFound("no kind", status=404), Invalid("bad", status=400)])
@in_leaps
async def test_a_watch_that_cannot_get_better_ends_the_following_at_once(error: ApiError) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(type(error)):
        await follow(TroubledCluster(error))
    assert loop.time() - began < 1


@in_leaps
async def test_a_run_whose_name_was_taken_again_was_deleted() -> None:
    cluster = TroubledCluster(Unreachable("reset", status=0))
    other = cluster.body(0)
    other["metadata"] |= {"uid": "other", "resourceVersion": "9"}
    cluster.found = other
    with pytest.raises(CliError, match="the run a was deleted"):
        await follow(cluster)


@in_leaps
async def test_the_end_that_a_broken_watch_did_not_report_is_found() -> None:
    cluster = TroubledCluster(Unreachable("reset", status=0))
    ended = {**cluster.body(0), "status": at("Succeeded", 0)}
    ended["metadata"]["resourceVersion"] = "9"
    cluster.found = ended
    assert await follow(cluster) == (ended, ["Running", "Succeeded"])


@pytest.mark.parametrize(
    ("phase", "attempt", "wanted", "found"),
    [
        ("Running", 2, None, 2),
        ("Running", 2, -1, 1),
        ("Running", 2, 0, 0),
        ("Retrying", 2, None, 1),
        ("Retrying", 2, -1, 0),
        ("Retrying", 2, 2, None),
        ("Succeeded", 0, -1, None),
        ("Succeeded", 0, 1, None),
        ("Succeeded", 3, 3, 3),
    ],
)
def test_which_attempt_is_meant(
    phase: str, attempt: int, wanted: int | None, found: int | None
) -> None:
    body = {"metadata": {"name": "a", "uid": "uid"}, "status": at(phase, attempt)}
    if found is None:
        with pytest.raises(CliError, match="no such attempt"):
            choose_attempt(body, wanted)
    else:
        assert choose_attempt(body, wanted) == found
