"""Mistakes and what a user sees of each, scored by one rule: what is wrong, where, and what to do.

A text in the table is a point; an empty one is a point that the message does not earn.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import Cli

_JOB = "run: {kind: job, container: {image: a}}\n"
FILES = {
    "ok.yaml": "kind: component\nname: ok\ninputs: [{name: rate, type: float}]\n"
    "run: {kind: job, container: {image: a, command: [echo, '{{ rate }}']}}\n",
    "plain.yaml": f"kind: component\n{_JOB}",
    "tab.yaml": "kind: component\n\trun: x\n",
    "dup.yaml": "kind: component\nkind: component\n",
    "two.yaml": "kind: component\n---\nkind: component\n",
    "typo.yaml": "kind: component\nrun: {kind: job, contaner: {image: a}}\n",
    "kind.yaml": f"kind: componet\n{_JOB}",
    "runtime.yaml": "kind: component\nrun: {kind: jbo, container: {image: a}}\n",
    "type.yaml": f"kind: component\ninputs: [{{name: x, type: flot}}]\n{_JOB}",
    "template.yaml": "kind: component\ninputs: [{name: rate, type: float}]\n"
    "run: {kind: job, container: {image: a, command: [echo, '{{ ratee }}']}}\n",
    "brace.yaml": "kind: component\nrun: {kind: job, container: {image: a, args: ['{{ x']}}\n",
    "image.yaml": "kind: component\nrun: {kind: job, container: {command: [a]}}\n",
    "empty.yaml": "",
    "list.yaml": "[1, 2]\n",
    "norun.yaml": "kind: component\nname: x\n",
    "path.yaml": "kind: operation\npathRef: plan.yaml\n",
    "retries.yaml": f"kind: component\ntermination: {{maxRetries: many}}\n{_JOB}",
    "name.yaml": f"kind: component\nname: Bad Name!\n{_JOB}",
    "ref.yaml": "kind: operation\nparams: {x: {ref: run.abc, value: outputs.x}}\n"
    f"component:\n  inputs: [{{name: x, type: int}}]\n  {_JOB}",
    "value.yaml": "kind: operation\nparams: {x: {ref: ops.abc, value: output.x}}\n"
    f"component:\n  inputs: [{{name: x, type: int}}]\n  {_JOB}",
    "twice.yaml": "kind: component\ninputs: [{name: x, type: int}, {name: x, type: int}]\n"
    f"{_JOB}",
    "connection.yaml": "kind: component\n"
    "run: {kind: job, connections: [data], container: {image: a}}\n",
    "job.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\n"
    "spec: {template: {spec: {containers: [{name: a, image: b}]}}}\n",
    "old.yaml": "version: 1\nkind: experiment\nrun: {cmd: x}\n",
    "port.yaml": "kind: component\nrun: {kind: service, ports: [99999], container: {image: a}}\n",
    "env.yaml": "kind: component\n"
    "run: {kind: job, container: {image: a, env: [{nam: A, value: b}]}}\n",
    "memory.yaml": "kind: component\n"
    "run: {kind: job, container: {image: a, resources: {limits: {memory: lots}}}}\n",
    "needs.yaml": "kind: component\nrun:\n  kind: dag\n  operations:\n"
    f"  - {{name: a, dependencies: [b], component: {{{_JOB.strip()}}}}}\n",
    "circle.yaml": "kind: component\nrun:\n  kind: dag\n  operations:\n"
    f"  - {{name: a, dependencies: [b], component: {{{_JOB.strip()}}}}}\n"
    f"  - {{name: b, dependencies: [a], component: {{{_JOB.strip()}}}}}\n",
    "flag.yaml": f"kind: operation\nisApproved: maybe\ncomponent: {{{_JOB.strip()}}}\n",
    "cron.yaml": "kind: operation\nschedule: {kind: cron, cron: every day}\n"
    f"component: {{{_JOB.strip()}}}\n",
    "matrix.yaml": "kind: operation\n"
    "matrix: {kind: grid, params: {x: {kind: choices, value: [1]}}}\n"
    f"component:\n  inputs: [{{name: x, type: int}}]\n  {_JOB}",
    "object.yaml": "apiVersion: opstrand.dev/v1\nkind: Operation\nmetadata: {name: UPPER}\n"
    f"spec: {{component: {{{_JOB.strip()}}}}}\n",
    "version.yaml": "apiVersion: opstrand.dev/v2\nkind: Operation\nmetadata: {name: a}\nspec: {}\n",
    "preset.yaml": "isPreset: true\nrunPatch: {containr: {image: x}}\n",
    "bad.kube": "{}",
}
_PATH = "`opstrand explain FIELD`"
_REMOVE = "Remove the key, or use the nearest valid one."
_LIST = "`opstrand ls` lists the runs"
#: The line: (what is wrong, where, what to do).
MISTAKES: dict[str, tuple[str, str, str]] = {
    # files
    "run": ("there is nothing to run", "there is nothing", "opstrand run FILE"),
    "run plan.yaml": ("No such file", "plan.yaml", "did you mean 'plain.yaml'?"),
    "run --local folder": ("Is a directory", "folder", "Name a file in it"),
    "check tab.yaml": ("a tab cannot indent", "tab.yaml:2:1", "use spaces"),
    "check dup.yaml": ("the key 'kind' is already", "dup.yaml:2:1", "on line 1"),
    "check two.yaml": ("a second document starts", "two.yaml:2:1", "one file holds one"),
    "check typo.yaml": ("unknown key 'contaner'", "typo.yaml:2:18", "did you mean 'container'?"),
    "check kind.yaml": ("found the text 'componet'", "kind.yaml:1:1", "did you mean 'component'?"),
    "check runtime.yaml": ("found the text 'jbo'", "runtime.yaml:2:7", "did you mean 'job'?"),
    "check type.yaml": ("there is no type 'flot'", "type.yaml:2:20", "did you mean 'float'?"),
    "check template.yaml": ("there is no 'ratee'", "template.yaml:3:", "did you mean 'rate'?"),
    "check brace.yaml": ("unexpected end of template", "brace.yaml:2:", "{% raw %}"),
    "check image.yaml": ("a container needs an image", "image.yaml:2:18", _PATH),
    "check empty.yaml": ("found an empty file", "empty.yaml", "`opstrand init`"),
    "check list.yaml": ("found a list of 2", "list.yaml:1:1", "expected a component"),
    "check norun.yaml": ("there is nothing to run", "norun.yaml:1:1", _PATH),
    "check path.yaml": ("could not read plan.yaml", "path.yaml:2:1", "did you mean 'plain.yaml'?"),
    "check retries.yaml": ("found the text 'many'", "retries.yaml:2:15", "expected a whole number"),
    "check name.yaml": ("found the text 'Bad Name!'", "name.yaml:2:1", "expected letters, digits"),
    "check ref.yaml": ("'run.abc' is no ref", "ref.yaml:2:14", "did you mean 'runs'?"),
    "check value.yaml": ("'output.x' asks for nothing", "value.yaml:2:28", "mean 'outputs'?"),
    "check twice.yaml": ("'x' is declared twice", "twice.yaml:2:33", _PATH),
    "render connection.yaml": ("names a connection", "connection.yaml:2:18", "--connections FILE"),
    "check job.yaml": ("this is a Kubernetes Job", "job.yaml:2:1", "as a component"),
    "check old.yaml": ("is of Polyaxon 0.x", "old.yaml:2:1", "today one writes"),
    "check port.yaml": ("found the number 99999", "port.yaml:2:30", "from 1 to 65535"),
    "check env.yaml": ("unknown key 'nam'", "env.yaml:2:47", "did you mean 'name'?"),
    "check memory.yaml": ("found the text 'lots'", "memory.yaml:2:61", "such as 500m, 2 or 1Gi"),
    "check needs.yaml": ("has no operation 'b'", "needs.yaml:5:30", "(it has: a)"),
    "check circle.yaml": ("wait for each other", "circle.yaml:5:5", "a → b → a"),
    "check flag.yaml": ("found the text 'maybe'", "flag.yaml:2:1", "expected true or false"),
    "check cron.yaml": ("found the text 'every day'", "cron.yaml:2:24", "expected minute, hour"),
    "check matrix.yaml": ("found the text 'choices'", "matrix.yaml:2:35", "mean 'choice'?"),
    "check object.yaml": ("'UPPER' is no name", "object.yaml:3:12", "Use lower-case letters"),
    "check version.yaml": (
        "found 'opstrand.dev/v2'",
        "version.yaml:1:1",
        "expected opstrand.dev/v1",
    ),
    "check folder": ("there is no polyaxonfile", "folder", "`kind: component`"),
    "run --local plain.yaml --preset preset.yaml": (
        "unknown key 'containr'",
        "preset.yaml:2:12",
        "did you mean 'container'?",
    ),
    "run --local object.yaml": ("an object for kubectl", "object.yaml", "`kubectl apply -f"),
    # params and options
    "run --local ok.yaml": ("is required and got no value", "ok.yaml:3:10", "Give the param a"),
    "run --local ok.yaml -P rate=fast": ("cannot read 'fast'", "-P rate", "such as 0.5 or 1e-3"),
    "run --local ok.yaml -P rat=1": ("is no input or output", "-P rat ", "did you mean 'rate'?"),
    "run --local ok.yaml -P rate": ("-P 'rate'", "-P 'rate'", "expected NAME=VALUE"),
    "run ok.yaml -P rate=1 -P rate=2": ("is given twice", "-P rate", "Leave one of them out"),
    "run ok.yaml --nam x": ("No such option", "'--nam'", "Did you mean one of: '--name'"),
    "run --local ok.yaml -P rate=1 --name Bad_Name": (
        "'Bad_Name' is no name for a run",
        "--name",
        "Use lower-case letters",
    ),
    "run --local --hub x": ("--hub needs a cluster", "--hub", "Leave out --local"),
    "run python": ("there is no file 'python'", "'python'", "opstrand run python -- COMMAND"),
    "run ok.yaml -e 1A": ("'1A'", "--env", "expected NAME=VALUE"),
    "run ok.yaml --param-file job.yaml --set-file rate": ("'rate'", "--set-file", "NAME=FILE"),
    "render ok.yaml --stage pods": ("'pods' is not one of", "'--stage'", "'plan', 'pod'"),
    # runs and lists
    "get --local nothing": ("there is no run 'nothing'", "project 'default'", _LIST),
    "logs --local nothing": ("there is no run 'nothing'", "project 'default'", _LIST),
    "rm --local nothing": ("there is no run 'nothing'", "project 'default'", _LIST),
    "get --local pod/x": (
        "there is no run 'pod'",
        "the operation x of the pipeline pod",
        "types of a run",
    ),
    "ls --local --status Runing": ("no such phase", "--status 'Runing'", "mean 'Running'?"),
    "ls --local --sort strted": ("no such key", "--sort 'strted'", "mean 'started'?"),
    "ls --local -o jason": ("'jason' is not one of", "'--output'", "'json', 'yaml'"),
    "ls --local -l a=b=c": ("'a=b=c'", "--selector", "expected KEY=VALUE"),
    "ls --local -o jsonpath={.a": ("a brace is not closed", "-o jsonpath", "`-o json` prints all"),
    "wait --local x --timeout soon": ("'soon' is no duration", "'--timeout'", "such as 90, 5m"),
    "logs --local x --grep [": ("is no regular expression", "--grep '['", ""),
    "logs --local x -f --previous": ("all attempts", "-f follows", "leave out --container"),
    "rm": ("there is nothing to delete", "to delete", "opstrand rm --completed --older 7d"),
    "cp --local x .": ("'x'", "expected one that is RUN:PATH", "opstrand cp train:outputs ."),
    "restart --local nothing": ("there is no run 'nothing'", "project 'default'", _LIST),
    "port-forward x notaport": ("is no pair of ports", "'notaport'", "expected PORT or LOCAL:PORT"),
    # words, settings, clusters
    "explain run.contaner": ("unknown key 'contaner'", "run.contaner", "did you mean 'container'?"),
    "lss": ("there is no command 'lss'", "'lss'", "did you mean 'ls'?"),
    "delete x": ("there is no command 'delete'", "'delete'", "opstrand rm x"),
    "completion tcsh": ("'tcsh' is not one of", "{bash|zsh|fish}", "'bash', 'zsh', 'fish'"),
    "config set namespce x": (
        "there is no setting 'namespce'",
        "NAME",
        "did you mean 'namespace'?",
    ),
    "get x": (
        "there is no kubeconfig at",
        "/nonexistent/kubeconfig",
        "--kubeconfig or $KUBECONFIG",
    ),
    "get x --kubeconfig gone.kube": ("there is no kubeconfig at", "gone.kube", "Name a kubeconfig"),
    "get x --kubeconfig bad.kube": ("Expected key current-context", "bad.kube", "by --context"),
    "components get": ("Missing argument", "'NAME[:TAG]'", "opstrand components get --help"),
}
#: Of three.
LEAST = 2.8


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "runs"))


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_answered_by_what_where_and_what_to_do(cli: Cli, line: str) -> None:
    ran = cli(*line.split())
    assert ran.code in (2, 4, 5), ran
    shown = ran.stderr + (ran.out if line.startswith("check") else "")
    assert [part for part in MISTAKES[line] if part not in shown] == [], shown


def test_the_mistakes_score_enough() -> None:
    points = sum(bool(part) for parts in MISTAKES.values() for part in parts)
    assert len(MISTAKES) >= 65
    assert points / len(MISTAKES) >= LEAST
