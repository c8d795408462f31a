"""Where commands write and read: closed pipes, other encodings, terminals. None of these makes a
command fail.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.support.command_line import OPSTRAND, SAMPLES, environment

ECHO = SAMPLES / "echo.yaml"


def run(shell: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of a shell in which `opstrand` is ours."""
    path = f"{OPSTRAND.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", shell],
        capture_output=True,
        env={**environment(**env), "PATH": path},
        timeout=120,
    )


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("opstrand version >&-", 0),
        (f"opstrand render -f {ECHO} >&-", 0),
        ("opstrand render -f nope.yaml 2>&-", 2),
        ("opstrand ls >&- 2>&-", 5),
        ("opstrand check - <&-", 2),
        ("opstrand rm x <&-", 5),
        ("opstrand explain nope 2>&1 >&- | true; exit ${PIPESTATUS[0]}", 2),
    ],
)
def test_streams_that_are_closed(shell: str, code: int) -> None:
    ran = run(shell)
    assert (ran.returncode, b"bug" in ran.stderr) == (code, False), ran


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_is_shown_is_utf_8_whatever_the_locale(encoding: str) -> None:
    """kubectl does the same. The plan's bytes have a digest, and JSON is UTF-8."""
    ran = run(
        f"opstrand render -f {ECHO} -P message=ünï→ --stage inputs -o json",
        PYTHONIOENCODING=encoding,
        PYTHONUTF8="0",
    )
    assert (ran.returncode, json.loads(ran.stdout.decode())) == (0, {"message": "ünï→"}), ran


def test_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.yaml"
    done = subprocess.run([OPSTRAND, "check", name], capture_output=True, env=environment())
    assert (done.returncode, b"\\udcff.yaml: cannot be read: No such file" in done.stdout) == (
        2,
        True,
    ), done
    with open(name, "wb") as file:
        file.write(ECHO.read_bytes())
    assert (
        subprocess.run([OPSTRAND, "check", name], capture_output=True, env=environment()).returncode
        == 0
    )
