"""A process instead of a Pod: its output, its end, what is refused, and that nothing of it
remains.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from tests.local.conftest import Run
from tests.support.command_line import OPSTRAND, environment

Job = Callable[..., Path]


def test_output_is_passed_on_byte_for_byte(here: Run, job: Job, records: Path) -> None:
    code = (
        "import sys; o = sys.stdout.buffer; o.write(b'\\xff\\r\\n' + b'x' * 3_000_000 + b'\\n'); "
        "o.flush(); sys.stderr.write('no end')"
    )
    ran = here("run", "--local", "-f", job(code), "--name", "a", "-l")
    assert (ran.code, ran.stdout) == (0, b"\xff\r\n" + b"x" * 3_000_000 + b"\nno end")
    assert here("logs", "--local", "a").stdout == ran.stdout
    assert here("logs", "--local", "a", "--tail", "1").stdout == b"no end"


def test_without_logs_stdout_is_left_alone(here: Run, job: Job) -> None:
    ran = here("run", "--local", "-f", job("print('hidden')"), "--name", "a")
    assert (ran.code, ran.stdout) == (0, b"")
    assert (
        here("run", "--local", "-f", job("print('hidden')"), "--name", "b", "-o", "name").out
        == "operation.opstrand.dev/b\n"
    )
    assert (
        json.loads(here("run", "--local", "-f", job("print('hidden')"), "-o", "json").out)[
            "status"
        ]["phase"]
        == "Succeeded"
    )


def test_a_failure_reports_its_last_output(here: Run, job: Job) -> None:
    ran = here("run", "--local", "-f", job("print('boom'); raise SystemExit(3)"), "--name", "a")
    assert ran.code == 1
    assert "Failed (ContainerFailed)" in ran.stderr
    assert "exit code 3: boom" in ran.stderr
    assert "hint: " in ran.stderr
    assert [line.split()[:3] for line in here("ls", "--local").out.splitlines()[1:]] == [
        ["a", "job", "Failed"]
    ]


def test_a_run_is_announced_before_its_phases(here: Run, job: Job) -> None:
    ran = here("run", "--local", "-w", "-f", job("print(1)"), "--name", "a")
    told = [line for line in ran.stderr.splitlines() if "a" in line.split()[:3] or "a:" in line]
    assert told[0] == "created run a in project default"
    assert "a: Running" in told


def test_our_line_never_continues_the_program_s(records: Path, tmp_path: Path, job: Job) -> None:
    """The program's output stays byte for byte where it has a stream of its own."""
    code = "import sys; sys.stdout.write('1'); sys.stdout.flush(); sys.exit(7)"
    command = [OPSTRAND, "run", "--local", "-l", "-f", job(code), "--name"]
    env = environment(OPSTRAND_LOCAL=str(records), PATH=os.environ["PATH"])
    pipe = subprocess.PIPE
    apart = subprocess.run([*command, "a"], stdout=pipe, stderr=pipe, env=env, cwd=tmp_path)
    assert (apart.stdout, apart.returncode) == (b"1", 1)
    both = subprocess.run(
        [*command, "b"], stdout=pipe, stderr=subprocess.STDOUT, env=env, cwd=tmp_path
    )
    lines = both.stdout.decode().splitlines()
    assert "1" in lines, lines
    assert any(line.startswith("b: Failed (ContainerFailed)") for line in lines), lines


def test_a_program_that_is_not_there(here: Run, tmp_path: Path) -> None:
    component = {
        "kind": "component",
        "run": {"kind": "job", "container": {"image": "x", "command": ["no-such-program"]}},
    }
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(component))
    ran = here("run", "--local", "-f", "f.yaml")
    assert ran.code == 1
    assert "no-such-program" in ran.stderr


def test_retries_and_the_deadline(here: Run, job: Job, tmp_path: Path) -> None:
    counts = tmp_path / "count"
    code = (
        f"p = r'{counts}'; open(p, 'a').write('x'); raise SystemExit(0 if len(open(p).read()) > 1 "
        "else 1)"
    )
    ran = here(
        "run",
        "--local",
        "-f",
        job(code, termination={"maxRetries": 2}),
        "-w",
        OPSTRAND_RETRY_BACKOFF="1",
    )
    assert ran.code == 0, ran
    assert counts.read_text() == "xx"
    assert "Retrying" in ran.stderr
    slow = here(
        "run", "--local", "-f", job("import time; time.sleep(60)", termination={"timeout": 1})
    )
    assert slow.code == 1
    assert "DeadlineExceeded" in slow.stderr
    polite = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); "
        "time.sleep(60)"
    )
    stopped = here("run", "--local", "-f", job(polite, termination={"timeout": 1}))
    assert (stopped.code, "DeadlineExceeded" in stopped.stderr) == (1, True), stopped


@pytest.mark.alone
def test_a_child_that_is_left_behind_does_not_hold_up_the_end(here: Run, job: Job) -> None:
    code = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; "
        "time.sleep(30)']); print('done')"
    )
    started = time.monotonic()
    ran = here("run", "--local", "-f", job(code), "-l")
    assert (ran.code, ran.out) == (0, "done\n")
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("daemon", ["sleep 600", "yes"])
def test_a_process_that_left_the_session_does_not_hold_up_the_end_either(
    here: Run, job: Job, daemon: str, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess; print('no end', end='', flush=True); "
        f"p = subprocess.Popen({daemon!r}.split(), start_new_session=True); "
        f"open({str(pid)!r}, 'w').write(str(p.pid))"
    )
    try:
        ran = here("run", "--local", "-f", job(code), "--name", "a", "-w")
        assert ran.code == 0, ran
        assert b"no end" in here("logs", "--local", "a").stdout
    finally:
        with suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("folder", "words"), [("a" * 300, "File name too long"), ("file", "File exists")]
)
def test_a_working_directory_that_cannot_be_made_is_named(
    here: Run, tmp_path: Path, folder: str, words: str
) -> None:
    place = f"/plx-context/artifacts/{folder}"
    step = {"file": {"filename": "file", "content": "x"}, "path": "/plx-context/artifacts"}
    container = {"image": "x", "command": ["true"], "workingDir": place}
    (tmp_path / "f.yaml").write_text(
        yaml.safe_dump(
            {"kind": "component", "run": {"kind": "job", "init": [step], "container": container}}
        )
    )
    ran = here("run", "--local", "-f", "f.yaml")
    assert (
        ran.code,
        "the working directory /plx-context/artifacts/" in ran.stderr,
        words in ran.stderr,
    ) == (1, True, True), ran


def test_what_needs_a_container_is_refused(here: Run, job: Job) -> None:
    component = yaml.safe_load(job("pass").read_text())
    for part, words in (
        ({"sidecars": [{"name": "db", "image": "redis"}]}, "the sidecar 'db' needs a cluster"),
        ({"volumes": [{"name": "data", "emptyDir": {}}]}, "the volume 'data' needs a cluster"),
        (
            {"container": {**component["run"]["container"], "workingDir": "/srv"}},
            "outside of /plx-context",
        ),
    ):
        file = job("pass", run={**component["run"], **part})
        ran = here("run", "--local", "-f", file)
        assert ran.code == 1
        assert words in ran.stderr


def test_long_init_files_and_paths_under_the_context_root(here: Run, job: Job) -> None:
    content = "# $(HOME) $$\n" * 20_000 + "print('{{ globals.artifacts_path }}/x')\n"
    component = yaml.safe_load(job("pass").read_text())
    component["run"]["init"] = [
        {"file": {"filename": "long.py", "content": content, "chmod": "755"}}
    ]
    script = "head -c 12 long.py; echo; python3 long.py; echo {{ globals.run_outputs_path }}"
    component["run"]["container"] |= {"command": ["sh", "-c"], "args": [script]}
    component["run"]["container"]["workingDir"] = "{{ globals.artifacts_path }}"
    ran = here("run", "--local", "-f", job("pass", run=component["run"]), "--name", "a", "-l")
    assert ran.code == 0, ran
    head, path, outputs = ran.out.splitlines()
    assert head == "# $(HOME) $$"
    assert path.endswith("/default/a/files/plx-context/artifacts/x")
    assert Path(outputs, "long.py").read_text() == content.replace(
        "{{ globals.artifacts_path }}", path.removesuffix("/x")
    )


def test_a_name_is_given_once(here: Run, job: Job) -> None:
    file = job("pass")
    assert here("run", "--local", "-f", file, "--name", "a").code == 0
    again = here("run", "--local", "-f", file, "--name", "a")
    assert again.code == 2
    assert "there is a local run 'a' already" in again.errors[0]
    assert here("get", "--local", "nobody").code == 4
    assert here("run", "--local", "-f", file, "-p", "../escape").code == 2


def test_no_variable_of_another_run_comes_along(here: Run, job: Job) -> None:
    ran = here(
        "run",
        "--local",
        "-f",
        job("import os; print(os.environ.get('POLYAXON_NO_OP'))"),
        "-l",
        POLYAXON_NO_OP="true",
    )
    assert ran.out == "None\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_program(
    job: Job, records: Path, tmp_path: Path, number: signal.Signals
) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os, time; open(r'{pid_file}', 'w').write(str(os.getpid())); time.sleep(60)"
    command = [OPSTRAND, "run", "--local", "-f", job(code), "--name", "a", "-l"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, env=environment(OPSTRAND_LOCAL=str(records))
    )
    while not (pid_file.exists() and pid_file.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert (
        json.loads((records / "default" / "a" / "run.json").read_text())["status"]["phase"]
        == "Stopped"
    )


@pytest.mark.alone
def test_a_second_interrupt_ends_a_program_that_does_not_listen(job: Job, records: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); "
        "time.sleep(60)"
    )
    command = [OPSTRAND, "run", "--local", "-f", job(code), "--name", "a", "-l"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=environment(OPSTRAND_LOCAL=str(records))
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "deaf\n"
    process.send_signal(signal.SIGINT)
    while "stopping a" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=8)
    assert (process.returncode, "bug" in errors) == (130, False), errors
    assert (
        json.loads((records / "default" / "a" / "run.json").read_text())["status"]["phase"]
        == "Stopped"
    )


def test_a_run_ends_with_the_reader_of_its_output(job: Job, records: Path) -> None:
    """`opstrand run --local -l | head -1`."""
    file = job("import time\nfor i in range(600):\n    print(i); time.sleep(0.1)")
    pipe = subprocess.PIPE
    command = [OPSTRAND, "run", "--local", "-f", file, "--name", "a", "-l"]
    process = subprocess.Popen(
        command, stdout=pipe, stderr=pipe, env=environment(OPSTRAND_LOCAL=str(records))
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    assert process.wait(timeout=60) == 141, process.stderr.read()
    assert b"Error" not in process.stderr.read()
    assert (
        json.loads((records / "default" / "a" / "run.json").read_text())["status"]["phase"]
        == "Stopped"
    )


def test_the_limit_stops_the_program(here: Run, job: Job) -> None:
    ran = here(
        "run", "--local", "-f", job("import time; time.sleep(60)"), "--name", "a", "--timeout", "1"
    )
    assert ran.code == 124, ran
    assert "Stopped" in here("ls", "--local").out
