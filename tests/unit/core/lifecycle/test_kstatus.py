"""The conditions of a run, read by the rules of kstatus as Flux and `cli-utils` apply them:
https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus
"""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.core.lifecycle.status import advance
from opstrand.core.phase import Phase

NOW = "2026-01-01T12:00:00Z"
#: Phase: (a job; a service or a schedule).
EXPECTED = {
    Phase.CREATED: ("InProgress", "InProgress"),
    Phase.WAITING: ("InProgress", "InProgress"),
    Phase.QUEUED: ("InProgress", "InProgress"),
    Phase.STARTING: ("InProgress", "InProgress"),
    Phase.RUNNING: ("InProgress", "Current"),
    Phase.RETRYING: ("InProgress", "InProgress"),
    Phase.RESUMING: ("InProgress", "InProgress"),
    Phase.PROCESSING: ("InProgress", "InProgress"),
    Phase.STOPPING: ("InProgress", "InProgress"),
    Phase.SUCCEEDED: ("Current", "Current"),
    Phase.SKIPPED: ("Current", "Current"),
    Phase.FAILED: ("Failed", "Failed"),
    Phase.STOPPED: ("Failed", "Failed"),
    Phase.UPSTREAM_FAILED: ("Failed", "Failed"),
}


def read_kstatus(generation: int, status: dict[str, Any]) -> str:
    """Return what kstatus says of an object of a kind that it does not know."""
    found = {one["type"]: one["status"] for one in status["conditions"]}
    if status["observedGeneration"] != generation or found.get("Reconciling") == "True":
        return "InProgress"
    if found.get("Stalled") == "True":
        return "Failed"
    return "Current" if found.get("Ready", "True") == "True" else "InProgress"


def step(status: dict[str, Any], phase: Phase, reason: str = "Reason") -> dict[str, Any]:
    return advance(status, phase, reason=reason, message="m", now=NOW, generation=3)


@pytest.mark.parametrize("phase", EXPECTED)
def test_a_tool_that_knows_no_runs_knows_how_each_phase_is(phase: Phase) -> None:
    for kind, expected in zip(
        ("job", "service", "schedule"), (*EXPECTED[phase], EXPECTED[phase][1]), strict=True
    ):
        status = step(step({"kind": kind}, Phase.STARTING), phase)
        assert read_kstatus(3, status) == expected
        assert read_kstatus(4, status) == "InProgress"


def test_every_phase_is_in_the_table() -> None:
    assert set(EXPECTED) == set(Phase)


def test_a_service_that_is_restarted_is_not_ready_and_then_is_again() -> None:
    status: dict[str, Any] = {"kind": "service"}
    seen = []
    for phase in (Phase.STARTING, Phase.RUNNING, Phase.RETRYING, Phase.RUNNING, Phase.STOPPED):
        status = step(status, phase)
        seen.append(read_kstatus(3, status))
    assert seen == ["InProgress", "Current", "InProgress", "Current", "Failed"]


def test_the_same_step_again_changes_nothing() -> None:
    for phase in EXPECTED:
        status = step({"kind": "job"}, phase)
        assert step(status, phase) == status
