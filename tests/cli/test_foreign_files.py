"""A file of another tool: every command says which tool's it is and shows it as a component."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Cli

JOB = """apiVersion: batch/v1
kind: Job
metadata: {name: pi}
spec:
  backoffLimit: 4
  template: {spec: {containers: [{name: pi, image: perl, command: [perl, -v]}]}}
"""
MESSAGE = (
    "f.yaml:2:1: kind: this is a Kubernetes Job, not a polyaxonfile; the component made from it "
    "leaves out spec.backoffLimit"
)


def suggested(stderr: str) -> str:
    """Return what is shown after the hint."""
    _, _, rest = stderr.partition("hint: here is how it looks as a component:\n")
    shown = [line[2:] for line in rest.splitlines() if line.startswith("  ")]
    return "\n".join(shown) + "\n"


@pytest.mark.parametrize(
    "command", [["check"], ["run", "-f"], ["run", "--local", "-f"], ["render", "-f"]]
)
def test_every_command_shows_the_component(cli: Cli, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "f.yaml").write_text(JOB)
    ran = cli(*command, "f.yaml")
    assert ran.code == 2
    shown = [line for line in (ran.out + ran.stderr).splitlines() if "not a polyaxonfile" in line]
    assert [line.removeprefix("error: ") for line in shown] == [MESSAGE]
    (tmp_path / "component.yaml").write_text(suggested(ran.stderr))
    assert cli("check", "component.yaml").code == 0
    assert "command:" in cli("render", "-f", "component.yaml").out


def test_check_as_json_has_the_component(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(JOB)
    (error,) = json.loads(cli("check", "f.yaml", "-o", "json").out)[0]["errors"]
    assert error["reason"] == "ForeignFormat"
    assert error["suggestion"].startswith("version: 1.1\nkind: component\nname: pi\n")


def test_a_component_that_a_file_names_may_be_foreign(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(JOB)
    (tmp_path / "op.yaml").write_text("kind: operation\npathRef: f.yaml\n")
    assert MESSAGE in cli("check", "op.yaml").out


MANIFESTS = f"""# what kubectl applies together
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{rate: "0.5"}}
---
{JOB}---
"""


@pytest.mark.parametrize("command", [["check"], ["run", "-f"], ["render", "-f"]])
def test_every_document_of_a_foreign_stream_is_named(
    cli: Cli, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "f.yaml").write_text(MANIFESTS)
    ran = cli(*command, "f.yaml")
    assert ran.code == 2
    shown = [line for line in (ran.out + ran.stderr).splitlines() if "not a polyaxonfile" in line]
    assert [line.removeprefix("error: ") for line in shown] == [
        "f.yaml:3:1: kind: this is a Kubernetes ConfigMap, not a polyaxonfile",
        MESSAGE.replace("f.yaml:2:1", "f.yaml:8:1"),
    ]
    (tmp_path / "component.yaml").write_text(suggested(ran.stderr))
    assert cli("check", "component.yaml").code == 0


def test_a_second_polyaxonfile_in_a_stream_is_no_foreign_file(cli: Cli, tmp_path: Path) -> None:
    one = "kind: component\nrun: {kind: job, container: {image: a}}\n"
    (tmp_path / "f.yaml").write_text(f"{one}---\n{one}")
    assert "f.yaml:3:1: a second document starts here" in cli("check", "f.yaml").out
