"""`exec`, `cp` and `top` in real containers: bytes, exit codes, terminals, and Pods that ended."""

from __future__ import annotations

import os
import pty
import re
import secrets
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.conftest import kubectl, wait_for_output
from tests.support.command_line import OPSTRAND, Ran, environment, run_command, run_opstrand

IMAGE = "polyaxon/polyaxon-quick-start"
#: Lives until it is told to end, and then at once.
LIVE = "trap 'exit 0' TERM; while true; do sleep 0.2; done"
BIG = 5_000_000
#: Seconds that a busy machine may take for a line.
PATIENCE = 60

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def env(cluster: Cluster) -> Iterator[dict[str, str]]:
    """Yield the variables that lead to a project of this module's own, with a running `live`."""
    project = f"e2e-inside-{secrets.token_hex(3)}"
    kubectl("create", "namespace", project)
    wait_for_output("-n", project, "get", "serviceaccount", "default", "-o", "name")
    variables = {"KUBECONFIG": cluster.kubeconfig, "OPSTRAND_PROJECT": project}
    start(variables, "live", LIVE)
    wait_for_output(*started("live", project))
    yield variables
    kubectl("delete", "namespace", project, "--wait=false")


@pytest.fixture
def run(env: dict[str, str], tmp_path: Path) -> Run:
    def call(*words: str | Path, stdin: bytes = b"") -> Ran:
        return run_opstrand(*words, env=env, cwd=tmp_path, stdin=stdin)

    return call


def start(env: dict[str, str], name: str, script: str, image: str = IMAGE) -> None:
    ran = run_opstrand("run", image, "--name", name, "--", "sh", "-c", script, env=env)
    assert ran.code == 0, ran


def started(name: str, project: str) -> list[str]:
    """Return what of kubectl prints something as soon as the run's main container runs."""
    uid = wait_for_output("-n", project, "get", "op", name, "-o", "jsonpath={.metadata.uid}")
    label = f"opstrand.dev/uuid={uid.replace('-', '')}"
    path = "jsonpath={.items[*].status.containerStatuses[*].state.running.startedAt}"
    return ["-n", project, "get", "pods", "-l", label, "-o", path]


def test_a_command_writes_to_both_streams_and_ends_with_its_code(run: Run) -> None:
    ran = run("exec", "live", "--", "sh", "-c", "echo 'two  words'; echo err >&2; exit 7")
    assert (ran.code, ran.out, ran.stderr) == (7, "two  words\n", "err\n")
    assert run("exec", "live", "--", "sh", "-c", "kill -9 $$").code == 137


def test_stdin_arrives_byte_for_byte_and_ends(run: Run) -> None:
    sent = secrets.token_bytes(BIG)
    assert run("exec", "-i", "live", "--", "wc", "-c", stdin=sent).out == f"{BIG}\n"
    ran = run("exec", "-i", "live", "--", "cat", stdin=sent)
    assert (ran.code, ran.stdout == sent) == (0, True)


def test_a_reader_that_goes_away_ends_the_command(env: dict[str, str]) -> None:
    line = '"$@" | head -1; exit ${PIPESTATUS[0]}'
    words = ["bash", "-c", line, "-", str(OPSTRAND), "exec", "live", "--", "yes"]
    ran = run_command(words, env=env)
    assert (ran.code, ran.out) == (141, "y\n"), ran


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["--", "nosuch"], 4, "the image of live has no program 'nosuch'"),
        (["-c", "mian", "--", "ls"], 4, r"no such container \(did you mean 'main'\? it has: main"),
        (["-c", "opstrand-init", "--", "ls"], 3, r"has ended \(Completed, exit code 0\)"),
        (["ls", "-la"], 2, None),
    ],
)
def test_a_command_that_cannot_be_started(
    run: Run, words: list[str], code: int, error: str | None
) -> None:
    ran = run("exec", "live", *words)
    assert (ran.code, ran.out) == (code, "")
    if error is None:
        assert "hint: Is -l one of the command? Then write -- before the command." in ran.stderr
    else:
        assert re.search(error, ran.errors[0]), ran.stderr


@contextmanager
def terminal(*arguments: str, env: dict[str, str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the command line on a terminal of 100 columns and 30 lines; yield our end of it.

    Afterwards the terminal must be as it was before.
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 100))
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [OPSTRAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", **env),
        start_new_session=True,
    )
    try:
        yield ours, process
        assert termios.tcgetattr(theirs) == before
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        os.close(ours)
        os.close(theirs)


def read_until(file: int, pattern: str) -> str:
    """Return what the terminal showed, as soon as it shows the pattern."""
    shown, deadline = "", time.monotonic() + PATIENCE
    while not re.search(pattern, shown):
        assert time.monotonic() < deadline, f"{pattern!r} was not shown, but {shown!r}"
        if select.select([file], [], [], 0.5)[0]:
            shown += os.read(file, 65536).decode(errors="replace")
    return shown


def test_a_shell_at_a_terminal(env: dict[str, str]) -> None:
    """Its size, each change of that, Ctrl-C for the command alone, and its exit code."""
    with terminal("exec", "live", env=env) as (keys, process):
        # The size arrives beside the first keys.
        sized = "until [ \"$(stty size)\" = '30 100' ]; do sleep 0.1; done; tty"
        os.write(keys, f"{sized}\n".encode())
        read_until(keys, r"/dev/pts/\d+\r\n")
        termios.tcsetwinsize(keys, (20, 70))
        process.send_signal(signal.SIGWINCH)
        resized = "until [ \"$(stty size)\" = '20 70' ]; do sleep 0.1; done; echo is-$((2*3))"
        os.write(keys, f"{resized}\n".encode())
        read_until(keys, "is-6")
        os.write(keys, b"sh -c 'echo begun-$((1+1)); sleep 1000'; echo not-$((2*4))\n")
        read_until(keys, "begun-2")
        os.write(keys, b"\x03")
        os.write(keys, b"echo and-$((2*5)); exit 5\n")
        assert "not-8" not in read_until(keys, "and-10")
        assert process.wait(PATIENCE) == 5


def test_a_command_with_it_as_kubectl_has_it(env: dict[str, str]) -> None:
    with terminal("exec", "-it", "live", "--", "sh", "-c", "read x; tty; exit $x", env=env) as (
        keys,
        process,
    ):
        os.write(keys, b"9\n")
        read_until(keys, "/dev/pts/")
        assert process.wait(PATIENCE) == 9


def test_a_big_file_goes_there_and_back(run: Run, tmp_path: Path) -> None:
    content = secrets.token_bytes(BIG)
    (tmp_path / "big file").write_bytes(content)
    for words in (("big file", "live:"), ("live:big file", "back"), ("back", "live:another")):
        ran = run("cp", *words)
        assert (ran.code, ran.stderr) == (0, f"copied {words[0]} to {words[1]}\n")
    assert (tmp_path / "back").read_bytes() == content
    shown = run(
        "exec", "live", "--", "sh", "-c", "cd /plx-context/artifacts/*; cmp another 'big file'"
    )
    assert shown.code == 0, shown


def test_a_folder_goes_there_and_back(run: Run, tmp_path: Path) -> None:
    deep = tmp_path / "my model" / "ünder"
    deep.mkdir(parents=True)
    (deep / "a b").write_text("one\n")
    (deep / "run.sh").write_text("#!/bin/sh\n")
    (deep / "run.sh").chmod(0o755)
    (deep.parent / "link").symlink_to("ünder/a b")
    (deep.parent / "outside").symlink_to("/etc/passwd")
    assert run("cp", "my model", "live:").code == 0
    assert run("cp", deep.parent, "live:outputs/v2").code == 0
    ran = run("cp", "live:outputs/v2", "back")
    assert (ran.code, "left out v2/outside: " in ran.stderr) == (0, True), ran
    found = {str(one.relative_to(tmp_path / "back")) for one in (tmp_path / "back").rglob("*")}
    assert found == {"ünder", "ünder/a b", "ünder/run.sh", "link"}
    assert (tmp_path / "back" / "link").read_text() == "one\n"
    assert (tmp_path / "back" / "ünder" / "run.sh").stat().st_mode & 0o777 == 0o755
    # The run's own folder gets the run's name.
    assert run("cp", "live:", ".").code == 0
    assert (tmp_path / "live" / "outputs" / "v2" / "ünder" / "a b").exists()


def test_an_absolute_path_is_one_of_the_container(run: Run, tmp_path: Path) -> None:
    assert run("cp", "live:/etc/hostname", ".").code == 0
    assert (tmp_path / "hostname").read_text().startswith("live-")
    (tmp_path / "x").write_text("here")
    assert run("cp", "x", "live:/tmp/y").code == 0
    assert run("exec", "live", "--", "cat", "/tmp/y").out == "here"


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["live:nothing", "."], 4, "live: 'nothing' cannot be copied: tar: "),
        (["big", "live:nothing/x"], 4, "live: 'nothing/x' cannot be copied: tar: "),
        (["live:/", "."], 2, "live:/: expected a file or folder below /"),
        (["live:/etc/hostname", "nowhere/x"], 2, "nowhere is no folder: expected one that exists"),
        (["live:/etc", "big"], 2, "cannot be written to big"),
    ],
)
def test_what_cannot_be_copied(
    run: Run, tmp_path: Path, words: list[str], code: int, error: str
) -> None:
    # So big that tar ends before all of it is sent.
    (tmp_path / "big").write_bytes(bytes(BIG))
    ran = run("cp", *words)
    assert ran.code == code, ran
    assert error in ran.errors[0]


def test_a_run_that_ended_has_no_container(run: Run, env: dict[str, str]) -> None:
    start(env, "over", "exit 0")
    assert run("wait", "over", "--timeout", "2m").code == 0
    for words in (("exec", "over", "--", "ls"), ("cp", "over:outputs", ".")):
        ran = run(*words)
        assert ran.code == 3
        assert ran.errors == ["error: over has ended (Succeeded), and its containers with it"]
        assert f"hint: opstrand restart over --project {env['OPSTRAND_PROJECT']} " in ran.stderr


def test_a_command_ends_with_the_run(run: Run, env: dict[str, str]) -> None:
    start(env, "short", LIVE)
    wait_for_output(*started("short", env["OPSTRAND_PROJECT"]))
    command = [OPSTRAND, "exec", "short", "--", "sh", "-c", "echo in; exec sleep 1000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(**env)
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        assert run("stop", "short").code == 0
        _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (137, b"")


def test_a_container_that_has_not_started_says_why(run: Run, env: dict[str, str]) -> None:
    start(env, "never", "true", image="localhost/there-is-no-such:1")
    project, path = env["OPSTRAND_PROJECT"], "jsonpath={.status.pod.name}"
    pod = wait_for_output("-n", project, "get", "op", "never", "-o", path)
    path = "jsonpath={.status.containerStatuses[*].state.waiting.message}"
    wait_for_output("-n", project, "get", "pod", pod, "-o", path)
    ran = run("exec", "never", "--", "ls")
    assert ran.code == 4
    assert re.search(r"container main of never has not started \(\w*Pull\w*\)", ran.errors[0])
    assert f"hint: opstrand get never --project {project} says what it waits for." in ran.stderr


def test_top_says_that_the_cluster_measures_nothing(run: Run) -> None:
    ran = run("top")
    assert (ran.code, ran.out) == (5, "")
    assert ran.errors == ["error: this cluster measures nothing: it does not serve metrics.k8s.io"]
    assert "hint: Install metrics-server" in ran.stderr
