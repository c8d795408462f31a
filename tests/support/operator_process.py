"""Runs the real operator as a process of the tests: start, kill, restart. Its log is kept for
failures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


class OperatorProcess:
    """`python -m MODULE` with a kubeconfig.

    `settings` are fields of opstrand.settings. Restarts append to the same log.
    """

    def __init__(
        self, kubeconfig: Path, log: Path, *, module: str = "opstrand.handlers", **settings: object
    ) -> None:
        self._kubeconfig, self.log, self._module = kubeconfig, log, module
        self._settings = {"health_port": 0, **settings}
        self._started_at = 0
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        variables = {
            f"OPSTRAND_{name.upper()}": str(value) for name, value in self._settings.items()
        }
        env = {
            **os.environ,
            **variables,
            **self.environment,
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'operator'}",
        }
        self._started_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                env=env,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
            )

    def wait_until_started(self, seconds: float = 60) -> None:
        """Wait until it has received its first full list."""
        deadline = time.monotonic() + seconds
        while b'"message": "started"' not in self.log.read_bytes()[self._started_at :]:
            self.check_alive()
            assert time.monotonic() < deadline, (
                f"the operator did not start within {seconds} s:\n{self.read_log()}"
            )
            time.sleep(0.05)

    def check_alive(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, (
            f"the operator ended with {self.process.returncode}:\n{self.read_log()}"
        )

    def kill(self) -> None:
        """Send SIGKILL, as a failing node does: the process cannot clean up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds: float = 30) -> int:
        """Send SIGTERM, as a Deployment does. Returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(
                f"the operator did not stop within {seconds} s:\n{self.read_log()}"
            ) from None

    def read_log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def health(self) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self._settings['health_port']}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
