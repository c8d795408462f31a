"""A pipeline without a cluster: real processes, each side of a diamond beside the other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.local.conftest import Run


def op(name: str, *dependencies: str, script: str = "true", **own: Any) -> dict[str, Any]:
    run = {"kind": "job", "container": {"image": "a", "command": ["sh", "-c", script]}}
    named = {"dependencies": list(dependencies)} if dependencies else {}
    return {"name": name, "component": {"run": run}, **named, **own}


def write(path: Path, *operations: dict[str, Any], **own: Any) -> Path:
    run = {"kind": "dag", "operations": list(operations)}
    written = {"kind": "component", "name": "nightly", "run": run, **own}
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    return path


def test_a_diamond_prints_every_line_with_the_name_of_its_operation(
    here: Run, tmp_path: Path
) -> None:
    rate = {"rate": {"ref": "dag", "value": "inputs.rate", "contextOnly": True}}
    state = {"state": {"ref": "ops.left", "value": "globals.status", "contextOnly": True}}
    file = write(
        tmp_path / "dag.yaml",
        op("first", script="echo one"),
        op("left", "first", script="echo {{ rate }}", params=rate),
        op("right", "first", script="echo right"),
        op("last", "right", script="echo {{ state }}", params=state),
        inputs=[{"name": "rate", "type": "float", "value": 0.5}],
    )
    ran = here("run", "--local", "-f", file, "-l", "--name", "night")
    assert ran.code == 0, ran
    lines = ran.out.splitlines()
    assert lines[0] == "[first] one"
    assert sorted(lines[1:3]) == ["[left] 0.5", "[right] right"]
    assert lines[3:] == ["[last] succeeded"]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one core")
def test_the_sides_of_a_diamond_run_at_once(here: Run, tmp_path: Path) -> None:
    """Each side waits for the other one's file, so neither ends alone."""
    wait = f"cd {tmp_path}; touch %s; until [ -e %s ]; do sleep 0.05; done"
    file = write(
        tmp_path / "dag.yaml",
        op("left", script=wait % ("left", "right")),
        op("right", script=wait % ("right", "left")),
    )
    ran = here("run", "--local", "-f", file)
    assert ran.code == 0, ran


def test_a_failed_operation_fails_the_pipeline_with_its_message(here: Run, tmp_path: Path) -> None:
    file = write(
        tmp_path / "dag.yaml",
        op("bad", script="echo broken; exit 3"),
        op("after", "bad"),
        op("anyway", "bad", trigger="all_done", script="echo anyway"),
    )
    ran = here("run", "--local", "-f", file, "-l")
    assert ran.code != 0
    assert "[anyway] anyway" in ran.out
    assert "1 of 3 failed: bad (ContainerFailed)" in ran.stderr + ran.out


def test_the_runs_of_a_pipeline_go_with_it_and_have_no_name_outside(
    here: Run, tmp_path: Path
) -> None:
    here("run", "--local", "-f", write(tmp_path / "dag.yaml", op("a")), "--name", "p")
    listed = here("ls", "--local", "--all-children", "-o", "name").out.split()
    assert len(listed) == 2
    outside = tmp_path / "job.yaml"
    state = {"state": {"ref": "ops.a", "value": "globals.status", "contextOnly": True}}
    outside.write_text(yaml.safe_dump({**op("b", params=state), "kind": "operation"}))
    ran = here("run", "--local", "-f", outside, OPSTRAND_LOCAL_PATIENCE="1")
    assert "UpstreamNotFound" in ran.stderr + ran.out, ran
    assert here("rm", "--local", "p", "-y").code == 0
    left = here("ls", "--local", "--all-children", "-o", "name").out.split()
    assert len(left) == 1, left
