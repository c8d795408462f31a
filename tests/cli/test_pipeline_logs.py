"""The logs of a pipeline that runs on this machine: `run -l` and `logs` show each run's lines."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.support.command_line import OPSTRAND, Ran, environment, run_opstrand

Here = Callable[..., Ran]


def op(name: str, script: str, *dependencies: str) -> dict[str, object]:
    run = {"kind": "job", "container": {"image": "x", "command": ["sh", "-c", script]}}
    return {"name": name, "dependencies": list(dependencies), "component": {"run": run}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A pipeline whose second level waits until the test allows it."""
    gate = f"while [ ! -e {tmp_path}/open ]; do sleep 0.05; done"
    inner = {"kind": "dag", "operations": [op("a", f"{gate}; echo in; printf end")]}
    nested = {"name": "inner", "dependencies": ["prep"], "component": {"run": inner}}
    ops = [op("prep", f"echo one; touch {tmp_path}/begun; {gate}; echo two"), nested]
    component = {"kind": "component", "run": {"kind": "dag", "operations": ops}}
    (tmp_path / "dag.yaml").write_text(yaml.safe_dump(component))
    return tmp_path / "dag.yaml"


@pytest.fixture
def here(tmp_path: Path) -> Here:
    env = {"OPSTRAND_LOCAL": str(tmp_path / "runs")}
    return lambda *words: run_opstrand(*words, "--local", env=env)


LINES = ["[prep] one", "[prep] two", "[inner/a] in", "[inner/a] end"]


def test_each_line_has_its_operation_before_it(file: Path, here: Here) -> None:
    (file.parent / "open").touch()
    ran = here("run", "-f", file, "--name", "flow", "-l")
    assert (ran.code, ran.out.splitlines()) == (0, LINES)
    assert here("logs", "flow").out.splitlines() == LINES
    assert here("logs", "flow/inner").out.splitlines() == ["[a] in", "[a] end"]
    assert here("logs", "flow/inner/a").out == "in\nend"
    assert here("logs", "--prefix", "flow").out.splitlines() == [
        f"[flow/{one[1:]}" for one in LINES
    ]
    assert here("logs", "-f", "flow").out.splitlines() == LINES


def test_a_run_that_starts_later_joins_in(file: Path, here: Here, tmp_path: Path) -> None:
    env = environment(OPSTRAND_LOCAL=str(tmp_path / "runs"))
    quiet = {"env": env, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    start = [OPSTRAND, "run", "--local", "-f", file, "--name", "flow"]
    with subprocess.Popen(start, **quiet):  # type: ignore[call-overload]
        while not (tmp_path / "begun").exists():
            pass
        follow = [OPSTRAND, "logs", "--local", "-f", "flow"]
        with subprocess.Popen(follow, **quiet) as following:  # type: ignore[call-overload]
            assert following.stdout.readline() == "[prep] one\n"
            (tmp_path / "open").touch()
            assert following.stdout.read().splitlines() == LINES[1:]
        assert following.returncode == 0


def test_a_run_that_starts_later_is_not_cut_to_its_last_lines(
    file: Path, here: Here, tmp_path: Path
) -> None:
    five = "for i in 1 2 3 4 5; do echo $i; done"
    wait = f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/open ]; do sleep 0.05; done"
    ops = [op("first", f"{five}; {wait}"), op("later", five, "first")]
    component = {"kind": "component", "run": {"kind": "dag", "operations": ops}}
    file.write_text(yaml.safe_dump(component))
    env = environment(OPSTRAND_LOCAL=str(tmp_path / "runs"))
    quiet = {"env": env, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    start = [OPSTRAND, "run", "--local", "-f", file, "--name", "flow"]
    with subprocess.Popen(start, **quiet) as running:  # type: ignore[call-overload]
        while not (tmp_path / "begun").exists():
            assert running.poll() is None
            time.sleep(0.05)
        while len(here("logs", "flow").out.splitlines()) < 5:
            assert running.poll() is None
        follow = [OPSTRAND, "logs", "--local", "-f", "--tail", "2", "flow"]
        with subprocess.Popen(follow, **quiet) as following:  # type: ignore[call-overload]
            assert following.stdout.readline() == "[first] 4\n"
            (tmp_path / "open").touch()
            lines = following.stdout.read().splitlines()
        assert following.returncode == 0
    assert lines == ["[first] 5", *(f"[later] {number}" for number in range(1, 6))]
    # Of a pipeline that has ended, each log is cut.
    ended = here("logs", "-f", "--tail", "1", "flow")
    assert ended.out.splitlines() == ["[first] 5", "[later] 5"]


def test_at_a_terminal_each_operation_has_its_colour(
    file: Path, here: Here, tmp_path: Path
) -> None:
    (tmp_path / "open").touch()
    assert here("run", "-f", file, "--name", "flow").code == 0
    ours, theirs = pty.openpty()
    env = environment(TERM="xterm", OPSTRAND_LOCAL=str(tmp_path / "runs"))
    subprocess.run([OPSTRAND, "logs", "--local", "flow"], stdout=theirs, env=env, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\x1b[36m[prep]\x1b[0m one" in shown
    assert "\x1b[35m[inner/a]\x1b[0m in" in shown


def test_a_pipeline_without_a_log_says_so(here: Here, tmp_path: Path) -> None:
    component = {"kind": "component", "run": {"kind": "dag", "operations": [op("a", "true")]}}
    component["run"]["operations"][0]["conditions"] = "{{ false }}"  # type: ignore[index]
    (tmp_path / "dag.yaml").write_text(yaml.safe_dump(component))
    here("run", "-f", tmp_path / "dag.yaml", "--name", "flow")
    ran = here("logs", "flow")
    assert (ran.code, ran.errors) == (4, ["error: no run of the pipeline flow has a log"])
