"""Every command that names a run takes what `-o name` prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from tests.local.conftest import Run

from opstrand.cli.app import COMMANDS, load_command

Job = Callable[..., Path]


def _name_runs(command: click.Command) -> bool:
    names = {parameter.name for parameter in command.params}
    return "local" in names and bool(names & {"run", "runs"})


#: `exec` is left out: a local run is a process, and has no container. `ui` serves until it is
#: told to stop: `tests/cli/test_ui.py` has it.
LEFT_OUT = ("exec", "ui")
NAMING = [name for name in COMMANDS if name not in LEFT_OUT and _name_runs(load_command(name))]

#: What a command answers that has found the run and does nothing to it.
REFUSALS = {"resume": "'train' cannot be resumed"}


def test_the_commands_are_found() -> None:
    assert {"get", "logs", "wait", "rm"} <= set(NAMING)


def test_every_command_takes_what_o_name_prints(here: Run, job: Job) -> None:
    ran = here("run", "--local", "-f", job("print(1)"), "--name", "train", "-o", "name")
    typed = ran.out.strip()
    assert typed == "operation.opstrand.dev/train"
    for command in sorted(NAMING, key=lambda name: name == "rm"):
        flags = ["-y"] if command == "rm" else []
        told = here(command, "--local", *flags, typed)
        refusal = REFUSALS.get(command)
        assert refusal in told.stderr if refusal else told.code == 0, (command, told)


@pytest.mark.parametrize("text", ["op/first", "f", "operations/f"])
def test_a_unique_beginning_of_any_length_is_enough(here: Run, job: Job, text: str) -> None:
    here("run", "--local", "-f", job("print(1)"), "--name", "first")
    assert here("get", "--local", text, "-o", "name").out == "operation.opstrand.dev/first\n"
