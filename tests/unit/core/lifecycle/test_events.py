"""Which steps of a run are Events of Kubernetes, and what they say."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.builders import body

from opstrand.core.lifecycle.events import render_event


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {"phase": "Waiting", "reason": "UpstreamPending"}, False),
        ({}, {"phase": "Starting", "reason": "PodCreated"}, False),
        (
            {"phase": "Starting", "reason": "PodCreated"},
            {"phase": "Running", "reason": "PodRunning"},
            False,
        ),
        (
            {"phase": "Running", "reason": "PodRunning"},
            {"phase": "Succeeded", "reason": "Succeeded"},
            False,
        ),
        (
            {"phase": "Running", "reason": "PodRunning"},
            {"phase": "Stopped", "reason": "Stopped"},
            False,
        ),
        (
            {"phase": "Starting", "reason": "PodCreated"},
            {"phase": "Starting", "reason": "ImagePullFailed", "message": "no"},
            True,
        ),
        (
            {"phase": "Starting", "reason": "ImagePullFailed"},
            {"phase": "Starting", "reason": "ImagePullFailed", "message": "no"},
            False,
        ),
        (
            {"phase": "Running", "reason": "PodRunning"},
            {"phase": "Retrying", "reason": "ContainerFailed", "attempt": 1},
            True,
        ),
        ({}, {"phase": "Failed", "reason": "PodRefused", "message": "x" * 5000}, True),
        (
            {"phase": "Running", "reason": "PipelineRunning"},
            {"phase": "Running", "reason": "QuotaExceeded", "message": "no"},
            True,
        ),
        (
            {"phase": "Running", "reason": "QuotaExceeded"},
            {"phase": "Running", "reason": "PipelineRunning"},
            False,
        ),
    ],
)
def test_an_event_is_for_trouble_and_reported_once(
    before: dict[str, Any], after: dict[str, Any], told: bool
) -> None:
    event = render_event(body(), before, after, now="2026-01-01T12:00:00.123456Z")
    assert (event is not None) is told
    if event is not None:
        assert event["involvedObject"]["name"] == "run"
        assert event["lastTimestamp"] == "2026-01-01T12:00:00Z"
        assert len(event["message"]) <= 1024


RUNNING = {"phase": "Running", "reason": "PodRunning"}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({}, {"phase": "Starting", "reason": "PodCreated"}, None),
        ({"phase": "Starting", "reason": "PodCreated"}, RUNNING, ("Normal", "PodRunning")),
        (RUNNING, {"phase": "Running", "reason": "Other"}, None),
        (RUNNING, {"phase": "Succeeded", "reason": "Succeeded"}, ("Normal", "Succeeded")),
        (RUNNING, {"phase": "Stopped", "reason": ""}, ("Normal", "Stopped")),
        (RUNNING, {"phase": "Failed", "reason": "PodRefused"}, ("Warning", "PodRefused")),
    ],
)
def test_a_setting_asks_for_an_event_at_start_and_end(
    before: dict[str, Any], after: dict[str, Any], kind: tuple[str, str] | None
) -> None:
    now = "2026-01-01T12:00:00Z"
    event = render_event(body(), before, after, now=now, with_normal=True)
    assert (None if event is None else (event["type"], event["reason"])) == kind
