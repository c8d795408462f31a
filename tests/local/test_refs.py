"""Values from earlier local runs, resolved by the same code as in a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.local.conftest import Run
from tests.support.command_line import run_opstrand

PRODUCE = (
    "from polyaxon import tracking\ntracking.init()\ntracking.log_outputs(acc=0.5, zero=0, "
    "no=False, empty='', none=None)"
)
CONSUME = (
    "from polyaxon.client import RunClient\nc = RunClient(); c.refresh_data(); "
    "print(c.get_inputs())"
)
UID = "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"

Job = Callable[..., Path]


def consumer(path: Path, ref: str, **values: str) -> Path:
    container = {
        "image": "python",
        "command": ["python3", "-c"],
        "args": [CONSUME],
        "workingDir": "{{ globals.artifacts_path }}",
    }
    component = {"run": {"kind": "job", "container": container}}
    params = {name: {"ref": ref, "value": value} for name, value in values.items()}
    path.write_text(
        yaml.safe_dump(
            {"kind": "operation", "params": params, "component": component}, sort_keys=False
        )
    )
    return path


@pytest.fixture
def upstream(here: Run, job: Job) -> None:
    file = job(PRODUCE, name="a")
    component = yaml.safe_load(file.read_text())
    component["run"]["container"]["workingDir"] = "{{ globals.artifacts_path }}"
    file.write_text(yaml.safe_dump(component))
    ran = here("run", "--local", "-f", file, "--name", "a", "--uuid", UID)
    assert ran.code == 0, ran


@pytest.mark.parametrize("ref", ["ops.a", f"runs.{UID}"])
def test_values_of_an_earlier_run(here: Run, upstream: None, tmp_path: Path, ref: str) -> None:
    names = {
        "acc": "outputs.acc",
        "zero": "outputs.zero",
        "no": "outputs.no",
        "empty": "outputs.empty",
        "none": "outputs.none",
    }
    ran = here(
        "run",
        "--local",
        "-f",
        consumer(tmp_path / "b.yaml", ref, **names, who="globals.uuid"),
        "--name",
        "b",
        "-l",
    )
    assert ran.code == 0, ran
    assert (
        ran.out
        == f"{ {'acc': 0.5, 'empty': '', 'no': False, 'none': None, 'who': UID, 'zero': 0} }\n"
    )
    body = json.loads(here("get", "--local", "b", "-o", "json").out)
    assert [(edge["uuid"], edge["name"]) for edge in body["status"]["upstream"]] == [(UID, "a")]


def test_the_record_is_what_render_takes_as_upstream(
    here: Run, upstream: None, tmp_path: Path
) -> None:
    file = consumer(tmp_path / "b.yaml", "ops.a", acc="outputs.acc")
    (tmp_path / "a.up.yaml").write_text(here("get", "--local", "a", "-o", "yaml").out)
    ran = run_opstrand(
        "render",
        "-f",
        file,
        "--upstream",
        tmp_path / "a.up.yaml",
        "--stage",
        "inputs",
        "-o",
        "json",
    )
    assert json.loads(ran.out) == {"acc": 0.5}
    alone = run_opstrand("render", "-f", file, "--stage", "inputs")
    assert alone.code == 2
    assert "--upstream" in alone.stderr


def test_lineage_and_explanation(here: Run, upstream: None, tmp_path: Path) -> None:
    assert (
        here(
            "run",
            "--local",
            "-f",
            consumer(tmp_path / "b.yaml", "ops.a", acc="outputs.acc"),
            "--name",
            "b",
        ).code
        == 0
    )
    assert (
        here("lineage", "--local", "b").out
        == "b (Succeeded)\n`<- a (Succeeded)  acc = outputs.acc\n"
    )
    graph = json.loads(here("lineage", "--local", "a", "--down", "-o", "json").out)
    assert [(edge["upstream"], edge["values"]) for edge in graph["edges"]] == [
        (UID, {"acc": "outputs.acc"})
    ]
    assert f'"{UID}" -> ' in here("lineage", "--local", "a", "-o", "dot").out
    [explained] = json.loads(here("get", "--local", "b", "--explain", "-o", "json").out)
    assert explained == {
        "name": "acc",
        "value": 0.5,
        "source": "ref",
        "detail": "ops.a outputs.acc",
        "run": UID,
    }
    told = here("get", "--local", "a").out
    assert "downstream:" in told
    assert "acc: 0.5" in told


def test_an_output_that_is_not_there(here: Run, upstream: None, tmp_path: Path) -> None:
    ran = here(
        "run", "--local", "-f", consumer(tmp_path / "b.yaml", "ops.a", x="outputs.accuracy"), "-l"
    )
    assert ran.code == 1
    assert "accuracy" in ran.stderr
    assert "acc" in ran.stderr


def test_a_run_that_is_not_there_is_waited_for_until_the_limit(here: Run, tmp_path: Path) -> None:
    file = consumer(tmp_path / "b.yaml", "ops.nobody", x="outputs.x")
    ran = here("run", "--local", "-f", file, "--name", "b", "--timeout", "1")
    assert ran.code == 124, ran
    assert "ops.nobody" in ran.stderr
    gave_up = here("run", "--local", "-f", file, OPSTRAND_UPSTREAM_PATIENCE="1")
    assert gave_up.code == 1
    assert "gave up after 1 s" in gave_up.stderr


def test_a_run_that_waits_for_a_misspelt_name_says_what_is_near(here: Run, job: Job) -> None:
    assert here("run", "--local", "-f", job("print(1)"), "--name", "train").code == 0
    late = job("print(2)", "late", inputs=[{"name": "x", "type": "str"}])
    operation = {
        "kind": "operation",
        "pathRef": late.name,
        "params": {"x": {"ref": "ops.trian", "value": "outputs.x"}},
    }
    (late.parent / "op.yaml").write_text(yaml.safe_dump(operation))
    ran = here("run", "--local", "-f", late.parent / "op.yaml", OPSTRAND_LOCAL_PATIENCE="1")
    assert ran.code == 1, ran
    assert "; did you mean 'ops.train'?" in ran.stderr
    name = here("ls", "--local", "-o", "name", "--status", "failed").out.strip()
    logs = here("logs", "--local", name)
    assert (logs.code, logs.out) == (4, "")
    assert "it ended before it had a process (UpstreamNotFound)" in logs.errors[0]
    assert "waits for it" not in logs.stderr


def test_a_silent_program_has_an_empty_log(here: Run, job: Job) -> None:
    here("run", "--local", "-f", job("pass"), "--name", "quiet")
    assert here("logs", "--local", "quiet").code == 0
