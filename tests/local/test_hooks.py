"""Hooks of a run on a laptop: `--component` is the hub, and the command waits for them."""

from __future__ import annotations

from pathlib import Path

from tests.local.conftest import Run

TRAIN = """\
kind: component
run: {kind: job, container: {image: a, command: [sh, -c, "exit ${CODE:-0}"]}}
hooks:
- {hubRef: tell, trigger: succeeded}
- {hubRef: tell, trigger: failed, params: {text: "{{ globals.name }} is lost"}}
"""
TELL = """\
kind: component
name: tell
inputs: [{name: text, type: str, value: nothing}]
run: {kind: job, container: {image: a, command: [echo, "{{ name }} {{ status }}: {{ text }}"]}}
"""


def write(tmp_path: Path) -> tuple[Path, Path]:
    train, tell = tmp_path / "train.yaml", tmp_path / "tell.yaml"
    train.write_text(TRAIN)
    tell.write_text(TELL)
    return train, tell


def test_the_hook_of_each_end_runs_before_the_command_ends(here: Run, tmp_path: Path) -> None:
    train, tell = write(tmp_path)
    options = ("-l", "--component", tell, "--name")
    ran = here("run", "--local", train, *options, "good")
    assert ran.code == 0, ran
    assert ran.out.splitlines() == ["[hook-0] good succeeded: nothing"]
    ran = here("run", "--local", train, *options, "bad", CODE="3")
    assert ran.code == 1, ran
    assert ran.out.splitlines() == ["[hook-1] bad failed: bad is lost"]
    shown = here("get", "--local", "bad")
    rows = [line.split() for line in shown.out.splitlines() if "hooks[" in line]
    assert [row[:3] for row in rows] == [
        ["hooks[0]", "not", "due"],
        ["hooks[1]", "fired", rows[1][2]],
    ]
    drawn = here("lineage", "--local", "bad")
    assert "[hook]" in drawn.out, drawn


def test_the_runs_of_hooks_go_with_the_run_that_ended(here: Run, tmp_path: Path) -> None:
    train, tell = write(tmp_path)
    assert here("run", "--local", train, "--component", tell, "--name", "good").code == 0
    assert "good-hook-0-" in here("ls", "--local").out
    assert here("rm", "--local", "good").code == 0
    assert "good" not in here("ls", "--local").out


def test_a_component_that_is_missing_is_named_with_the_way_to_give_it(
    here: Run, tmp_path: Path
) -> None:
    train, _ = write(tmp_path)
    ran = here("run", "--local", train, OPSTRAND_LOCAL_PATIENCE="0")
    assert ran.code == 1, ran
    assert "waiting for Component 'tell' of a hook" in ran.stderr
    assert "--component FILE" in ran.stderr


def test_two_components_of_one_name_are_refused(here: Run, tmp_path: Path) -> None:
    train, tell = write(tmp_path)
    ran = here("run", "--local", train, "--component", tell, "--component", tell)
    assert ran.code == 2, ran
    assert "two components with the name 'tell'" in ran.stderr
    assert here("run", train, "--component", tell).code == 2
