"""What a user sees of a run that cannot start: the reason, the whole cause, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from opstrand.cli.options import Target
from opstrand.cli.output.progress import Reporter, report_end
from opstrand.cli.output.spinner import LiveLine

CAUSE = "the registry says that no such image is there"
LONG = f"image {'x' * 600} cannot be pulled: {CAUSE}"


def run(phase: str, reason: str, message: str) -> dict[str, Any]:
    status = {"phase": phase, "reason": reason, "message": message}
    return {"metadata": {"name": "a", "namespace": "p"}, "status": status}


@pytest.mark.parametrize("every_change", [True, False])
def test_a_run_that_cannot_start_says_why_and_what_to_do(
    capsys: pytest.CaptureFixture[str], every_change: bool
) -> None:
    reporter = Reporter(LiveLine(), Target(), every_change=every_change)
    for _ in range(2):
        reporter.change(run("Starting", "ImagePullFailed", LONG))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert told[0].startswith("a: Starting (ImagePullFailed): ")
    assert told[0].endswith(CAUSE)
    assert told[1].startswith("hint: Fix the image's name")


def test_the_next_missing_object_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(LiveLine(), Target(), every_change=False)
    for name in ("first", "second"):
        reporter.change(run("Starting", "VolumeNotMounted", f"secret {name} not found"))
    told = capsys.readouterr().err
    assert "secret first" in told
    assert "secret second" in told


def test_the_end_keeps_the_whole_cause(capsys: pytest.CaptureFixture[str]) -> None:
    report_end(run("Failed", "ImagePullFailed", LONG), Target())
    assert CAUSE in capsys.readouterr().err
