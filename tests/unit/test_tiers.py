"""`make test` says in a line what it left out and the command that adds it; in CI that is a failure."""

from __future__ import annotations

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
        "left out: command line and local (needs the published package: make published)",
        "left out: published client (needs the published package: make published)",
        "left out: e2e (needs a cluster: make cluster)",
    ]
