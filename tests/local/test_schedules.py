"""Schedules without a cluster: a process for each tick, while `run --local` stays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.local.conftest import Run
from tests.support.command_line import CHECKOUT

NIGHTLY = CHECKOUT / "manifests" / "samples" / "nightly.yaml"
ONCE = {"kind": "datetime", "startAt": "2026-01-31T01:30:00Z"}


def write(path: Path, schedule: dict[str, Any], *command: str, **more: Any) -> Path:
    component = {"run": {"kind": "job", "container": {"image": "a", "command": list(command)}}}
    written = {"kind": "operation", "schedule": schedule, "component": component, **more}
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    return path


def test_each_tick_is_a_run_that_knows_its_time(here: Run, tmp_path: Path) -> None:
    section = {"kind": "interval", "frequency": 1, "maxRuns": 3}
    file = write(tmp_path / "often.yaml", section, "echo", "due {{ globals.schedule_at }}")
    ran = here("run", "--local", "-f", file, "--name", "often", "-l")
    assert ran.code == 0, ran
    due = [line.rpartition("due ")[2] for line in ran.out.splitlines()]
    assert len(set(due)) == 3
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one) for one in due)
    shown = here("get", "--local", "often").out
    assert re.search(r"^runs: 3 runs, 3 succeeded$", shown, re.MULTILINE), shown
    listed = here("ls", "--local", "--pipeline", "often", "-q").out.splitlines()
    assert len(listed) == 3
    assert sorted(listed) == sorted(re.findall(r"Succeeded +(often-\S+)", shown))


def test_the_nightly_report_of_the_samples_prints_what_it_says(here: Run, tmp_path: Path) -> None:
    text = NIGHTLY.read_text()
    spec = {**yaml.safe_load(text)["spec"], "schedule": ONCE}
    file = tmp_path / "nightly.yaml"
    file.write_text(yaml.safe_dump({"kind": "operation", **spec}))
    ran = here("run", "--local", "-f", file, "-l")
    assert ran.code == 0, ran
    (printed,) = re.findall(r"^# prints: (.*)$", text, re.MULTILINE)
    assert ran.out.rpartition("] ")[2].strip() == printed


def test_a_pipeline_and_a_matrix_run_on_a_schedule(here: Run, tmp_path: Path) -> None:
    matrix = {"kind": "mapping", "values": [{"n": 1}, {"n": 2}]}
    ran = here(
        "run",
        "--local",
        "-f",
        write(tmp_path / "m.yaml", ONCE, "echo", "{{ n }}", matrix=matrix),
        "-l",
    )
    assert ran.code == 0, ran
    assert sorted(line.rpartition("] ")[2] for line in ran.out.splitlines()) == ["1", "2"]


@pytest.mark.parametrize(
    ("section", "place", "message"),
    [
        ({"kind": "cron", "cron": "0 0 30 2 *"}, "4:", "its day-of-month is not valid"),
        ({"kind": "interval", "frequency": 60, "maxRuns": 0}, "5:", "at least 1"),
        (
            {"kind": "cron", "cron": "@daily", "startAt": "2026-02-01", "endAt": "2026-01-01"},
            "6:",
            "expected a time after startAt",
        ),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_line(
    here: Run, tmp_path: Path, section: dict[str, Any], place: str, message: str
) -> None:
    file = write(tmp_path / "wrong.yaml", section, "true")
    for command in (("check",), ("run", "--local")):
        ran = here(*command, "-f", file)
        assert ran.code != 0
        assert f"wrong.yaml:{place}" in ran.stderr + ran.out
        assert message in ran.stderr + ran.out


def test_a_job_cannot_be_suspended(here: Run, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("run: {kind: job, container: {image: a, command: ['true']}}\n")
    here("run", "--local", "-f", file, "--name", "short")
    ran = here("suspend", "--local", "short")
    assert "has ended already" in ran.stderr + ran.out
