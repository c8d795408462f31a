"""Runs the command line in this process, for the many tables. A few cases of each are also run as a
subprocess, which shows that both are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.command_line import Ran, environment

from opstrand.cli import main

Cli = Callable[..., Ran]


@pytest.fixture
def cli(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Cli:
    """Run `opstrand ARGUMENTS` in the test's own folder (or `cwd`), without a cluster."""
    monkeypatch.setenv("KUBECONFIG", environment()["KUBECONFIG"])
    monkeypatch.delenv("OPSTRAND_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, cwd: Path | None = None) -> Ran:
        monkeypatch.chdir(cwd or tmp_path)
        code = main([str(argument) for argument in arguments])
        out, errors = capfdbinary.readouterr()
        assert b"Traceback" not in errors
        return Ran(code, out, errors.decode(), 0.0)

    return run
