"""Whether an operation of a pipeline starts, given how those before it ended.

Owns the meaning of `trigger` and `skipOnUpstreamSkip`. A skipped upstream counts as a success (the documents); `one_*` starts early
and never gives up before all upstreams are done; only `failed` counts as failed. Not called yet: pipelines are judged, but not run by this
version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

Verdict = Literal["start", "wait", "upstream_failed", "skipped"]
DEFAULT_TRIGGER = "all_succeeded"


def _succeeded(status: str) -> bool:
    return status in ("succeeded", "skipped")


def _failed(status: str) -> bool:
    return status == "failed"


def _done(status: str) -> bool:
    return True


_COUNTS: dict[str, Callable[[str], bool]] = {"succeeded": _succeeded, "failed": _failed, "done": _done}


def judge_trigger(trigger: str | None, skip_on_upstream_skip: bool, statuses: Sequence[str | None]) -> Verdict:
    """The verdict on an operation whose upstreams ended as `statuses` (None: not yet), in the order in which they ended.

    What was decided when one of them ended is not taken back when the next one does.
    """
    quantity, _, word = (trigger or DEFAULT_TRIGGER).partition("_")
    counts = _COUNTS[word]
    finished = [status for status in statuses if status is not None]
    for end in range(1, len(finished) + 1):
        verdict = _judge(quantity, counts, skip_on_upstream_skip, finished[:end], end == len(statuses))
        if verdict != "wait":
            return verdict
    return "wait" if statuses else "start"


def _judge(quantity: str, counts: Callable[[str], bool], skips: bool, finished: Sequence[str], is_all: bool) -> Verdict:
    if skips and finished[-1] == "skipped":
        return "skipped"
    if quantity == "one" and counts(finished[-1]):
        return "start"
    if not is_all:
        return "wait"
    return "start" if quantity == "all" and all(map(counts, finished)) else "upstream_failed"
