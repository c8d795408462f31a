"""`ls -w` and `get -w` at real terminals of 60 and 120 columns, and in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
import uuid
from pathlib import Path

import pytest
from tests.support.command_line import OPSTRAND, environment

#: Seconds that a busy machine may take.
PATIENCE = 60.0


def write_run(folder: Path, name: str, phase: str, message: str = "") -> None:
    """Write a run that has ended, or that changes, as another process would."""
    where = folder / "default" / name
    where.mkdir(parents=True, exist_ok=True)
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "resourceVersion": str(time.monotonic_ns()),
    }
    status = {"phase": phase, "kind": "job", "message": message, "reason": "ContainerFailed"}
    body = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "metadata": metadata}
    text = json.dumps({**body, "spec": {}, "status": status})
    part = where / "part"
    part.write_text(text)
    part.rename(where / "run.json")


class Terminal:
    """A command at a pseudo-terminal, and what it has shown."""

    def __init__(self, *arguments: str, folder: Path, width: int, height: int = 24) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (height, width))
        env = environment(TERM="xterm", NO_COLOR="1", OPSTRAND_LOCAL=str(folder))
        self.process = subprocess.Popen(
            [OPSTRAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, pattern: str) -> str:
        """Read until what is shown matches, and return what came since the last call."""
        begin, deadline = len(self.shown), time.monotonic() + PATIENCE
        while not re.search(pattern, self.shown[begin:]):
            ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"not shown: {pattern!r} in {self.shown[begin:]!r}"
            self.shown += os.read(self._ours, 65536).decode()
        return self.shown[begin:]

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE)
        os.close(self._ours)
        return code


@pytest.mark.parametrize("width", [60, 120])
def test_a_list_is_drawn_in_place_and_no_line_is_wider_than_the_terminal(
    tmp_path: Path, width: int
) -> None:
    write_run(tmp_path, "first", "Failed", "a message that is much longer than any row " * 4)
    terminal = Terminal("ls", "--local", "-w", folder=tmp_path, width=width)
    before = terminal.read_until(r"first .*\n")
    write_run(tmp_path, "second", "Succeeded")
    after = terminal.read_until(r"second .*\n")
    # The two lines of before are written over, in one go: nothing is cleared first.
    assert "\x1b[2A\rNAME" in after
    assert "\x1b[2J" not in terminal.shown
    lines = re.sub(r"\x1b\[[0-9]*[A-Z]", "", before + after).replace("\r", "").splitlines()
    assert max(map(len, lines)) <= width
    assert terminal.interrupt() == 130


def test_more_runs_than_lines_are_counted(tmp_path: Path) -> None:
    for number in range(20):
        write_run(tmp_path, f"run-{number}", "Failed")
    terminal = Terminal("ls", "--local", "-w", folder=tmp_path, width=80, height=10)
    shown = terminal.read_until(r"more\x1b")
    assert "... and 13 more" in shown
    assert terminal.interrupt() == 130


def test_in_a_pipe_each_change_is_a_line(tmp_path: Path) -> None:
    write_run(tmp_path, "first", "Failed")
    env = environment(OPSTRAND_LOCAL=str(tmp_path))
    command = [OPSTRAND, "ls", "--local", "-w"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("NAME ")
        assert process.stdout.readline().startswith("first ")
        write_run(tmp_path, "second", "Succeeded")
        assert process.stdout.readline().startswith(("second ", "NAME "))
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
