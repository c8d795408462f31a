"""Decide whether an operation of a pipeline starts, given how its upstreams ended.

Owns the meaning of `trigger` and `skipOnUpstreamSkip`. A skipped upstream counts as a success (the
documents); `one_*` starts early and never gives up before all upstreams are done; only `failed`
counts as failed.
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


_COUNTS: dict[str, Callable[[str], bool]] = {
    "succeeded": _succeeded,
    "failed": _failed,
    "done": _done,
}


def evaluate_trigger(
    trigger: str | None, skip_on_upstream_skip: bool, statuses: Sequence[str | None]
) -> Verdict:
    """Return the verdict on an operation whose upstreams ended in this order as `statuses`.

    None stands for an upstream that has not ended.

    A later end does not change the verdict of an earlier one.
    """
    quantity, _, word = (trigger or DEFAULT_TRIGGER).partition("_")
    counts = _COUNTS[word]
    finished = [status for status in statuses if status is not None]
    all_count = True
    for end, status in enumerate(finished, 1):
        all_count = all_count and counts(status)
        verdict = _validate(
            quantity,
            counts(status),
            all_count,
            skip_on_upstream_skip and status == "skipped",
            end == len(statuses),
        )
        if verdict != "wait":
            return verdict
    return "wait" if statuses else "start"


def _validate(
    quantity: str, counts: bool, all_count: bool, is_skipped: bool, is_last: bool
) -> Verdict:
    """Return the verdict when one more upstream ended.

    `counts`: it ended as the trigger asks; `all_count`: it and all before it did.
    """
    if is_skipped:
        return "skipped"
    if quantity == "one" and counts:
        return "start"
    if not is_last:
        return "wait"
    return "start" if quantity == "all" and all_count else "upstream_failed"
