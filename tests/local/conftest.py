"""Runs `opstrand run --local` as a person types it, with records in the test's own folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.command_line import CHECKOUT, Ran, run_opstrand

PUBLISHED = Path(os.environ.get("OPSTRAND_PUBLISHED_VENV") or CHECKOUT / ".venv-published")
#: A python3 without anything of polyaxon's, and one with the published package.
PYTHONS = {"nothing": Path(sys.executable).parent, "published": PUBLISHED / "bin"}

Run = Callable[..., Ran]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def here(records: Path, tmp_path: Path) -> Run:
    """Run a command with these records; `python` chooses the python3 that is first on PATH."""

    def run(*arguments: str | Path, python: str = "nothing", **env: str) -> Ran:
        path = f"{PYTHONS[python]}{os.pathsep}{os.environ['PATH']}"
        return run_opstrand(
            *arguments, env={"OPSTRAND_LOCAL": str(records), "PATH": path, **env}, cwd=tmp_path
        )

    return run


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Path]:
    """Write a component file that runs this Python text; other keys are merged over the
    component.
    """

    def write(code: str, name: str = "job", **more: object) -> Path:
        import yaml

        container = {"image": "python", "command": ["python3", "-uc"], "args": [code]}
        component = {"kind": "component", "run": {"kind": "job", "container": container}, **more}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(component, allow_unicode=True))
        return path

    return write
