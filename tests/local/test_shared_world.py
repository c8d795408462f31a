"""Local runs of several processes: each sees, waits for and controls the runs of the others, and
every run gets an end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.local.conftest import PYTHONS, Run
from tests.support.command_line import OPSTRAND, environment

Job = Callable[..., Path]
Begin = Callable[..., subprocess.Popen[str]]
UID = "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"
#: Ends once a file exists: the test decides when.
HOLD = (
    "import os, time\nprint('begun', flush=True)\nwhile not os.path.exists({gate!r}): "
    "time.sleep(0.02)\n"
)
REPORT = "from polyaxon import tracking\ntracking.init()\ntracking.log_outputs(acc=0.5)\n"
CHILD = {
    "kind": "operation",
    "component": {
        "name": "child",
        "run": {
            "kind": "job",
            "container": {"image": "x", "command": ["sh", "-c", "echo from the child"]},
        },
    },
}


@pytest.fixture
def begin(records: Path, tmp_path: Path) -> Iterator[Begin]:
    """Start a command in the background; what still runs at the end of the test is killed."""
    begun: list[subprocess.Popen[str]] = []

    def start(
        *arguments: str | Path, python: str = "nothing", **more: str
    ) -> subprocess.Popen[str]:
        path = f"{PYTHONS[python]}{os.pathsep}{os.environ['PATH']}"
        env = environment(OPSTRAND_LOCAL=str(records), PATH=path, **more)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [str(OPSTRAND), *map(str, arguments)], env=env, cwd=tmp_path, text=True, **pipes
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=60)


def finish(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    assert "Traceback" not in err, err
    assert "bug" not in err, err
    return process.returncode, out, err


def status_of(records: Path, name: str, project: str = "default") -> dict[str, Any]:
    try:
        body = json.loads((records / project / name / "run.json").read_text())
    except FileNotFoundError:
        return {}
    return dict(body.get("status") or {})


def wait_until(holds: Callable[[], Any], what: str = "it") -> Any:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.03)
    raise AssertionError(f"{what} never came")


def in_phase(records: Path, name: str, *phases: str) -> Callable[[], bool]:
    return lambda: status_of(records, name).get("phase") in phases


def with_client(file: Path) -> Path:
    """Write the file for a program beside our own client, as it is put into images without the
    package.
    """
    component = yaml.safe_load(file.read_text())
    component["run"]["container"]["workingDir"] = "{{ globals.artifacts_path }}"
    file.write_text(yaml.safe_dump(component))
    return file


def consumer(path: Path, ref: str, **more: Any) -> Path:
    container = {"image": "x", "command": ["sh", "-c", "echo got {{ acc }}"]}
    component = {
        "inputs": [{"name": "acc", "type": "float"}],
        "run": {"kind": "job", "container": container},
    }
    params = {"acc": {"ref": ref, "value": "outputs.acc"}}
    path.write_text(
        yaml.safe_dump({"kind": "operation", "params": params, "component": component, **more})
    )
    return path


@pytest.mark.parametrize("ref", ["ops.up", f"runs.{UID}"])
def test_a_ref_to_a_run_of_another_process_is_satisfied_when_that_ends(
    begin: Begin, job: Job, records: Path, tmp_path: Path, ref: str
) -> None:
    gate = tmp_path / "gate"
    up = begin(
        "run",
        "--local",
        "-f",
        with_client(job(REPORT + HOLD.format(gate=str(gate)), "up")),
        "--name",
        "up",
        "--uuid",
        UID,
    )
    wait_until(in_phase(records, "up", "Running"))
    down = begin(
        "run",
        "--local",
        "-f",
        consumer(tmp_path / "down.yaml", ref),
        "--name",
        "down",
        "-l",
        OPSTRAND_LOCAL_PATIENCE="1",
    )
    wait_until(in_phase(records, "down", "Waiting"))
    time.sleep(1.5)
    assert status_of(records, "down")["reason"] == "UpstreamPending"
    gate.touch()
    assert finish(up)[0] == 0
    code, out, err = finish(down)
    assert (code, out) == (0, "got 0.5\n"), err


def test_a_run_that_another_process_creates_later_is_waited_for(
    begin: Begin, here: Run, job: Job, records: Path, tmp_path: Path
) -> None:
    down = begin(
        "run", "--local", "-f", consumer(tmp_path / "down.yaml", "ops.up"), "--name", "down", "-l"
    )
    wait_until(in_phase(records, "down", "Waiting"))
    assert here("run", "--local", "-f", with_client(job(REPORT, "up")), "--name", "up").code == 0
    code, out, err = finish(down)
    assert (code, out) == (0, "got 0.5\n"), err
    assert "opstrand run --local -f FILE -n up" in err


@pytest.mark.parametrize("where", ["component", "operation"])
def test_the_name_in_a_file_is_what_ops_means(
    here: Run, job: Job, tmp_path: Path, where: str
) -> None:
    """However often the file is run, the newest run counts."""
    for value in ("0.25", "0.5"):
        file = with_client(job(REPORT.replace("0.5", value), "file"))
        component = yaml.safe_load(file.read_text())
        written = (
            {**component, "name": "up"}
            if where == "component"
            else {"kind": "operation", "name": "up", "component": component}
        )
        file.write_text(yaml.safe_dump(written))
        ran = here("run", "--local", "-f", file)
        assert ran.code == 0, ran
    ran = here("run", "--local", "-f", consumer(tmp_path / "down.yaml", "ops.up"), "-l")
    assert (ran.code, ran.out) == (0, "got 0.5\n"), ran
    body = json.loads(here("get", "--local", "up", "-o", "json").out)
    assert body["status"]["outputs"] == {"acc": 0.5}


@pytest.mark.alone
def test_a_run_that_is_not_created_is_given_up_soon_and_the_message_says_how_to_create_it(
    here: Run, tmp_path: Path
) -> None:
    began = time.monotonic()
    ran = here(
        "run",
        "--local",
        "-f",
        consumer(tmp_path / "a.yaml", "ops.nobody"),
        "--name",
        "a",
        OPSTRAND_LOCAL_PATIENCE="1",
    )
    assert (ran.code, time.monotonic() - began < 20) == (1, True)
    assert "gave up after 1 s" in ran.stderr
    assert "opstrand run --local -f FILE -n nobody" in ran.stderr


def test_patience_is_a_cluster_s_while_another_process_could_create_it(
    begin: Begin, job: Job, records: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    other = begin(
        "run", "--local", "-f", job(HOLD.format(gate=str(gate)), "other"), "--name", "other"
    )
    wait_until(in_phase(records, "other", "Running"))
    down = begin(
        "run",
        "--local",
        "-f",
        consumer(tmp_path / "a.yaml", "ops.nobody"),
        "--name",
        "a",
        OPSTRAND_LOCAL_PATIENCE="1",
    )
    wait_until(in_phase(records, "a", "Waiting"))
    time.sleep(2)
    assert down.poll() is None
    gate.touch()
    finish(other)
    code, _, err = finish(down)
    assert (code, "gave up" in err) == (1, True), err


def test_approval_stop_and_skip_reach_the_process_that_has_the_run(
    begin: Begin, here: Run, job: Job, records: Path
) -> None:
    held = begin(
        "run",
        "--local",
        "-f",
        job("print('approved')", "held", isApproved=False),
        "--name",
        "held",
        "-l",
    )
    wait_until(in_phase(records, "held", "Waiting"))
    assert here("approve", "--local", "held").stderr == "held: approved\n"
    code, out, err = finish(held)
    assert (code, out) == (0, "approved\n"), err
    assert "opstrand approve --local held" in err

    slow = begin(
        "run", "--local", "-f", job("import time; time.sleep(60)", "slow"), "--name", "slow"
    )
    wait_until(in_phase(records, "slow", "Running"))
    assert here("stop", "--local", "slow").code == 0
    assert finish(slow)[0] == 3
    assert "has ended already (Stopped)" in here("stop", "--local", "slow").stderr

    late = begin("run", "--local", "-f", job("pass", "late", isApproved=False), "--name", "late")
    wait_until(in_phase(records, "late", "Waiting"))
    assert here("skip", "--local", "late").code == 0
    assert finish(late)[0] == 3
    assert status_of(records, "late")["phase"] == "Skipped"
    assert here("approve", "--local", "nobody").code == 4


def test_a_run_that_is_removed_takes_its_program_with_it(
    begin: Begin, here: Run, job: Job, records: Path
) -> None:
    process = begin(
        "run",
        "--local",
        "-f",
        job("import os, time; print(os.getpid(), flush=True); time.sleep(60)"),
        "--name",
        "a",
        "-l",
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert here("rm", "--local", "-y", "a").code == 0
    code, _, err = finish(process)
    assert (code, "the run a was deleted" in err) == (4, True), err
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (records / "default" / "a").exists()


def test_a_run_whose_process_was_killed_has_an_end(
    begin: Begin, here: Run, job: Job, records: Path, tmp_path: Path
) -> None:
    process = begin(
        "run",
        "--local",
        "-f",
        job("import os, time; print(os.getpid(), flush=True); time.sleep(60)"),
        "--name",
        "up",
        "-l",
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    down = begin(
        "run", "--local", "-f", consumer(tmp_path / "down.yaml", "ops.up"), "--name", "down"
    )
    wait_until(in_phase(records, "down", "Waiting"))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    os.kill(pid, signal.SIGKILL)
    assert finish(down)[0] == 1
    assert status_of(records, "down")["phase"] == "UpstreamFailed"
    told = here("get", "--local", "up").out
    assert "Failed (ProcessLost)" in told
    assert here("wait", "--local", "up").code == 1
    # Only a command sees this run; no session is there to see it.
    process = begin(
        "run",
        "--local",
        "-f",
        job("import os, time; print(os.getpid(), flush=True); time.sleep(60)"),
        "--name",
        "b",
        "-l",
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    os.kill(pid, signal.SIGKILL)
    assert [
        line.split()[2] for line in here("ls", "--local").out.splitlines() if line.startswith("b ")
    ] == ["Failed"]


def test_the_log_of_another_process_is_followed_through_every_attempt(
    begin: Begin, here: Run, job: Job, records: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    marks = tmp_path / "marks"
    code = (
        f"import os, time\nn = len(os.listdir({str(marks)!r})); open(os.path.join({str(marks)!r}, "
        "str(n)), 'w').close()\n"
        f"print('attempt', n, flush=True)\n"
        f"while n == 2 and not os.path.exists({str(gate)!r}): time.sleep(0.02)\n"
        "print('end of', n, end='')\nraise SystemExit(n < 2)"
    )
    marks.mkdir()
    run = begin(
        "run",
        "--local",
        "-f",
        job(code, termination={"maxRetries": 3}),
        "--name",
        "a",
        OPSTRAND_RETRY_BACKOFF="1",
    )
    wait_until(in_phase(records, "a", "Running"))
    following = begin("logs", "--local", "-f", "a")
    wait_until(lambda: len(list(marks.iterdir())) == 3)
    time.sleep(0.3)
    gate.touch()
    assert finish(run)[0] == 0
    whole = "attempt 0\nend of 0attempt 1\nend of 1attempt 2\nend of 2"
    assert finish(following)[:2] == (0, whole)
    assert here("logs", "--local", "a").out == whole
    assert here("logs", "--local", "a", "--attempt", "0").out == "attempt 0\nend of 0"
    assert here("logs", "--local", "a", "--previous").out == "attempt 1\nend of 1"
    assert here("logs", "--local", "a", "--tail", "1").out == "end of 2"
    assert here("logs", "--local", "a", "--attempt", "3").code == 4
    stamped = here("logs", "--local", "a", "--timestamps", "--attempt", "2").out.splitlines()
    assert [line.partition(" ")[2] for line in stamped] == ["attempt 2", "end of 2"]
    assert all(line[4] == "-" for line in stamped)


PROGRAM = """
import json, sys
from polyaxon.client import RunClient
client = RunClient()
client.create(name="made", content=json.dumps({content!r}))
{then}
"""


@pytest.mark.parametrize("python", ["nothing", "published"])
def test_a_run_that_a_program_creates_runs(here: Run, job: Job, records: Path, python: str) -> None:
    line = (
        "client.get_logs().logs[0].value"
        if python == "published"
        else "client.get_logs()['logs'][0]['value']"
    )
    then = f"client.wait_for_condition(); client.refresh_data(); print(client.status, {line})"
    file = with_client(job(PROGRAM.format(content=CHILD, then=then), "parent"))
    ran = here("run", "--local", "-f", file, "--name", "parent", "-l", python=python)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "succeeded from the child"), ran
    [name] = [
        path.parent.name
        for path in records.glob("default/*/run.json")
        if path.parent.name != "parent"
    ]
    assert status_of(records, name)["phase"] == "Succeeded"
    assert here("logs", "--local", name).out == "from the child\n"


def test_a_run_that_outlives_its_creator_is_waited_for(here: Run, job: Job, records: Path) -> None:
    content = json.loads(json.dumps(CHILD))
    content["component"]["run"]["container"]["command"][2] = "sleep 2; echo late"
    file = with_client(job(PROGRAM.format(content=content, then=""), "parent"))
    ran = here("run", "--local", "-f", file, "--name", "parent")
    assert ran.code == 0, ran
    assert "waiting for what it created: made-" in ran.stderr
    [name] = [
        path.parent.name
        for path in records.glob("default/*/run.json")
        if path.parent.name != "parent"
    ]
    assert status_of(records, name)["phase"] == "Succeeded"


def test_an_interrupt_ends_what_a_program_created_too(
    begin: Begin, job: Job, records: Path
) -> None:
    content = json.loads(json.dumps(CHILD))
    content["component"]["run"]["container"]["command"][2] = "exec sleep 60"
    file = with_client(
        job(PROGRAM.format(content=content, then="import time; time.sleep(60)"), "parent")
    )
    process = begin("run", "--local", "-f", file, "--name", "parent")
    child = wait_until(lambda: [p.parent.name for p in records.glob("default/made-*/run.json")])[0]
    wait_until(in_phase(records, child, "Running"))
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert (status_of(records, child)["phase"], status_of(records, "parent")["phase"]) == (
        "Stopped",
        "Stopped",
    )


WRITES = """
import sys
from polyaxon.client import RunClient
other = RunClient(project="default", run_uuid="{uuid}")
for number in range(20):
    other.log_outputs(async_req=False, **{{f"{name}_{{number}}": number}})
other.log_tags(["{name}"], async_req=False)
"""


def test_what_several_programs_report_to_one_run_is_all_kept(
    begin: Begin, here: Run, job: Job, records: Path
) -> None:
    """Four processes write the same run at once, each over its own API."""
    assert here("run", "--local", "-f", job("pass"), "--name", "target", "--uuid", UID).code == 0
    names = [f"w{number}" for number in range(4)]
    writers = [
        begin(
            "run",
            "--local",
            "-f",
            with_client(job(WRITES.format(uuid=UID, name=name), name)),
            "--name",
            name,
        )
        for name in names
    ]
    for writer in writers:
        code, _, err = finish(writer, 100)
        assert code == 0, err
    status = status_of(records, "target")
    assert status["outputs"] == {
        f"{name}_{number}": number for name in names for number in range(20)
    }
    assert sorted(status["tags"]) == names
