"""What `run` and `render` take beside a file: the option as it is typed, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import run_opstrand

FILE = """kind: component
name: tiny
inputs:
- {name: rate, type: float, value: 0.5, isOptional: true}
- {name: text, type: str, value: "", isOptional: true}
run:
  kind: job
  container:
    image: a:1
    env: [{name: A, value: "1"}]
    command: [echo, "{{ rate }}", "{{ text }}"]
"""


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.yaml").write_text(FILE)
    (tmp_path / "params.yaml").write_text("rate: 0.25\ntext: from a file\n")
    (tmp_path / "note.txt").write_text("two\nlines")
    (tmp_path / "vars").write_text("# a comment\n\nB=two words\nHERE\n")
    (tmp_path / "preset.yaml").write_text(
        "isPreset: true\nrunPatch: {container: {image: preset:1}}\n"
    )
    monkeypatch.setenv("HERE", "from the shell")


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container["env"]}


#: The line after `render`: (the part of the main container, its value).
RENDERED: dict[str, tuple[Callable[[dict[str, Any]], Any], Any]] = {
    "tiny.yaml": (lambda main: main["image"], "a:1"),
    "tiny.yaml --image b:2": (lambda main: main["image"], "b:2"),
    "tiny.yaml --preset preset.yaml": (lambda main: main["image"], "preset:1"),
    "tiny.yaml --preset preset.yaml --image b:2": (lambda main: main["image"], "b:2"),
    "tiny.yaml --env A=9 -e C=": (
        lambda main: [variables(main)[name] for name in "AC"],
        ["9", ""],
    ),
    "tiny.yaml --env HERE": (lambda main: variables(main)["HERE"], "from the shell"),
    "tiny.yaml --env-file vars": (
        lambda main: [variables(main)[name] for name in ("A", "B", "HERE")],
        ["1", "two words", "from the shell"],
    ),
    "tiny.yaml --env-file vars -e B=3": (lambda main: variables(main)["B"], "3"),
    "tiny.yaml --param-file params.yaml": (
        lambda main: main["command"],
        ["echo", "0.25", "from a file"],
    ),
    "tiny.yaml --param-file params.yaml -P rate=1": (
        lambda main: main["command"],
        ["echo", "1.0", "from a file"],
    ),
    "tiny.yaml --set-file text=note.txt": (
        lambda main: main["command"],
        ["echo", "0.5", "two\nlines"],
    ),
    "tiny.yaml -P text=@me": (lambda main: main["command"][2], "@me"),
    "tiny.yaml -P text=@@a.outputs.loss": (lambda main: main["command"][2], "@a.outputs.loss"),
    "busybox -- ls -l": (lambda main: (main["image"], main["command"]), ("busybox", ["ls", "-l"])),
    "quay.io/a/b:c": (lambda main: (main["image"], main.get("command")), ("quay.io/a/b:c", None)),
}


@pytest.mark.parametrize("line", RENDERED)
def test_an_option_is_in_the_pod(cli: Cli, line: str) -> None:
    part, expected = RENDERED[line]
    head, sign, command = line.partition(" -- ")
    ran = cli("render", "-o", "json", *head.split(), *(["--", *command.split()] if sign else []))
    assert ran.code == 0, ran.stderr
    (main,) = json.loads(ran.out)["spec"]["containers"]
    assert part(main) == expected


#: The line after `render --stage operation`: (the key of the operation, its value).
WRITTEN = {
    "--tags a,b --tags c": ("tags", ["a", "b", "c"]),
    "--queue gpu": ("queue", "gpu"),
    "--no-cache": ("cache", {"disable": True}),
    "-P rate=@tiny.outputs.loss": (
        "params",
        {"rate": {"ref": "ops.tiny", "value": "outputs.loss"}},
    ),
    f"-P text=@{'a' * 32}.globals.name": (
        "params",
        {"text": {"ref": f"runs.{'a' * 32}", "value": "globals.name"}},
    ),
}


@pytest.mark.parametrize("line", WRITTEN)
def test_an_option_is_in_the_operation(cli: Cli, line: str) -> None:
    key, expected = WRITTEN[line]
    ran = cli("render", "--stage", "operation", "-o", "json", "tiny.yaml", *line.split())
    assert ran.code == 0, ran.stderr
    assert json.loads(ran.out)["spec"][key] == expected


REFUSED = {
    "nothing": "there is no file 'nothing'",
    "missing.yaml": "could not read missing.yaml: No such file or directory",
    "tiny.yaml other.yaml": "one file is run, found tiny.yaml and other.yaml",
    "tiny.yaml --env 1A=2": "--env: '1A=2': expected NAME=VALUE",
    "tiny.yaml --env NOT_SET_HERE": "--env: NOT_SET_HERE is not set here",
    "tiny.yaml --env-file nofile": "--env-file nofile: No such file or directory",
    "tiny.yaml --set-file text": "--set-file 'text': expected NAME=FILE",
    "tiny.yaml --set-file text=nofile": "--set-file nofile: No such file or directory",
    "tiny.yaml --param-file note.txt": "--param-file note.txt: expected a mapping",
    "tiny.yaml --image": "Option '--image' requires an argument",
}


@pytest.mark.parametrize("line", REFUSED)
@pytest.mark.parametrize("command", ["run", "render"])
def test_an_option_that_says_nothing_is_refused(cli: Cli, command: str, line: str) -> None:
    ran = cli(command, *line.split())
    assert (ran.code, ran.out) == (2, "")
    assert REFUSED[line] in ran.stderr


@pytest.mark.parametrize("flag", ["--dry-run", "--dry-run=client"])
def test_a_dry_run_creates_nothing_and_needs_no_cluster(cli: Cli, flag: str) -> None:
    ran = cli("run", flag, "tiny.yaml", "--name", "x", "-o", "json")
    assert (ran.code, ran.stderr) == (0, "would create run x (dry run)\n")
    assert json.loads(ran.out)["metadata"]["name"] == "x"
    named = cli("run", "tiny.yaml", "-n", "team", flag)
    assert named.stderr == "would create run tiny-... in project team (dry run)\n"
    assert cli("run", flag, "tiny.yaml", "-P", "rate=fast").code == 2


def test_a_dry_run_by_the_server_needs_one(cli: Cli) -> None:
    assert cli("run", "--dry-run=server", "tiny.yaml").code == 5
    here = cli("run", "--local", "--dry-run=server", "tiny.yaml")
    assert here.errors == ["error: --dry-run=server asks an API server, and --local has none"]


def test_a_program_may_have_an_option_of_this_name(cli: Cli) -> None:
    ran = cli("render", "-o", "json", "a:1", "--", "tool", "--dry-run")
    assert json.loads(ran.out)["spec"]["containers"][0]["command"] == ["tool", "--dry-run"]


REPORTS = """import os
from polyaxon import tracking
tracking.init()
tracking.log_outputs(loss=0.125)
"""


def test_a_run_ends_with_its_outputs_and_its_files_and_runs_again(tmp_path: Path) -> None:
    """A second run takes the output by `@`; `restart` makes a third, which names its origin."""
    env = {"OPSTRAND_LOCAL": str(tmp_path / "runs")}
    command = "echo x > {{ globals.run_outputs_path }}/model; python3 train.py"
    train = {
        "kind": "component",
        "name": "train",
        "plugins": {"client": True},
        "outputs": [{"name": "loss", "type": "float"}],
        "run": {
            "kind": "job",
            "init": [{"file": {"filename": "train.py", "content": REPORTS}}],
            "container": {
                "image": "a",
                "workingDir": "{{ globals.artifacts_path }}",
                "command": ["sh", "-c", command],
            },
        },
    }
    (tmp_path / "train.yaml").write_text(json.dumps(train))
    first = run_opstrand("run", "--local", tmp_path / "train.yaml", "--name", "train", env=env)
    assert first.code == 0, first
    assert "outputs:\n  loss: 0.125\n" in first.stderr
    folder = Path(first.stderr.rpartition("files: ")[2].strip())
    assert (folder / "outputs" / "model").read_text() == "x\n"
    asked = ("--name", "next", "-P", "rate=@train.outputs.loss", "-l")
    second = run_opstrand("run", "--local", tmp_path / "tiny.yaml", *asked, env=env)
    assert (second.code, second.out) == (0, "0.125\n")
    third = run_opstrand("restart", "--local", "next", "-P", "text=again", "-l", env=env)
    assert (third.code, third.out) == (0, "0.125 again\n")
    (body,) = json.loads(run_opstrand("ls", "--local", "--limit", "1", "-o", "json", env=env).out)[
        "items"
    ]
    first_uuid = json.loads(run_opstrand("get", "--local", "next", "-o", "json", env=env).out)
    origin = body["metadata"]["annotations"]["opstrand.dev/restart-of"]
    assert origin == first_uuid["metadata"]["uid"].replace("-", "")
    for order, why in (
        (("resume", "--local", "next"), "its process ended with it"),
        (("restart", "--local", "next", "--copy"), "are not copied on this machine"),
    ):
        refused = run_opstrand(*order, env=env)
        assert (refused.code, why in refused.stderr) == (2, True), refused
