"""`opstrand ui` as a process: what a browser gets, and which run is shown."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import OPSTRAND, environment

from opstrand.cli.commands import ui as commands_ui
from opstrand.cli.errors import ExitCode

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


def test_without_a_browser_no_file_has_the_code(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    serving = subprocess.Popen(
        [OPSTRAND, "ui", "--local", "--port", "0", "--no-open"],
        env=environment(OPSTRAND_LOCAL=str(tmp_path), TMPDIR=str(tmp_path / "tmp")),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        address = urlsplit(serving.stderr.readline().removeprefix("open ").strip())
        # An answer shows that all is set up that follows the address.
        with urllib.request.urlopen(f"http://{address.netloc}/ui/", timeout=60) as page:
            assert page.status == 200
        assert list((tmp_path / "tmp").iterdir()) == []
    finally:
        serving.terminate()
        serving.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handled_once_the_address_is_printed(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    said: list[str] = []

    def interrupt(text: str) -> None:
        said.append(text)
        os.kill(os.getpid(), number)

    # Without a handler of ours, the signal ends the test and not the process.
    before = signal.signal(number, lambda *_: pytest.fail("the signal was not handled"))
    try:
        monkeypatch.setattr(commands_ui, "say", interrupt)
        code = asyncio.run(commands_ui._show("http://127.0.0.1:1/#code=a", opens=False))
    finally:
        signal.signal(number, before)
    assert said == ["open http://127.0.0.1:1/#code=a"]
    assert code == ExitCode.SUCCEEDED


@pytest.mark.parametrize("typed", ["on", "op/one", "operation.opstrand.dev/one"])
def test_a_run_is_named_as_in_other_commands(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "runs"))
    (tmp_path / "one.yaml").write_text(
        "{kind: component, name: a, run: {kind: job, container: {image: a, command: ['true']}}}"
    )
    ran = cli("run", "--local", "one.yaml", "--name", "one")
    assert ran.code == 0, ran
    body = json.loads(cli("get", "--local", "one", "-o", "json").out)
    uuid = body["metadata"]["uid"].replace("-", "")
    serving = subprocess.Popen(
        [OPSTRAND, "ui", "--local", "--port", "0", "--no-open", typed],
        env=environment(OPSTRAND_LOCAL=str(tmp_path / "runs")),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        assert f"/ui/default/default/runs/{uuid}/#code=" in serving.stderr.readline()
    finally:
        serving.terminate()
        serving.communicate(timeout=60)
    wrong = cli("ui", "--local", "--no-open", "nothing")
    assert wrong.code == ExitCode.NOT_FOUND
    assert "'nothing'" in wrong.stderr
