"""`make test` says in a line what it left out and the command that adds it; in CI that is a failure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests import run


@pytest.mark.parametrize(("is_ci", "code"), [(False, 0), (True, 1)])
def test_what_is_left_out_is_said_and_fails_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_ci: bool, code: int
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OPSTRAND_PUBLISHED_VENV", str(tmp_path))
    monkeypatch.setattr(run, "STATE", tmp_path)
    monkeypatch.setattr(run, "IS_CI", is_ci)
    monkeypatch.setattr(run, "TIERS", [tier for tier in run.TIERS if tier.needs in ("published", "cluster")])
    assert run.main() == code
    assert capsys.readouterr().out.splitlines() == [
        "left out: command line, local, published client, growth (needs the published package: make published)",
        "left out: e2e (needs a cluster: make cluster)",
    ]


def test_a_tier_that_runs_beside_another_is_shown_whole_after_it_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, body in {"beside": "time.sleep(0.5); assert 0, 'its words'", "live": "pass"}.items():
        (tmp_path / f"test_{name}.py").write_text(f"import time\ndef test_{name}(): {body}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    tiers = [run.Tier("slow", (str(tmp_path / "test_beside.py"),), is_beside=True), run.Tier("quick", (str(tmp_path / "test_live.py"),))]
    assert run._run(tiers) == 1
    out = capfd.readouterr().out
    assert out.index("== quick") < out.index("1 passed") < out.index("== slow") < out.index("its words") < out.index("1 failed")


def test_asking_what_is_built_builds_and_installs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Go: not even the toolchain is fetched to say what is left out."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OPSTRAND_CACHE", str(tmp_path / "cache"))
    assert run._missing("programs") == "needs a built kube-apiserver: make programs"
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh one, and a python3 that only says what it was asked for."""
    for name in ("Makefile", "pyproject.toml", "requirements-dev.txt"):
        (tmp_path / name).write_text((run.CHECKOUT / name).read_text())
    return tmp_path


def _install(checkout: Path, python: str) -> subprocess.CompletedProcess[str]:
    (checkout / "python").write_text(f"#!/bin/sh\n{python}\n")
    (checkout / "python").chmod(0o755)
    return subprocess.run(["make", "install", "PYTHON=./python"], cwd=checkout, capture_output=True, text=True)


def test_a_python_that_is_too_old_is_said_to_be(checkout: Path) -> None:
    done = _install(checkout, 'test "$1" = --version && echo Python 3.9.2; exit 1')
    assert done.returncode == 2
    assert "./python is Python 3.9.2; 3.11 or newer is needed" in done.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("pip", ["", "#!/bin/sh\necho pip 1 from /elsewhere/.venv/lib\n"], ids=["half made", "moved"])
def test_an_environment_that_cannot_be_used_is_made_anew(checkout: Path, pip: str) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    if pip:
        (checkout / ".venv/bin/pip").write_text(pip)
        (checkout / ".venv/bin/pip").chmod(0o755)
    done = _install(checkout, 'echo "$@" >> asked; test "$1" = -c')
    assert done.returncode == 2
    assert (checkout / "asked").read_text().splitlines()[-1] == "-m venv --clear .venv"
