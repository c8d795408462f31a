"""`run` prints the notes that `check` prints; and the message for a file of another kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Cli

JOB = "kind: component\nrun: {kind: job, container: {image: i, command: ['true']}}\n"
OLD = """\
version: 0.5
kind: group
hptuning: {matrix: {lr: {values: [1, 2]}}}
declarations: {batch: 128}
environment: {resources: {cpu: {requests: 1}}}
build: {image: tensorflow, build_steps: [pip install x]}
run: {cmd: python3 train.py}
"""


def notes(ran_stderr: str) -> list[str]:
    return [line for line in ran_stderr.splitlines() if line.startswith("note: ")]


@pytest.mark.parametrize(
    ("more", "params", "words"),
    [
        (
            "inputs: [{name: message, type: str, value: a}]\n",
            ("mesage=b",),
            "did you mean 'message'?",
        ),
        ("cache: {ttl: 60}\n", (), "cache.ttl: only a run of a pipeline takes an earlier result"),
    ],
)
def test_run_and_render_say_what_check_says(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: str,
    params: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "records"))
    (tmp_path / "f.yaml").write_text(JOB + more)
    given = [part for param in params for part in ("-P", param)]
    checked = notes(cli("check", "-f", "f.yaml", *given).stderr)
    assert [note for note in checked if words in note] != []
    for command in (("render",), ("run",), ("run", "--local")):
        assert notes(cli(*command, "-f", "f.yaml", *given).stderr) == checked


def test_a_file_that_names_the_context_root_is_noted_for_a_local_run_alone(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "records"))
    script = "init: [{file: {filename: a.sh, content: 'ls /plx-context/artifacts'}}], container"
    (tmp_path / "f.yaml").write_text(JOB.replace("container", script))
    for command in (("check",), ("run", "--local")):
        (note,) = notes(cli(*command, "-f", "f.yaml").stderr)
        assert "run.init[0].file.content: /plx-context is not there" in note
        assert "{{ globals.context_path }}" in note
    for command in (("render",), ("run",)):
        assert notes(cli(*command, "-f", "f.yaml").stderr) == []


def test_a_limit_on_lost_pods_is_noted_where_no_pod_can_be_lost(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "records"))
    (tmp_path / "f.yaml").write_text(JOB)
    ran = cli("run", "--local", "-f", "f.yaml", "--platform-retries", "0")
    assert ran.code == 0, ran
    assert notes(ran.stderr) == [
        "note: --platform-retries does nothing with --local: no cluster can lose the process"
    ]
    for wrong in ("-1", "11", "1.5", "many"):
        assert cli("run", "-f", "f.yaml", "--platform-retries", wrong).code == 2


def test_a_hubs_operation_that_cannot_run_is_refused_before_a_cluster_is_asked(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "f.yaml").write_text("kind: operation\nhubRef: a\nbuild: {hubRef: b}\n")
    ran = cli("run", "-f", "f.yaml")
    assert ran.code == 2
    assert "f.yaml:3:1: build: a build is checked" in ran.stderr


def test_a_file_of_the_old_format_is_said_to_be_one(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(OLD)
    ran = cli("check", "f.yaml")
    assert ran.code == 2
    lines = ran.out.splitlines()
    assert all("is of Polyaxon 0.x; today one writes " in line for line in lines)
    for place in (
        ":1:1: version",
        ":2:1: kind",
        ":3:1: hptuning",
        ":4:1: declarations",
        ":5:15: environment.resources",
        ":7:7: run.cmd",
    ):
        assert any(place in line for line in lines), (place, lines)
    assert "This is a Polyaxon 0.x file" in ran.stderr
    assert "is of Polyaxon 0.x" in cli("run", "-f", "f.yaml").stderr


@pytest.mark.parametrize(
    "text",
    [
        "kind: experiment\nrun: {cmd: a}\n",
        "version: 0.6\nkind: job\nbuild: {image: a}\nrun: {cmd: a}\n",
        "version: '0.6'\nrun: {cmd: a}\n",
        "kind: build\nimage: a\n",
        "hptuning: {}\nrun: {cmd: a}\n",
        "build: {image: a}\nrun: {cmd: a}\n",
    ],
)
def test_files_of_the_old_format(cli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "f.yaml").write_text(text)
    assert "of Polyaxon 0.x" in cli("check", "f.yaml").out


@pytest.mark.parametrize(
    "text",
    [
        "version: 0.9\n" + JOB,
        JOB,
        "kind: componnent\nrun: {}\n",
        JOB.replace("command", "cmd"),
        "kind: operation\nrun: {cmd: a}\n",
    ],
)
def test_files_of_today_are_not_taken_for_old_ones(cli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "f.yaml").write_text(text)
    ran = cli("check", "f.yaml")
    assert "0.x" not in ran.out + ran.stderr


@pytest.mark.parametrize(
    "text",
    [
        "echo {{literal}}",
        "docker ps --format '{{.Names}}'",
        "{{ .Values.x }} {{ name }}",
        "{% for %}",
        "awk '{%'",
    ],
)
def test_braces_that_are_text_have_a_way_out(cli: Cli, tmp_path: Path, text: str) -> None:
    script = JOB.replace("'true'", repr(text) if '"' in text or "'" not in text else f'"{text}"')
    (tmp_path / "f.yaml").write_text(script)
    ran = cli("check", "f.yaml")
    assert (ran.code, "{% raw %}" in ran.out) == (2, True), ran
    (tmp_path / "f.yaml").write_text(script.replace(text, f"{{% raw %}}{text}{{% endraw %}}"))
    assert cli("check", "f.yaml").code == 0
    rendered = cli("render", "-f", "f.yaml", "--stage", "plan", "-o", "json")
    assert text in rendered.out


def test_a_file_to_fill_in_is_no_wrong_file_until_it_is_to_run(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(
        JOB + "template: {enabled: true, fields: [run.container.image]}\n"
    )
    checked = cli("check", "f.yaml")
    assert (checked.code, len(notes(checked.stderr))) == (0, 1)
    assert cli("run", "-f", "f.yaml").code == 2
