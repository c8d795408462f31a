"""Options and words of other tools that a command does not have: the answer says what it has."""

from __future__ import annotations

import pytest
from tests.cli.conftest import Cli

#: The line: (the exit code, a part of the answer).
ANSWERS = {
    "run -d a.yaml": (2, "hint: It returns at once; -l shows the output, -w each phase."),
    "run --rm ubuntu": (2, "hint: A run stays until `opstrand rm`"),
    "run -it ubuntu": (2, "hint: A run has no terminal: start it, then `opstrand exec RUN`"),
    "run --set a=1 a.yaml": (2, "hint: Values of params are -P NAME=VALUE."),
    "ls --local -p rate=3": (2, "hint: -p and -n name the project; a param is -P rate=3"),
    "ls --filter status=exited": (2, "hint: Choose by --status PHASE, -l KEY=VALUE"),
    "ls --show-labels": (2, "hint: -o yaml shows the labels"),
    "get a -o custom-columns=A:.b": (2, "-o custom-columns is kubectl's: here it is jsonpath=..."),
    "rm -f a": (2, "hint: -y deletes without asking."),
    "rm --all": (2, "hint: Choose by --completed"),
    "rm --completed --dry-run": (2, "hint: `opstrand ls` with the same options"),
    "wait a --for=condition=Ready": (2, "hint: It waits for the end of each run"),
    "cp -r a:b c": (2, "hint: A folder is copied with all that is in it."),
    "exec a ls -l": (2, "hint: Is -l one of the command? Then write -- before the command."),
    "logs --local -n 10 a": (4, "hint: -n names the project; the last lines of a log are --tail"),
    "logs --local -p a": (2, "hint: -p names the project; the log of the attempt before is"),
    "get --local ops": (4, "hint: No type stands before a run here, or with a slash (op/NAME)"),
    "get --local pod": (4, "hint: No type stands before a run here"),
    "ls --frobnicate": (2, "No such option '--frobnicate'"),
}


@pytest.mark.parametrize("line", ANSWERS)
def test_the_answer_says_what_there_is_instead(cli: Cli, line: str) -> None:
    code, part = ANSWERS[line]
    ran = cli(*line.split())
    assert (ran.code, ran.out) == (code, "")
    assert part in ran.stderr
