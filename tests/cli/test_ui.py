"""`opstrand ui` as a process: what a browser gets, and which run is shown."""

from __future__ import annotations

import signal
import stat
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.command_line import OPSTRAND, environment

#: A browser that keeps what it opens, and prints its arguments.
BROWSER = """#!/bin/sh
cp "${1#file://}" "$0.page"
echo "$*" >&2
"""


def test_the_arguments_of_the_browser_have_no_code(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(BROWSER)
    browser.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    serving = subprocess.Popen(
        [OPSTRAND, "ui", "--local", "--port", "0", "--open"],
        env=environment(
            OPSTRAND_LOCAL=str(tmp_path), BROWSER=str(browser), TMPDIR=str(tmp_path / "tmp")
        ),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        address = serving.stderr.readline().removeprefix("open ").strip()
        assert "#code=" in address
        arguments = serving.stderr.readline().strip()
        assert "code=" not in arguments
        file = Path(urlsplit(arguments).path)
        assert arguments == file.as_uri()
        assert f"url={address}" in (tmp_path / "browser.page").read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    finally:
        serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=60)
    assert serving.returncode == 0
    assert list((tmp_path / "tmp").iterdir()) == []
