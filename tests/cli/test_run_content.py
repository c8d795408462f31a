"""What is inside of runs: their logs, files and differences, and what they use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import run_opstrand

FILE = """kind: component
name: talk
inputs: [{name: rate, type: float, value: 0.5, isOptional: true}]
run:
  kind: job
  container:
    image: a
    command:
    - sh
    - -c
    - |
      echo first {{ rate }}; echo second {{ rate }}
      mkdir -p {{ globals.run_outputs_path }}/deep
      echo model {{ rate }} > {{ globals.run_outputs_path }}/deep/model
      exit {{ code }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the runs one (succeeded) and two (failed), with different params."""
    home = tmp_path_factory.mktemp("runs")
    for name, rate, code in (("one", "0.25", 0), ("two", "0.75", 3)):
        (home / f"{name}.yaml").write_text(FILE.replace("{{ code }}", str(code)))
        ran = run_opstrand(
            *("run", "--local", home / f"{name}.yaml", "--name", name, "-P", f"rate={rate}"),
            env={"OPSTRAND_LOCAL": str(home / "runs")},
        )
        assert ran.code == (1 if code else 0), ran
    return home


@pytest.fixture(autouse=True)
def _of_this_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(folder / "runs"))


#: Habit: (the line, the exit code, stdout).
LOGS = {
    "one run": ("logs --local one", 0, "first 0.25\nsecond 0.25\n"),
    "several runs": (
        "logs --local one two",
        0,
        "[one] first 0.25\n[one] second 0.25\n[two] first 0.75\n[two] second 0.75\n",
    ),
    "several, one is not there": ("logs --local one nothing --tail 1", 4, "[one] second 0.25\n"),
    "kubectl logs --prefix": ("logs --local one --prefix --tail 1", 0, "[one] second 0.25\n"),
    "argo logs --grep": (
        "logs --local one two --grep ^sec",
        0,
        "[one] second 0.25\n[two] second 0.75\n",
    ),
    "kubectl logs --since": ("logs --local one --since 1h", 0, "first 0.25\nsecond 0.25\n"),
    "long ago": ("logs --local one --since 1ms", 0, ""),
    "@latest": ("logs --local @latest --tail 1", 0, "second 0.75\n"),
    "docker logs -f": ("logs --local -f one", 0, "first 0.25\nsecond 0.25\n"),
    "kubectl logs -f --tail": ("logs --local -f one --tail 1", 0, "second 0.25\n"),
    "docker logs -f --since": ("logs --local -f one --since 1h", 0, "first 0.25\nsecond 0.25\n"),
    "-f, long ago": ("logs --local -f one --since 1ms", 0, ""),
    "-f of a failed run": ("logs --local -f two --grep first", 1, "first 0.75\n"),
    "--attempt": ("logs --local one --attempt 0 --tail 1", 0, "second 0.25\n"),
    "--all-containers": ("logs --local one --all-containers --tail 1", 0, "second 0.25\n"),
}


@pytest.mark.parametrize("habit", LOGS)
def test_a_log_is_as_the_habit_wants_it(cli: Cli, habit: str) -> None:
    line, code, out = LOGS[habit]
    ran = cli(*line.split())
    assert (ran.code, ran.out) == (code, out), ran


def test_several_runs_are_followed_at_once(cli: Cli) -> None:
    ran = cli("logs", "--local", "-f", "one", "two")
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert sorted(lines) == sorted(LOGS["several runs"][2].splitlines())
    assert re.findall(r"^(\w+): (Succeeded|Failed)", ran.stderr, re.MULTILINE) == [
        ("one", "Succeeded"),
        ("two", "Failed"),
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("logs --local one -f --attempt 0", "-f follows the main container through all attempts"),
        ("logs --local one -f --all-containers", "-f follows the main container"),
        ("logs --local one --grep [", "--grep '[' is no regular expression"),
        ("logs one -c x --all-containers", "contradict each other"),
        ("logs --local one --previous", "--previous: one has no such attempt"),
    ],
)
def test_a_log_that_cannot_be(cli: Cli, line: str, error: str) -> None:
    ran = cli(*line.split())
    assert ran.out == ""
    assert ran.code in (2, 4)
    assert error in ran.errors[0]


def test_diff_shows_what_differs_and_says_so_by_its_exit_code(cli: Cli) -> None:
    ran = cli("diff", "--local", "one", "two", "-U", "0")
    assert ran.code == 1
    changed = [line for line in ran.out.splitlines()[2:] if line[:1] in ("+", "-")]
    assert [line for line in changed if "rate" in line or "0.25" in line or "0.75" in line] == [
        "-      value: '0.25'",
        "+      value: '0.75'",
        "-  rate: 0.25",
        "+  rate: 0.75",
    ]
    assert [line.strip("+- ") for line in changed if "exit" in line] == ["exit 0", "exit 3"]
    same = cli("diff", "--local", "one", "one")
    assert (same.code, same.out, same.stderr) == (0, "", "one and one do not differ\n")


def test_diff_of_two_files_needs_no_run(cli: Cli, folder: Path) -> None:
    ran = cli("diff", folder / "one.yaml", folder / "two.yaml")
    assert ran.code == 1
    assert [line.strip("+- ") for line in ran.out.splitlines() if "exit" in line] == [
        "exit 0",
        "exit 3",
    ]


def test_cp_copies_files_and_folders(cli: Cli, tmp_path: Path) -> None:
    assert cli("cp", "--local", "one:outputs/deep/model", tmp_path).code == 0
    assert (tmp_path / "model").read_text() == "model 0.25\n"
    assert cli("cp", "--local", "two:outputs", ".").code == 0
    assert (tmp_path / "outputs" / "deep" / "model").read_text() == "model 0.75\n"
    assert cli("cp", "--local", "two:", ".").code == 0
    assert (tmp_path / "two" / "outputs" / "deep" / "model").exists()


def test_cp_copies_to_a_run(cli: Cli, tmp_path: Path) -> None:
    """By the names that `cp` gives: into a folder, else to this name."""
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "c").write_text("x")
    for words in (("a b", "two:"), ("a b/c", "two:outputs/"), ("two:a b/c", "./back:1")):
        assert cli("cp", "--local", *words).stderr == f"copied {words[0]} to {words[1]}\n"
    assert (tmp_path / "back:1").read_text() == "x"
    assert cli("cp", "--local", "two:outputs/c", ".").code == 0
    assert (tmp_path / "c").read_text() == "x"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["one:nothing", "."], "one has no file 'nothing' (it has: outputs)"),
        (["one:../..", "."], "'../..' is outside of the folder of one: expected a path"),
        (["nothing", "one:."], "there is no file 'nothing' here"),
        (["one.yaml", "one:../x"], "'../x' is outside of the folder of one"),
        (["one.yaml", "one:no/x"], "one has no file 'no/x' (it has: outputs)"),
        (["one:outputs", "one.yaml"], "one.yaml is a file, and outputs a folder"),
        (["one:outputs", "two:outputs"], "'one:outputs' and 'two:outputs': expected one of this"),
        (["one", "."], "'one' and '.': expected one that is RUN:PATH"),
        (["one:outputs", "missing/x"], "missing is no folder"),
    ],
)
def test_cp_refuses_what_it_cannot_copy(
    cli: Cli, tmp_path: Path, words: list[str], error: str
) -> None:
    (tmp_path / "one.yaml").touch()
    ran = cli("cp", "--local", *words)
    assert ran.code in (2, 4)
    assert error in ran.errors[0]


def test_a_local_run_has_no_container(cli: Cli) -> None:
    ran = cli("exec", "--local", "one", "--", "ls")
    assert ran.code == 2
    assert "hint: Its files: opstrand cp --local one:. FOLDER" in ran.stderr
