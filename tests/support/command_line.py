"""Runs the real command line as a subprocess: its output, byte for byte, and its exit code."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLES = CHECKOUT / "tests" / "samples"
OPSTRAND = Path(sys.executable).with_name("opstrand")
#: The variables of the machine that a command may see: none that would choose a cluster, a project
#: or a colour.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True)
class Ran:
    """The result of one command.

    `seconds` is the user CPU time of the command and its children.
    """

    code: int
    stdout: bytes
    stderr: str
    seconds: float

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a command: UTF-8, a home without a kubeconfig, and `more`."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONUTF8": "1", "KUBECONFIG": "/nonexistent/kubeconfig", **more}


def run_opstrand(
    *arguments: str | Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ran:
    """Run `opstrand ARGUMENTS`. No command may ever show a traceback."""
    return run_command([str(OPSTRAND), *map(str, arguments)], stdin=stdin, env=env, cwd=cwd)


def run_command(
    command: list[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ran:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        env=environment(**(env or {})),
        cwd=cwd,
        timeout=120,
    )
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    ran = Ran(done.returncode, done.stdout, done.stderr.decode(), spent)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran
