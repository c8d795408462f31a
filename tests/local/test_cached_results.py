"""Results of earlier runs without a cluster."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from tests.local.conftest import Run


def write(
    path: Path,
    script: str = "echo ran; echo a > {{ globals.run_outputs_path }}/f",
    **sections: Any,
) -> Path:
    run = {"kind": "job", "container": {"image": "a", "command": ["sh", "-c", script]}}
    read = {"files": {"ref": "ops.a", "value": "artifacts.outputs", "contextOnly": True}}
    component = {"inputs": [{"name": "x", "value": 1}], "run": run}
    ops = [
        {"name": "a", "component": component},
        {"name": "b", "component": component} | {"params": read},
    ]
    written = {"kind": "component", "name": "p", "run": {"kind": "dag", "operations": ops}}
    path.write_text(yaml.safe_dump(written | sections))
    return path


def show(here: Run, name: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(here("get", "--local", name, "-o", "json").out)["status"]
    return status


def test_the_second_run_of_a_pipeline_takes_the_results_whose_files_are_there(
    here: Run, tmp_path: Path, records: Path
) -> None:
    file = write(tmp_path / "p.yaml", cache={"disable": False})
    first = here("run", "--local", "-f", file, "-l", "--name", "one")
    assert first.code == 0, first
    assert first.out.splitlines() == ["[a] ran", "[b] ran"]
    second = here("run", "--local", "-f", file, "-l", "--name", "two")
    assert second.code == 0, second
    assert "ran" not in second.out.split()
    assert show(here, "two")["children"]["states"] == "cc"
    assert "taken from one-a-" in here("get", "--local", "two").out
    taken = show(here, "two/a")
    assert taken["original"]["uuid"] == show(here, "one/a")["uuid"]
    assert "CacheHit" in here("ls", "--local", "--all-children").out
    never = here("run", "--local", "-f", file, "-l", "--no-cache")
    assert never.out.splitlines() == ["[a] ran", "[b] ran"]
    for folder in records.glob("*/.store"):
        shutil.rmtree(folder)
    again = here("run", "--local", "-f", file, "-l")
    assert again.out.splitlines() == ["[a] ran", "[b] ran"]


def test_a_pipeline_whose_file_says_nothing_runs_again(here: Run, tmp_path: Path) -> None:
    """Its programs are in the working directory, and may have been edited."""
    (tmp_path / "train.sh").write_text("echo first")
    file = write(tmp_path / "p.yaml", f"sh {tmp_path}/train.sh")
    assert here("run", "--local", "-f", file, "-l").out.splitlines() == ["[a] first", "[b] first"]
    (tmp_path / "train.sh").write_text("echo second")
    assert here("run", "--local", "-f", file, "-l").out.splitlines() == ["[a] second", "[b] second"]


def test_a_run_alone_says_why_it_took_no_result(here: Run, tmp_path: Path) -> None:
    run = {"kind": "job", "container": {"image": "a", "command": ["true"]}}
    component = {"inputs": [{"name": "x", "value": 1}], "run": run}
    path = tmp_path / "op.yaml"
    written = {"kind": "operation", "component": component, "cache": {"disable": False}}
    path.write_text(yaml.safe_dump(written))
    assert here("run", "--local", "-f", path, "--name", "one").code == 0
    assert here("run", "--local", "-f", path, "--name", "two", "-P", "x=2").code == 0
    assert "not taken: input x differs from one" in here("get", "--local", "two").out
    message = show(here, "two")["cache"]["message"]
    assert message == "not taken: input x differs from one"
    assert here("run", "--local", "-f", path, "--name", "three").code == 0
    assert "taken from one because" in here("get", "--local", "three").out
