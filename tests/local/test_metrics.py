"""`opstrand metrics --local` draws what a local program logs, and writes it as JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import yaml
from tests.local.conftest import Run

PROGRAM = """
from polyaxon import tracking
tracking.init()
for step in range(10):
    tracking.log_metrics(step=step, loss=RATE / (step + 1), acc=float("nan") if step == 4 else step)
tracking.end()
"""


@pytest.fixture
def slow_and_fast(here: Run, job: Callable[..., Path]) -> None:
    for name, rate in (("slow", "0.5"), ("fast", "1")):
        ran = here("run", "--local", "-f", job(PROGRAM.replace("RATE", rate), name), "--name", name)
        assert ran.code == 0, ran


def test_metrics_of_several_runs(here: Run, slow_and_fast: None) -> None:
    drawn = here("metrics", "slow", "fast", "--local")
    assert (drawn.code, drawn.stderr) == (0, "")
    titles = [line.strip() for line in drawn.out.splitlines() if line.strip() in ("acc", "loss")]
    assert titles == ["acc", "loss"]
    assert "slow" in drawn.out
    assert "\x1b" not in drawn.out
    one = here("metrics", "fast", "--local", "--metric", "loss")
    assert "acc" not in one.out
    assert "step" in one.out

    rows = list(csv.DictReader(StringIO(here("metrics", "slow", "--local", "-o", "csv").out)))
    assert [row["value"] for row in rows if row["metric"] == "acc"][3:6] == ["3.0", "", "5.0"]
    assert [row["step"] for row in rows if row["metric"] == "loss"] == [str(n) for n in range(10)]
    assert {row["run"] for row in rows} == {"slow"}
    wanted = ("metrics", "slow", "fast", "--local", "--metric", "loss", "--sample", "2")
    slow, fast = json.loads(here(*wanted, "-o", "json").out)
    assert (slow["run"], [one["values"] for one in slow["metrics"]]) == ("slow", [[0.5, 0.05]])
    assert (fast["run"], fast["metrics"][0]["steps"]) == ("fast", [0, 9])


def test_what_there_is_nothing_of(here: Run, slow_and_fast: None, job: Callable[..., Path]) -> None:
    assert here("run", "--local", "-f", job("print(1)", "plain"), "--name", "plain").code == 0
    done = here("metrics", "plain", "--local")
    assert (done.code, done.out) == (0, "")
    assert "no metric of plain is kept" in done.stderr
    done = here("metrics", "slow", "--local", "--metric", "los")
    assert done.code == 4
    assert "no run has a metric 'los'" in done.stderr
    done = here("metrics", "slow", "nowhere", "--local", "-o", "json")
    assert done.code == 4
    assert [one["run"] for one in json.loads(done.out)] == ["slow"]


def test_metrics_of_the_runs_that_a_matrix_made(
    here: Run, job: Callable[..., Path], tmp_path: Path
) -> None:
    component = yaml.safe_load(job(PROGRAM.replace("RATE", "{{ rate }}"), "grid").read_text())
    component["inputs"] = [{"name": "rate", "type": "float"}]
    params = {"rate": {"kind": "choice", "value": [0.5, 1]}}
    operation = {"matrix": {"kind": "grid", "params": params}, "component": component}
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump({"kind": "operation", **operation}, sort_keys=False))
    ran = here("run", "--local", "-f", file, "--name", "tune")
    assert ran.code == 0, ran
    found = json.loads(here("metrics", "tune", "--local", "--metric", "loss", "-o", "json").out)
    assert sorted(one["metrics"][0]["values"][0] for one in found) == [0.5, 1]
    assert here("metrics", "tune", "--local").out.count("tune-") >= 2
