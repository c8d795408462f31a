"""Mistakes in a pipeline whose operations name their components by `pathRef`: each is reported at
its own file and line.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Cli

PIPELINE = """kind: component
run:
  kind: dag
  operations:
  - name: first
    pathRef: parts/first.yaml
  - name: inner
    component:
      run:
        kind: dag
        operations:
        - name: middle
          pathRef: parts/middle.yaml
  - name: whole
    component:
      run: {kind: job, container: {image: a}}
"""
MIDDLE = """kind: component
run:
  kind: dag
  operations:
  - name: deep
    pathRef: deep/deep.yaml
"""
COMPONENT = """kind: component
inputs:
- {name: unused, type: int, value: 1}
- {name: x, type: int, value: 1}
run:
  kind: job
  container:
    image: a
    args:
    - one
    - two
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "parts" / "first.yaml").write_text(COMPONENT)
    (tmp_path / "parts" / "middle.yaml").write_text(MIDDLE)
    (tmp_path / "parts" / "deep" / "deep.yaml").write_text(COMPONENT)
    return tmp_path


def places(cli: Cli, folder: Path) -> list[str]:
    ran = cli("check", "pipeline.yaml", cwd=folder)
    return [line.partition(": ")[0] for line in ran.out.splitlines()]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


#: A change of a component that makes it wrong -> the line and column of the mistake.
MISTAKES = [
    ("x, type: int, value: 1", "x, type: int", "4:3"),
    ("x, type: int, value: 1", "x, type: int, value: many", "4:3"),
    ("- two", "- '{{ gone }}'", "11:7"),
    ("image: a", "imagge: a", "8:5"),
    ("kind: job", "kind: jobb", "6:3"),
]


def test_correct_files_have_no_mistake(cli: Cli, folder: Path) -> None:
    assert places(cli, folder) == []


@pytest.mark.parametrize("name", ["parts/first.yaml", "parts/deep/deep.yaml"])
@pytest.mark.parametrize(("right", "wrong", "place"), MISTAKES)
def test_a_mistake_is_reported_in_the_file_that_has_it(
    cli: Cli, folder: Path, name: str, right: str, wrong: str, place: str
) -> None:
    edit(folder / name, right, wrong)
    assert f"{name}:{place}" in places(cli, folder)
    assert {found.partition(":")[0] for found in places(cli, folder)} == {name}


def test_run_and_render_report_the_same_place(cli: Cli, folder: Path) -> None:
    edit(folder / "parts" / "deep" / "deep.yaml", "- two", "- '{{ gone }}'")
    for command in (["run", "--local"], ["render"]):
        ran = cli(*command, "-f", "pipeline.yaml", cwd=folder)
        assert "parts/deep/deep.yaml:11:7: " in ran.stderr, ran


def test_a_param_that_the_pipeline_gives_is_reported_in_the_pipeline(
    cli: Cli, folder: Path
) -> None:
    reference = "    pathRef: parts/first.yaml\n"
    edit(folder / "pipeline.yaml", reference, f"{reference}    params: {{x: many}}\n")
    assert places(cli, folder) == ["pipeline.yaml:7:14"]


def test_a_param_given_to_one_operation_does_not_move_the_error_of_another(
    cli: Cli, folder: Path
) -> None:
    for name in ("first.yaml", "deep/deep.yaml"):
        edit(folder / "parts" / name, "x, type: int, value: 1", "x, type: int")
    reference = "    pathRef: parts/first.yaml\n"
    edit(folder / "pipeline.yaml", reference, f"{reference}    params: {{x: 2}}\n")
    assert places(cli, folder) == ["parts/deep/deep.yaml:4:3"]
