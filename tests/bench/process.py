"""A subject as a process: the CPU time and memory that it uses, by /proc. Must not know what it
does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Subject:
    """One of the compared programs.

    `command` are the arguments of Python, or of another `program`. Its log has `started` once it
    works. `asks_for_jobs`: runs are created as Jobs for it, not as Operations.
    """

    name: str
    user: str
    command: Sequence[str]
    kubeconfig: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    program: str = sys.executable
    started: bytes = b'"message": "started"'
    asks_for_jobs: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        env = {
            **os.environ,
            **self.environment,
            "KUBECONFIG": str(self.kubeconfig),
            "PYTHONPATH": str(CHECKOUT),
        }
        self.log.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, *self.command],
                env=env,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
            )
        deadline = time.monotonic() + 60
        while wait and self.started not in self.log.read_bytes():
            self.check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def check_alive(self) -> None:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended by itself:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def cpu_seconds(self) -> float:
        """Return user and system time so far, child processes included."""
        return sum(cpu_seconds(pid) for pid in self._pids())

    def rss(self, *, peak: bool = False) -> float:
        """Return the MiB that are resident now, or the peak, child processes included."""
        return sum(_resident(pid, "VmHWM" if peak else "VmRSS") for pid in self._pids())

    def _pids(self) -> list[int]:
        self.check_alive()
        assert self.process is not None
        return [self.process.pid, *_children(self.process.pid)]


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text().split()]


def cpu_seconds(pid: int) -> float:
    """Return user and system time of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
