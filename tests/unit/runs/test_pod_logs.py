"""A Pod's log: waiting for its container, and the forms of time that Kubernetes writes."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.support.running_run import operation

from opstrand.kube.errors import Invalid, NotFound
from opstrand.runs.pod_logs import (
    LONGEST_LINE,
    attempt_pod,
    follow_pod,
    in_utc,
    leave_out_rest,
    parse_line,
)
from opstrand.runs.protocols import LogLine
from opstrand.types import Body


class Pods:
    """Answers as the API server does: each entry is a refusal or the lines."""

    def __init__(self, *answers: Exception | list[bytes], phases: tuple[str, ...] = ()) -> None:
        self.answers = list(answers)
        self.phases = list(phases)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def follow(self, namespace: str, pod: str, **query: Any) -> AsyncGenerator[bytes, None]:
        self.asked.append((f"{namespace}/{pod}", query))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for line in answer:
            yield line

    async def wait(self, *_: Any) -> Body:
        return operation(phase=self.phases.pop(0) if self.phases else "Running")


async def read(pods: Pods, body: Body, attempt: int = 0, since: str | None = None) -> list[str]:
    return [line.text async for line in follow_pod(pods.follow, pods.wait, body, attempt, since)]


async def test_it_waits_until_the_container_has_started() -> None:
    starting = Invalid("container is waiting to start: PodInitializing", status=400)
    pods = Pods(
        NotFound("no such pod", status=404), starting, [b"2026-01-02T03:04:05.123456789Z hello\n"]
    )
    assert await read(pods, operation(phase="Starting"), since="2026-01-02T03:04:05.9Z") == [
        "hello"
    ]
    query = {
        "container": "main",
        "timestamps": True,
        "longest": LONGEST_LINE,
        "sinceTime": "2026-01-02T03:04:05Z",
    }
    assert pods.asked == [("quick-start/echo-4f0c1a2b-0", query)] * 3


async def test_a_pod_that_is_gone_has_no_log() -> None:
    gone = NotFound("no such pod", status=404)
    assert await read(Pods(gone), operation(phase="Failed")) == []
    assert await read(Pods(gone), operation(attempt=1), attempt=0) == []
    assert await read(Pods(), operation(phase="Skipped", pod={})) == []


async def test_a_run_that_ends_before_its_container_started_ends_its_log() -> None:
    waiting = Invalid("container is waiting to start: ImagePullBackOff", status=400)
    assert await read(Pods(waiting, waiting, phases=("Failed",)), operation(phase="Starting")) == []


def test_each_attempt_has_its_pod() -> None:
    body = operation(attempt=2, pod={"name": "my-run-4f0c1a2b-2"})
    assert [attempt_pod(body, attempt) for attempt in range(3)] == [
        f"my-run-4f0c1a2b-{attempt}" for attempt in range(3)
    ]


SECOND = "2026-01-02T03:04:05.000000000"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"2026-01-02T03:04:05.1Z a b\n", LogLine("2026-01-02T03:04:05.100000000Z", "a b")),
        (b"2026-01-02T03:04:05.123456789Z \n", LogLine("2026-01-02T03:04:05.123456789Z", "")),
        (
            b"2026-01-02T03:04:05Z caf\xc3\xa9 \xff\r\n",
            LogLine("2026-01-02T03:04:05.000000000Z", "café \ufffd\r"),
        ),
        (
            b"2026-01-02T05:04:05.123456789+02:00 zone\n",
            LogLine("2026-01-02T03:04:05.123456789Z", "zone"),
        ),
        (
            b"2026-01-02T03:04:05Z \x00 \x1b[1m \xe2\x80\xa8 \xed\xa0\x80\r",
            LogLine(f"{SECOND}Z", "\x00 \x1b[1m \u2028 \ufffd\ufffd\ufffd\r", is_whole=False),
        ),
        # A kubelet reports this with 200 and no time, in place of the log.
        (
            b"unable to retrieve container logs for containerd://4f0c",
            LogLine("", "unable to retrieve container logs for containerd://4f0c"),
        ),
        (b"\n", LogLine("", "")),
    ],
)
def test_lines(raw: bytes, line: LogLine) -> None:
    assert parse_line(raw) == line


TIMED = [b"2026-01-02T03:04:05.2Z two\n", b"2026-01-02T03:04:05.3Z three"]
REST, MESSAGE = b"xxxx\n", b"unable to retrieve container logs for containerd://4f0c"


@pytest.mark.parametrize(
    ("since", "sent", "read"),
    [
        ("2026-01-02T03:04:05Z", [REST, *TIMED], TIMED),
        ("2026-01-02T03:04:05Z", TIMED, TIMED),
        ("2026-01-02T03:04:05Z", [MESSAGE], [MESSAGE]),
        ("2026-01-02T03:04:05Z", [*TIMED, MESSAGE], [*TIMED, MESSAGE]),
        ("2026-01-02T03:04:05Z", [], []),
        (None, [MESSAGE, *TIMED], [MESSAGE, *TIMED]),
    ],
)
async def test_the_rest_of_a_line_that_began_before_the_reading_is_left_out(
    since: str | None, sent: list[bytes], read: list[bytes]
) -> None:
    async def lines() -> AsyncGenerator[bytes, None]:
        for line in sent:
            yield line

    assert [line async for line in leave_out_rest(lines(), since)] == read


def test_moments_compare_as_text_whatever_their_zone() -> None:
    assert in_utc("2026-01-02T00:30:00.5-01:00") < in_utc("2026-01-02T01:30:00.500000001Z")
