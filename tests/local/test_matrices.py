"""Matrices without a cluster: a process for each suggestion, with real results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from tests.local.conftest import Run

REPORT = """\
from polyaxon.client import RunClient
run = RunClient()
run.refresh_data()
lr = run.get_inputs()["lr"]
run.log_outputs(loss=(lr - 0.3) ** 2)
"""
GRID = {"kind": "grid", "params": {"lr": {"kind": "choice", "value": [0.1, 0.2, 0.3]}}}
STOP = {
    "kind": "metric_early_stopping",
    "metric": "loss",
    "value": -1,
    "optimization": "minimize",
}


def write(path: Path, matrix: dict[str, Any], *command: str) -> Path:
    container = {
        "image": "a",
        "workingDir": "{{ globals.artifacts_path }}",
        "command": list(command),
    }
    init = [{"file": {"filename": "main.py", "content": REPORT}}]
    component = {
        "inputs": [{"name": "lr", "type": "float"}],
        "run": {"kind": "job", "init": init, "container": container},
    }
    written = {"kind": "operation", "matrix": matrix, "component": component}
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    return path


def test_every_run_of_a_grid_gets_its_own_params_and_its_index(here: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "grid.yaml", GRID, "echo", "{{ globals.iteration }}", "{{ lr }}")
    ran = here("run", "--local", "-f", file, "-l")
    assert ran.code == 0, ran
    lines = sorted(line.rpartition("] ")[2] for line in ran.out.splitlines())
    assert lines == ["0 0.1", "1 0.2", "2 0.3"]


def test_the_best_run_is_found_by_what_the_runs_report(here: Run, tmp_path: Path) -> None:
    matrix = {**GRID, "earlyStopping": [STOP]}
    file = write(tmp_path / "best.yaml", matrix, "python3", "main.py")
    ran = here("run", "--local", "-f", file, "--name", "search")
    assert ran.code == 0, ran
    shown = here("get", "--local", "search")
    assert "with loss 0" in shown.out, shown


def test_a_matrix_of_too_many_runs_and_one_that_is_not_run_are_refused_with_the_line(
    here: Run, tmp_path: Path
) -> None:
    space = {"lr": {"kind": "linspace", "value": "0:1:10001"}}
    file = write(tmp_path / "many.yaml", {"kind": "grid", "params": space}, "true")
    ran = here("check", "-f", file)
    assert ran.code != 0
    assert "many.yaml:2:" in ran.stderr + ran.out
    assert "10,001 runs; at most 10,000 are made" in ran.stderr + ran.out
    tuned = write(tmp_path / "tuned.yaml", {"kind": "iterative", "maxIterations": 2}, "true")
    ran = here("run", "--local", "-f", tuned)
    assert ran.code != 0
    assert "use one of the kinds mapping, grid, random, hyperband" in ran.stderr


def test_an_operation_after_a_search_reads_the_results_of_its_runs(
    here: Run, tmp_path: Path
) -> None:
    init = [{"file": {"filename": "main.py", "content": REPORT}}]
    main = {
        "image": "a",
        "workingDir": "{{ globals.artifacts_path }}",
        "command": ["python3", "main.py"],
    }
    search = {
        "name": "search",
        "matrix": GRID,
        "component": {
            "inputs": [{"name": "lr", "type": "float"}],
            "run": {"kind": "job", "init": init, "container": main},
        },
    }
    best = {
        "query": "pipeline: {{ grid }}",
        "sort": "outputs.loss",
        "limit": 1,
        "params": {"loss": {"value": "outputs.loss"}, "lr": {"value": "inputs.lr"}},
    }
    report = {
        "name": "report",
        "params": {"grid": {"ref": "ops.search", "value": "globals.uuid", "contextOnly": True}},
        "joins": [best],
        "component": {
            "inputs": [
                {"name": "loss", "type": "float", "isList": True},
                {"name": "lr", "type": "float", "isList": True},
            ],
            "run": {
                "kind": "job",
                "container": {"image": "a", "command": ["echo", "{{ lr }}", "{{ loss }}"]},
            },
        },
    }
    file = tmp_path / "pipeline.yaml"
    component = {"kind": "component", "run": {"kind": "dag", "operations": [report, search]}}
    file.write_text(yaml.safe_dump(component, sort_keys=False))
    ran = here("run", "--local", "-f", file, "-l")
    assert ran.code == 0, ran
    assert "[report] [0.3] [0.0]" in ran.out.splitlines(), ran.out


def test_each_suggestion_can_be_a_pipeline(here: Run, tmp_path: Path) -> None:
    step = {
        "inputs": [{"name": "x", "type": "float"}],
        "run": {"kind": "job", "container": {"image": "a", "command": ["echo", "{{ x }}"]}},
    }
    operations = [
        {"name": "one", "component": step, "params": {"x": {"ref": "dag", "value": "inputs.lr"}}},
        {
            "name": "two",
            "component": step,
            "params": {"x": {"ref": "ops.one", "value": "inputs.x"}},
        },
    ]
    inner = {
        "inputs": [{"name": "lr", "type": "float"}],
        "run": {"kind": "dag", "operations": operations},
    }
    written = {"kind": "operation", "matrix": GRID, "component": inner}
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump(written, sort_keys=False))
    ran = here("run", "--local", "-f", file, "-l", "--name", "grid")
    assert ran.code == 0, ran
    lines = sorted(line.rpartition("] ")[2] for line in ran.out.splitlines())
    assert lines == ["0.1", "0.1", "0.2", "0.2", "0.3", "0.3"]
