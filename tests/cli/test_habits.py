"""Habits of kubectl, argo, gh, docker and polyaxon: what fingers type, and what is seen.

The runs are local, made once; a cluster answers the same commands in tests/integration.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import run_opstrand

from opstrand.local.claims import Claims
from opstrand.local.records import Records

FILE = """kind: component
name: tiny
inputs: [{name: rate, type: float, value: 0.5, isOptional: true}]
run: {kind: job, container: {image: a, command: [sh, -c, "echo rate {{ rate }}; exit {{ code }}"]}}
"""
LABELS = {"one": {"team": "a"}, "two": {"team": "b"}, "three": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the runs one (succeeded), two (failed) and three (succeeded, ended nine days ago)."""
    home = tmp_path_factory.mktemp("runs")
    for name, code in (("one", 0), ("two", 3), ("three", 0)):
        file = home / "file.yaml"
        file.write_text(FILE.replace("{{ code }}", str(code)))
        ran = run_opstrand(
            *("run", "--local", "-f", file, "--name", name),
            env={"OPSTRAND_LOCAL": str(home / "runs")},
        )
        assert ran.code == (1 if code else 0), ran
    records = Records(home / "runs")
    for age, (name, labels) in enumerate(LABELS.items()):
        records.change(("default", name), lambda body, a=age, made=labels: label(body, made, a))
    return home / "runs"


def label(body: dict, labels: dict[str, str], age: int) -> dict:
    """Return the run with labels, created `age` minutes ago; the last ended nine days ago."""
    moment = datetime.now(UTC) - (timedelta(days=9) if age == 2 else timedelta(minutes=age))
    at = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {**body["metadata"], "labels": labels, "creationTimestamp": at}
    return {**body, "metadata": metadata, "status": {**body["status"], "finishedAt": at}}


@pytest.fixture(autouse=True)
def _of_this_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(folder))


#: Habit: (the line, what stdout is).
LISTS = {
    "kubectl get": ("get --local -o name -l team", "operation.opstrand.dev/one\n{o}/two\n"),
    "options before the command": ("--local -n default ls -q", "one\ntwo\nthree\n"),
    "docker ps -q": ("ls --local -q", "one\ntwo\nthree\n"),
    "kubectl -l": ("ls --local -q -l team=a", "one\n"),
    "kubectl --selector": ("ls --local -q --selector team!=a", "two\nthree\n"),
    "kubectl -l, without a key": ("ls --local -q -l !team", "three\n"),
    "argo list --since": ("ls --local -q --since 1h", "one\ntwo\n"),
    "argo list --older": ("ls --local -q --older 7d", "three\n"),
    "argo list --running": ("ls --local -q --running", ""),
    "argo list --completed": ("ls --local -q --completed", "one\ntwo\nthree\n"),
    "kubectl --sort-by": ("ls --local -q --sort-by=.metadata.name", "one\nthree\ntwo\n"),
    "kubectl --sort-by, braces": (
        "ls --local -q --sort-by={.metadata.creationTimestamp}",
        "three\ntwo\none\n",
    ),
    "kubectl -A": ("ls --local -A -q --limit 1", "one\n"),
    "argo @latest": ("get --local @latest -q", "one\n"),
    "kubectl get a b": ("get --local two one -q", "two\none\n"),
    "kubectl -o jsonpath": (
        "get --local one -o jsonpath={.metadata.name}:{.status.phase}",
        "one:Succeeded\n",
    ),
    "kubectl -o jsonpath of a list": (
        "ls --local -o jsonpath={range .items[*]}{.metadata.name}={.status.phase},{end}",
        "one=Succeeded,two=Failed,three=Succeeded,\n",
    ),
    "kubectl -o jsonpath with a filter": (
        'ls --local -o jsonpath={.items[?(@.status.phase=="Failed")].metadata.name}',
        "two\n",
    ),
}


def split(line: str) -> list[str]:
    """Split at blanks, but keep a template whole: it begins with `jsonpath=`."""
    head, sign, template = line.partition("jsonpath=")
    return [*head.split(), *([sign + template] if sign else [])]


@pytest.mark.parametrize("habit", LISTS)
def test_a_list_is_as_the_habit_wants_it(cli: Cli, habit: str) -> None:
    line, shown = LISTS[habit]
    ran = cli(*split(line))
    assert (ran.code, ran.out) == (0, shown.replace("{o}", "operation.opstrand.dev")), ran


def test_a_table_without_heads(cli: Cli) -> None:
    with_heads = cli("ls", "--local").out.splitlines()
    without = cli("ls", "--local", "--no-headers").out.splitlines()
    assert with_heads[0].startswith("NAME ")
    assert [line.split()[0] for line in without] == ["one", "two", "three"]
    assert [line.split()[0] for line in with_heads[1:]] == ["one", "two", "three"]


def test_several_runs_are_a_table_or_a_list(cli: Cli) -> None:
    table = cli("get", "--local", "one", "two").out.splitlines()
    assert [line.split()[0] for line in table] == ["NAME", "one", "two"]
    listed = json.loads(cli("get", "--local", "one", "two", "-o", "json").out)
    assert [one["metadata"]["name"] for one in listed["items"]] == ["one", "two"]
    part = cli("get", "--local", "one", "nothing", "-q")
    assert (part.code, part.out) == (4, "one\n")
    assert "there is no run 'nothing'" in part.stderr


@pytest.mark.parametrize("arguments", [("ls", "-w"), ("get", "one", "-w", "-o", "json")])
def test_a_view_that_changes_has_no_other_form(cli: Cli, arguments: tuple[str, ...]) -> None:
    more = () if "-o" in arguments else ("-o", "json")
    ran = cli(*arguments, *more, "--local")
    assert (ran.code, "-w shows" in ran.stderr) == (2, True)


def test_get_w_ends_with_the_run_and_its_exit_code(cli: Cli) -> None:
    ran = cli("get", "--local", "two", "-w")
    assert ran.code == 1
    assert [line.split()[0] for line in ran.out.splitlines()] == ["NAME", "two"]


TEMPLATES = {
    "[1:]": "{.a[1:]}",
    "..": "{..name}",
    "text": "{'x'}{\"\\t\"}{.b.c}",
    "bare": ".b.c",
    "quoted key": "{['b']['c']}",
    "escaped dot": r"{.b.d\.e}",
    "missing": "{.nothing.here}",
    "object": "{.b}",
    "last": "{.a[-1].name}",
    "all": "{.a[*].name}",
    "unequal": "{.a[?(@.name!='x')].name}",
}
PRINTED = ['{"name": "y"}', "x y", "x\t1", "1", "1", "2", "", '{"c": 1, "d.e": 2}', "y", "x y", "y"]


@pytest.mark.parametrize(("case", "printed"), list(zip(TEMPLATES, PRINTED, strict=True)))
def test_jsonpath_prints_what_kubectl_prints(case: str, printed: str) -> None:
    from opstrand.cli.output.jsonpath import print_jsonpath

    data = {"a": [{"name": "x"}, {"name": "y"}], "b": {"c": 1, "d.e": 2}}
    assert print_jsonpath(TEMPLATES[case], data) == printed


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{.a", "a brace is not closed"),
        ("{range .a[*]}x", "there is no {end}"),
        ("x{end}", "there is no {range}"),
        ("{.a[?(@.b>3)]}", "expected a filter"),
        ("{.a[b]}", "is not understood here"),
    ],
)
def test_a_jsonpath_that_is_not_understood_is_refused(cli: Cli, template: str, why: str) -> None:
    ran = cli("get", "--local", "one", "-o", f"jsonpath={template}")
    assert ran.code == 2
    assert ran.errors[0].startswith("error: -o jsonpath: ")
    assert why in ran.errors[0]


SYNONYMS = {
    "delete operation x": "rm x",
    "delete x": "rm x",
    "remove x": "rm x",
    "apply -f a.yaml": "run -f a.yaml",
    "submit a.yaml --watch": "run a.yaml --watch",
    "create -f a.yaml": "run -f a.yaml",
    "lint a.yaml": "check a.yaml",
    "cancel x": "stop x",
    "kill x": "stop x",
    "ps": "ls",
    "list -A": "ls -A",
    "describe op x": "get x",
    "inspect x": "get x",
    "watch x": "get -w x",
    "events x": "get x",
    "rerun x": "restart x",
    "resubmit x": "restart x",
    "ops ls": "ls",
    "ops logs x": "logs x",
    "ops delete x": "rm x",
    "ops": "ls",
}


@pytest.mark.parametrize("typed", SYNONYMS)
def test_a_word_of_another_tool_is_answered_by_ours(cli: Cli, typed: str) -> None:
    ran = cli(*typed.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors[0].endswith(f": opstrand {SYNONYMS[typed]}")
    assert ran.errors[0].startswith(f"error: there is no command {typed.split(maxsplit=1)[0]!r}: ")


@pytest.mark.parametrize("typed", sorted({line.split()[0] for line in SYNONYMS.values()}))
def test_the_word_that_is_named_is_a_command(cli: Cli, typed: str) -> None:
    assert cli(typed, "--help").code == 0


def test_help_of_a_command(cli: Cli) -> None:
    assert cli("help", "run").out == cli("run", "--help").out
    assert cli("help").out == cli("--help").out
    assert cli("help", "components", "ls").out == cli("components", "ls", "--help").out


TIMES = ["90", "5m", "1h30m", "7d", "1.5h", "500ms", "1w"]


@pytest.mark.parametrize("time", TIMES)
def test_a_time_is_written_as_in_kubectl(cli: Cli, time: str) -> None:
    assert cli("wait", "--local", "one", "--timeout", time).code == 0


@pytest.mark.parametrize("time", ["5x", "m", "5m3", "", "1 h", "0", "0m"])
def test_a_time_that_is_none(cli: Cli, time: str) -> None:
    ran = cli("wait", "--local", "one", "--timeout", time)
    assert ran.code == 2
    assert re.search(r"expected (such as 90, 5m|a finite time above 0)", ran.stderr)


def test_an_option_before_the_command_is_one_of_the_command(cli: Cli) -> None:
    assert cli("--local", "--namespace=nowhere", "ls").stderr == "no runs in project nowhere\n"
    refused = cli("-n", "team", "check", os.devnull)
    assert refused.code == 2
    assert "No such option '-n'" in refused.stderr


@pytest.fixture
def copied(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy the runs for a test that deletes; `four` has not ended, and this process claims it."""
    shutil.copytree(folder, tmp_path / "runs")
    shutil.copytree(folder / "default" / "one", tmp_path / "runs" / "default" / "four")
    file = tmp_path / "runs" / "default" / "four" / "run.json"
    body = json.loads(file.read_text())
    metadata = {**body["metadata"], "name": "four", "uid": str(uuid.uuid4()), "labels": {}}
    status = {"phase": "Waiting", "reason": "AwaitingApproval"}
    file.write_text(json.dumps({**body, "metadata": metadata, "status": status}))
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "runs"))
    claims = Claims(Records(tmp_path / "runs"))
    assert claims.claim(("default", "four"))
    yield tmp_path / "runs" / "default"
    claims.close()


#: The line after `rm --local`: (the exit code, the runs that are left).
REMOVALS = {
    "one two": (0, ["four", "three"]),
    "op/one": (0, ["four", "three", "two"]),
    "o": (2, ["four", "one", "three", "two"]),
    "-y o": (0, ["four", "three", "two"]),
    "--force @latest": (0, ["four", "three", "two"]),
    "nothing one": (4, ["four", "three", "two"]),
    "one four": (2, ["four", "three", "two"]),
    "one four -y": (0, ["three", "two"]),
    "one op/one": (0, ["four", "three", "two"]),
    "--older 7d": (2, ["four", "one", "three", "two"]),
    "--older 7d --completed -y": (0, ["four", "one", "two"]),
    "-l team -y": (0, ["four", "three"]),
    "--status failed -y": (0, ["four", "one", "three"]),
    "": (2, ["four", "one", "three", "two"]),
    "one --completed": (2, ["four", "one", "three", "two"]),
}


@pytest.mark.parametrize("line", REMOVALS)
def test_rm_deletes_what_is_certain(cli: Cli, copied: Path, line: str) -> None:
    code, left = REMOVALS[line]
    ran = cli("rm", "--local", *line.split())
    assert ran.code == code, ran
    assert sorted(one.name for one in copied.iterdir() if (one / "run.json").exists()) == left


def test_rm_says_what_it_left_alone(cli: Cli, copied: Path) -> None:
    ran = cli("rm", "--local", "four")
    assert ran.errors == [
        "error: not deleted: four (Waiting): there is no terminal to ask on, and they have not "
        "ended or are not named in full"
    ]
    assert "hint: -y deletes without asking." in ran.stderr
