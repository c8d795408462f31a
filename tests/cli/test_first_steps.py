"""The first files, the settings of the user, and what kubectl asks of a plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import environment, run_command, run_opstrand

from opstrand.cli.commands.init import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_file_is_valid(cli: Cli, tmp_path: Path, kind: str) -> None:
    written = cli("init", kind)
    assert (written.code, written.out) == (0, "")
    assert f"wrote {kind}.yaml: {KINDS[kind][0]}" in written.stderr
    checked = cli("check", f"{kind}.yaml")
    assert checked.code == 0, checked.out
    line = written.stderr.splitlines()[-1].strip()
    assert line.startswith("opstrand ")
    assert f"{kind}.yaml" in line


STARTS = {
    "echo": "hello\n",
    "train": "step 0: loss 0.900\n",
    "pipeline": "[report] the loss is",
    "grid": "[",
}


@pytest.mark.parametrize("kind", STARTS)
def test_a_first_file_runs_by_the_line_that_is_shown(tmp_path: Path, kind: str) -> None:
    env = {"OPSTRAND_LOCAL": str(tmp_path / "runs")}
    line = run_opstrand("init", kind, cwd=tmp_path).stderr.splitlines()[-1].split()
    ran = run_opstrand(*line[1:], env=env, cwd=tmp_path)
    assert ran.code == 0, ran
    assert ran.out.startswith(STARTS[kind])


def test_a_file_that_exists_is_kept(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "echo.yaml").write_text("mine")
    kept = cli("init", "echo")
    assert kept.code == 2
    assert kept.errors == ["error: echo.yaml exists already"]
    assert (tmp_path / "echo.yaml").read_text() == "mine"
    assert cli("init", "echo", "other.yaml").code == 0
    assert cli("init", "echo", "--force").code == 0
    assert (tmp_path / "echo.yaml").read_text() != "mine"


def test_without_a_kind_the_menu_is_shown(cli: Cli) -> None:
    asked = cli("init")
    assert asked.code == 2
    assert [line.split()[0] for line in asked.stderr.splitlines()[: len(KINDS)]] == list(KINDS)
    assert "hint: opstrand init KIND" in asked.stderr


def settings(home: Path, **env: str) -> dict[str, tuple[str, str]]:
    """Return each setting's value, and where it comes from."""
    shown = run_opstrand(
        "config", "view", "-o", "json", env={"XDG_CONFIG_HOME": str(home), "KUBECONFIG": "", **env}
    )
    return {one["name"]: (one["value"], one["origin"]) for one in json.loads(shown.out)}


def test_a_default_holds_until_the_environment_or_an_option_says_otherwise(tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path), "OPSTRAND_LOCAL": str(tmp_path / "runs")}
    assert settings(tmp_path)["namespace"] == ("", "")
    assert run_opstrand("config", "set", "namespace", "team", env=env).code == 0
    file = tmp_path / "opstrand" / "config.yaml"
    assert file.read_text() == "namespace: team\n"
    assert settings(tmp_path)["namespace"] == ("team", str(file))
    assert settings(tmp_path, OPSTRAND_PROJECT="x")["namespace"] == ("x", "$OPSTRAND_PROJECT")
    listed = run_opstrand("ls", "--local", env=env)
    assert listed.stderr == "no runs in project team\n"
    assert run_opstrand("ls", "--local", "-n", "own", env=env).stderr == "no runs in project own\n"
    assert run_opstrand("config", "unset", "namespace", env=env).code == 0
    assert settings(tmp_path)["namespace"] == ("", "")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "namespac: x\n",
            "config.yaml:1: there is no setting 'namespac' (did you mean 'namespace'?",
        ),
        ("# fine\nnamespace\n", "config.yaml:2: expected NAME: VALUE, found 'namespace'"),
    ],
)
def test_a_file_of_defaults_that_is_wrong(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "opstrand").mkdir()
    (tmp_path / "opstrand" / "config.yaml").write_text(text)
    ran = run_opstrand("ls", "--local", env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert error in ran.errors[0]


def test_a_setting_that_is_none(cli: Cli) -> None:
    ran = cli("config", "set", "name", "x")
    assert (ran.code, "there is no setting 'name'" in ran.stderr) == (2, True)
    assert cli("config", "set", "namespace", " ").code == 2


COMPLETIONS = {
    "port-f": ["port-forward", ":4"],
    "ls --status Runn": ["Running", ":4"],
    "explain run.contai": ["run.container", ":4"],
    "check my": [":0"],
    "run --no-ca": ["--no-cache", ":4"],
}


@pytest.mark.parametrize("typed", COMPLETIONS)
def test_kubectl_completes_the_plugin(typed: str) -> None:
    words = typed.split(" ")
    code = "from opstrand.cli.kubectl import complete; complete()"
    ran = run_command([sys.executable, "-c", code, *words])
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.out.split() == COMPLETIONS[typed]


def test_as_a_plugin_of_kubectl_it_is_called_so(tmp_path: Path) -> None:
    script = tmp_path / "kubectl-opstrand"
    script.write_text(f"#!{sys.executable}\nimport opstrand.cli as c, sys\nsys.exit(c.main())\n")
    script.chmod(0o755)
    done = subprocess.run([script, "ls", "--help"], env=environment(), capture_output=True)
    assert done.stdout.startswith(b"Usage: kubectl opstrand ls [OPTIONS]")


def test_both_names_are_installed() -> None:
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    scripts = project.read_text().partition("[project.scripts]\n")[2].partition("\n\n")[0]
    names = [line.partition(" =")[0] for line in scripts.splitlines()]
    assert names == ["opstrand", "kubectl-opstrand", "kubectl_complete-opstrand"]
    assert os.path.exists(Path(sys.executable).with_name("opstrand"))
