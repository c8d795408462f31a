"""A run whose program ended well, while its files are being stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.support.builders import DONE, pod, see, started

from opstrand.core.decide import decide
from opstrand.core.lifecycle.snapshot import Decision

COLLECTOR = {"name": "opstrand-collector", "restartPolicy": "Always"}
#: Main ended at 11:59:50.
SOON, LATER = "2026-01-01T11:59:58Z", "2026-01-01T12:00:01Z"


def decide_at(now: str, operation: dict[str, Any] | None = None, **status: Any) -> Decision:
    """Return what is decided at this time for a Pod whose main has ended."""
    seen = pod({**DONE, "phase": "Running", **status}, initContainers=[COLLECTOR])
    return decide(see(operation or started(), pod=seen, now=datetime.fromisoformat(now)))


def collected(code: int, message: str = "") -> list[dict[str, Any]]:
    end = {"exitCode": code, "message": message}
    return [{"name": COLLECTOR["name"], "state": {"terminated": end}}]


def test_a_short_collection_costs_no_write() -> None:
    decision = decide_at(SOON)
    assert (decision.status, decision.actions) == (None, ())
    assert 0 < (decision.requeue_after or 0) <= 2


def test_a_collection_that_takes_longer_is_shown() -> None:
    decision = decide_at(LATER)
    assert decision.status is not None
    assert (decision.status["phase"], decision.status["reason"]) == ("Processing", "Collecting")
    assert decision.status["startedAt"] == "2026-01-01T11:59:40Z"
    assert decision.actions == ()


def test_a_stop_does_not_take_the_files() -> None:
    operation = started()
    operation["spec"]["control"] = {"stop": True}
    assert decide_at(LATER, operation).actions == ()


def test_the_time_of_the_collection_is_not_the_runs() -> None:
    status = decide_at(LATER, initContainerStatuses=collected(0)).status
    assert status is not None
    assert status["phase"] == "Succeeded"
    assert status["finishedAt"] == "2026-01-01T11:59:50Z"


def test_files_that_are_not_stored_are_named() -> None:
    lost = collected(1, "outputs/model: Permission denied")
    status = decide_at(LATER, initContainerStatuses=lost).status
    assert status is not None
    assert (status["phase"], status["reason"]) == ("Failed", "ArtifactsNotCollected")
    assert status["message"].endswith("outputs/model: Permission denied")
