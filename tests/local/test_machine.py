"""The conditions of a laptop: pipes and terminals that close, full disks, proxies, two shells, and
folders of every kind.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.local.conftest import Run
from tests.support.command_line import OPSTRAND, SAMPLES, environment, run_opstrand

Job = Callable[..., Path]
SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
PIPE = subprocess.PIPE


def start(file: Path, records: Path, *arguments: str, **more: object) -> subprocess.Popen[bytes]:
    command = [str(OPSTRAND), "run", "--local", "-f", str(file), "--name", "a", *arguments]
    return subprocess.Popen(
        command,
        env=environment(OPSTRAND_LOCAL=str(records)),
        **{"stdout": PIPE, "stderr": PIPE, **more},
    )  # type: ignore[call-overload, no-any-return]


def kept(records: Path) -> str:
    phase: str = json.loads((records / "default" / "a" / "run.json").read_text())["status"]["phase"]
    return phase


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int) -> None:
    for _ in range(400):
        if not is_alive(pid):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} goes on")


def test_a_run_ends_with_the_reader_of_its_messages(job: Job, records: Path) -> None:
    """`opstrand run --local -w 2>&1 | head -1`: the engine is busy when it reports a change to a
    closed pipe.
    """
    process = start(
        job("import time; time.sleep(1); exit(1)", termination={"maxRetries": 3}),
        records,
        "-w",
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert kept(records) == "Stopped"


def test_a_message_without_a_reader_does_no_harm() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    for command in (["run"], ["rnu"], ["run", "-f", "nope"]):
        assert (
            subprocess.run(
                [OPSTRAND, *command], stdout=write_end, stderr=write_end, env=environment()
            ).returncode
            == 2
        )
    os.close(write_end)


def test_an_output_that_cannot_be_written_ends_the_run(job: Job, records: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = start(job(SLEEP), records, "-l", stdout=full)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, b"No space left on device" in errors, b"bug" in errors) == (
        2,
        True,
        False,
    ), errors
    assert kept(records) == "Stopped"


def test_a_disk_that_is_full_ends_the_run(job: Job, records: Path) -> None:
    """The program writes more than the log may hold."""
    file = job("print('x' * 4_000_000, flush=True); import time; time.sleep(60)")
    limit = 2_000_000
    process = start(
        file, records, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, b"File too large" in errors, b"bug" in errors) == (
        1,
        True,
        False,
    ), errors


def test_an_init_step_that_hangs_ends_with_an_interrupt(
    job: Job, records: Path, tmp_path: Path
) -> None:
    """The host accepts the connection and sends nothing: an interrupt does not wait for the step's
    own time limit.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        run = yaml.safe_load(job("pass").read_text())["run"]
        run["init"] = [{"git": {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/a.git"}}]
        process = start(job("pass", run=run), records, "-l")
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, b"bug" in errors) == (130, False), errors
        connection.settimeout(60)
        while connection.recv(65536):  # read git's request, until git is gone too
            pass
        connection.close()
    assert kept(records) == "Stopped"


def test_a_terminal_that_is_closed_ends_the_run(job: Job, records: Path) -> None:
    process = start(job(SLEEP), records, "-l")
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 130
    wait_until_gone(pid)
    assert kept(records) == "Stopped"


def test_what_nohup_ignores_is_ignored(job: Job, records: Path) -> None:
    code = (
        "import os, signal; os.kill(os.getppid(), signal.SIGHUP); os.kill(os.getppid(), "
        "signal.SIGINT); print('here')"
    )

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = start(job(code), records, "-l", preexec_fn=ignore)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"here\n"), errors


def test_two_at_once_with_one_name_do_not_meet(here: Run, job: Job, records: Path) -> None:
    file = job(SLEEP)
    first = start(file, records, "-l")
    assert first.stdout is not None
    pid = int(first.stdout.readline())
    second = here("run", "--local", "-f", file, "--name", "a")
    assert (second.code, "there is a local run 'a' already" in second.errors[0]) == (2, True), (
        second
    )
    assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    os.kill(pid, signal.SIGKILL)
    # The killed command left its folder behind, which belongs to no run.
    again = here("run", "--local", "-f", job("print('new')"), "--name", "a", "-l")
    assert (again.code, again.out, here("logs", "--local", "a").out) == (0, "new\n", "new\n")


@pytest.mark.parametrize("folder", ["runs", "my runs/ünïcode $(HOME) 'x'"])
def test_any_folder_will_do(here: Run, folder: str) -> None:
    """The folder is named relative to the current one, while programs run in folders of their
    own.
    """
    ran = here(
        "run",
        "--local",
        "-f",
        SAMPLES / "echo-tracking.yaml",
        "-P",
        "message=a",
        "-l",
        OPSTRAND_LOCAL=folder,
    )
    assert (ran.code, ran.out) == (0, "{'message': 'a'}\n"), ran


@pytest.mark.parametrize("home", ["file", "/proc"])
def test_a_home_that_may_not_be_written_is_answered_by_what_to_do(
    tmp_path: Path, home: str
) -> None:
    (tmp_path / "file").touch()
    command = ["run", "--local", "-f", str(SAMPLES / "echo.yaml")]
    ran = run_opstrand(*command, env={"HOME": str(tmp_path / home), "XDG_DATA_HOME": ""})
    assert (ran.code, len(ran.errors)) == (2, 1), ran
    place = f"{tmp_path / home}/.local/share/opstrand/runs"
    assert f"the folder for local runs cannot be made: {place}/default/" in ran.errors[0] or (
        f"the folder for local runs cannot be read: {place}: Not a directory" in ran.errors[0]
    )
    assert ran.errors[0].endswith("; name a folder that you may write by OPSTRAND_LOCAL")


def test_a_folder_that_may_not_be_written_and_no_home_are_said(here: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = here("run", "--local", "-f", SAMPLES / "echo.yaml", OPSTRAND_LOCAL="file/runs")
    assert (ran.code, len(ran.errors)) == (2, 1), ran
    assert "Not a directory" in ran.errors[0]
    code = (
        "import os, pwd; os.environ.pop('HOME', None)\ndef nobody(uid): raise "
        "KeyError(uid)\npwd.getpwuid = nobody\n"
        "from opstrand.cli import main; raise SystemExit(main(['ls', '--local']))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True)
    assert (done.returncode, "OPSTRAND_LOCAL" in done.stderr, "bug" in done.stderr) == (
        2,
        True,
        False,
    ), done.stderr


@pytest.mark.parametrize("python", ["nothing", "published"])
def test_a_proxy_that_leads_out_is_not_asked_for_what_is_here(here: Run, python: str) -> None:
    proxy = "http://127.0.0.1:1"
    proxies = {"http_proxy": proxy, "https_proxy": proxy, "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}
    ran = here(
        "run",
        "--local",
        "-f",
        SAMPLES / "echo-tracking.yaml",
        "-P",
        "message=a",
        "-l",
        python=python,
        **proxies,
    )
    assert (ran.code, ran.out) == (0, "{'message': 'a'}\n"), ran
