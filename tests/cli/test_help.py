"""The list of commands, its cost, and what a terminal shows."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import OPSTRAND, environment, run_command, run_opstrand

from opstrand import __version__
from opstrand.cli.app import COMMANDS, load_command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says_of_itself(name: str) -> None:
    command = load_command(name)
    assert command.name == name
    assert (command.help or "").splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(cli: Cli, name: str) -> None:
    ran = cli(name, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: opstrand {name}")


def test_help_is_plain_without_a_terminal() -> None:
    ran = run_opstrand("--help")
    assert ran.code == 0
    assert b"\x1b" not in ran.stdout
    assert [line.split()[0] for line in ran.out.partition("Commands:\n")[2].splitlines()] == list(
        COMMANDS
    )


def test_help_is_rich_at_a_terminal_and_plain_with_no_color() -> None:
    assert b"\x1b[" in _at_a_terminal("--help")
    assert b"\x1b" not in _at_a_terminal("--help", NO_COLOR="1")


def test_a_long_wait_has_a_live_line_at_a_terminal(tmp_path: Path) -> None:
    """It shows what the command waits for and how long, and disappears at the end; it needs no
    colour.
    """
    file = tmp_path / "slow.yaml"
    file.write_text(
        "kind: component\nrun: {kind: job, container: {image: a, command: [sleep, '2.5']}}\n"
    )
    words = ("run", "--local", "-f", str(file), "--name", "slow")
    shown = _at_a_terminal(*words, NO_COLOR="1", OPSTRAND_LOCAL=str(tmp_path / "a"))
    assert re.search(rb"\r\x1b\[K\S+ slow: Running \(1 s\)", shown), shown
    assert b"\r\x1b[Kslow: Succeeded" in shown
    plain = run_opstrand(*words, env={"OPSTRAND_LOCAL": str(tmp_path / "b")})
    assert (plain.code, "(1 s)" in plain.stderr, "\x1b" in plain.stderr) == (0, False, False)


@pytest.fixture
def slow_cluster(tmp_path: Path) -> Iterator[Path]:
    """Yield a kubeconfig of an API server that has nothing and answers slowly."""

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(1.5)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"kind": "List", "metadata": {"resourceVersion": "1"}, "items": []}')

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = tmp_path / "kubeconfig"
        config.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: "
            "{cluster: c, user: u}}]\n"
            "users: [{name: u, user: {token: t}}]\n"
            f"clusters: [{{name: c, cluster: {{server: "
            f"'http://127.0.0.1:{server.server_port}'}}}}]\n"
        )
        yield config
        server.shutdown()


def test_an_answer_that_takes_long_has_a_live_line_too(slow_cluster: Path) -> None:
    shown = _at_a_terminal("ls", "--kubeconfig", str(slow_cluster), NO_COLOR="1")
    assert re.search(
        rb"\S+ waiting for http://127\.0\.0\.1:\d+ \(\d+ s\)\r\x1b\[Kno runs", shown
    ), shown
    plain = run_opstrand("ls", "--kubeconfig", slow_cluster)
    assert (plain.code, plain.stderr) == (0, "no runs\n")


def test_a_login_that_takes_long_has_one_too(slow_cluster: Path) -> None:
    answer = (
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": '
        '{"token": "t"}}'
    )
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"sleep 1.5; echo '{answer}'"],
    }
    slow_cluster.write_text(
        slow_cluster.read_text().replace("{token: t}", json.dumps({"exec": command}))
    )
    shown = _at_a_terminal("ls", "--kubeconfig", str(slow_cluster), NO_COLOR="1")
    assert re.search(rb"\S+ waiting for the credentials \(1 s\)", shown), shown


def test_help_costs_next_to_nothing() -> None:
    """The bound is on user CPU beyond the library that every command needs. The least of several
    runs counts, since other programs use this machine too.
    """
    needed = min(run_command([sys.executable, "-c", "import click"]).seconds for _ in range(5))
    assert min(run_opstrand("--help").seconds for _ in range(5)) < 2.5 * needed


def test_an_installation_without_the_command_line_s_parts_says_so() -> None:
    """`pip install opstrand` installs the client alone; its console script exists all the same."""
    code = (
        "import sys; sys.modules['click'] = None; from opstrand.cli import main; raise "
        "SystemExit(main(['version']))"
    )
    ran = run_command([sys.executable, "-c", code])
    assert (ran.code, len(ran.errors)) == (2, 1), ran
    assert "pip install 'opstrand[cli]'" in ran.errors[0]


def test_an_older_python_is_named_with_the_one_that_is_needed() -> None:
    code = (
        "import sys; from opstrand.cli import main; sys.version_info = (3, 9, 18); "
        "raise SystemExit(main(['version']))"
    )
    ran = run_command([sys.executable, "-c", code])
    assert (ran.code, len(ran.errors)) == (2, 1), ran
    assert "needs Python 3.11 or newer, and this is Python 3.9: " in ran.errors[0]


@pytest.mark.parametrize("command", ["ls", "logs"])
def test_looking_at_runs_imports_nothing_of_the_engine(command: str) -> None:
    """The command imports no models of the format, no template language, and no other part of the
    Kubernetes package.
    """
    code = (
        "import sys; sys.argv = ['opstrand']; from opstrand.cli import main; main(sys.argv[1:] or "
        "ARGS); print(*sys.modules)"
    )
    arguments = [command, *(["--local"] if command == "ls" else ["x"])]
    ran = run_command(
        [sys.executable, "-c", code.replace("ARGS", repr(arguments))],
        env={"OPSTRAND_LOCAL": "/nonexistent"},
    )
    modules = set(ran.out.split())
    assert "opstrand.cli.app" in modules
    assert modules.isdisjoint(
        {
            "jinja2",
            "opstrand.spec.polyaxonfile",
            "rich",
            "jsonschema",
            "requests",
            "kubernetes.client",
        }
    )
    assert ("aiohttp" in modules) is (command == "logs")


def test_a_wrong_word_gets_the_nearest_right_one() -> None:
    ran = run_opstrand("rnu")
    assert ran.code == 2
    assert "did you mean 'run'?" in ran.stderr
    assert run_opstrand("ls", "--wide").code == 2


def test_the_version() -> None:
    assert run_opstrand("version").out == run_opstrand("--version").out
    assert f'"opstrand": "{__version__}"' in run_opstrand("version", "-o", "json").out


@pytest.mark.parametrize(
    ("shell", "word"),
    [("bash", "complete -o nosort"), ("zsh", "#compdef opstrand"), ("fish", "complete --no-files")],
)
def test_completion_scripts(shell: str, word: str) -> None:
    ran = run_opstrand("completion", shell)
    assert word in ran.out
    assert "_OPSTRAND_COMPLETE" in ran.out


def test_completion_offers_commands_and_options() -> None:
    offered = _complete("opstrand l", 1)
    assert {"ls", "logs", "lineage"} <= set(offered)
    assert "--upstream" in _complete("opstrand render --up", 2)


def _complete(words: str, position: int) -> list[str]:
    env = {"_OPSTRAND_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    return [line.partition(",")[2] for line in run_opstrand(env=env).out.splitlines()]


def _at_a_terminal(*arguments: str, **env: str) -> bytes:
    """Return what a pseudo-terminal shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [OPSTRAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", **env),
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # Linux raises this when the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return shown
