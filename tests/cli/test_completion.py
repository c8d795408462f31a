"""Completion in real shells at a pseudo-terminal, and what it does with a cluster."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.builders import JOB, RUN, Letters, child_of, parent_of, pipeline
from tests.support.command_line import OPSTRAND, Ran, environment, run_command, run_opstrand

COMPONENT = """kind: component
inputs:
- {name: learning_rate, type: float}
run: {kind: job, container: {image: a, command: ["true"]}}
"""
#: Seconds that a shell may take on a busy machine.
PATIENCE = 60.0
PROMPT = b"READY> "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("my-file.yaml", "sub/inner.yaml", "with space.yaml"):
        (tmp_path / name).write_text(COMPONENT)
    (tmp_path / "operation.yaml").write_text("kind: operation\npathRef: my-file.yaml\n")
    return tmp_path


def start(shell: str, folder: Path, home: Path) -> list[str]:
    """Write what the shell reads at its start, and return its command."""
    script = run_opstrand("completion", shell).out
    (home / "completion").write_text(script)
    if shell == "bash":
        (home / "rc").write_text(f"PS1='{PROMPT.decode()}'\n. {home}/completion\n")
        return ["bash", "--noprofile", "--rcfile", str(home / "rc"), "-i"]
    (home / ".zshrc").write_text(
        "autoload -U compinit; compinit -u -D; bindkey -e; unsetopt prompt_sp\n"
        f"PS1='{PROMPT.decode()}'\n. {home}/completion\n"
    )
    return ["zsh", "-d", "-i"]


def read_until_prompt(terminal: int) -> bytes:
    shown, deadline = b"", time.monotonic() + PATIENCE
    while not shown.endswith(PROMPT) and PROMPT not in shown[-80:]:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"no prompt in {shown!r}"
        shown += os.read(terminal, 65536)
    return shown


def complete(shell: str, typed: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the last word of the line after the typed keys, among which is a tab."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    home = tmp_path_factory.mktemp("home")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        start(shell, folder, home),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        start_new_session=True,
        env=environment(
            HOME=str(home),
            ZDOTDIR=str(home),
            TERM="xterm",
            PATH=f"{OPSTRAND.parent}:{os.environ['PATH']}",
        ),
    )
    os.close(theirs)
    try:
        read_until_prompt(ours)
        # To the start of the line, and print its words.
        os.write(ours, typed.encode() + b"\x01printf '<%s>\\n' \n")
        shown = b""
        while not re.search(rb"<opstrand>.*READY> ", shown, re.DOTALL):
            shown += read_until_prompt(ours)
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(ours)
    return re.findall(r"^<(.*)>\r?$", shown.decode(), re.MULTILINE)[-1]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("opstrand check my-f\t", "my-file.yaml"),
        ("opstrand check with\t", "with space.yaml"),
        ("opstrand run -f my-f\t", "my-file.yaml"),
        ("opstrand run -f sub/in\t", "sub/inner.yaml"),
        ("opstrand render --upstream my-f\t", "my-file.yaml"),
        ("opstrand ls --kubeconfig my-f\t", "my-file.yaml"),
        ("opstrand components apply -f my-f\t", "my-file.yaml"),
        ("opstrand ls --status Runn\t", "Running"),
        ("opstrand run -f my-file.yaml -P lear\t5", "learning_rate=5"),
        ("opstrand run -f operation.yaml -P lear\t5", "learning_rate=5"),
        ("opstrand explain run.contai\t", "run.container"),
        ("opstrand run my-f\t", "my-file.yaml"),
        ("opstrand config set name\t", "namespace"),
        ("opstrand port-f\t", "port-forward"),
    ],
)
def test_a_word_is_completed(
    shell: str,
    typed: str,
    word: str,
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    assert complete(shell, typed, folder, tmp_path_factory) == word


def ask(*words: str, **env: str) -> Ran:
    """Complete the last of these words as bash asks for it."""
    line = " ".join(("opstrand", *words))
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    return run_opstrand(env={"_OPSTRAND_COMPLETE": "bash_complete", **asked, **env})


def offered(ran: Ran) -> list[str]:
    assert (ran.code, ran.stderr) == (0, ""), ran
    return [line.partition(",")[2] for line in ran.out.split()]


class Cluster(BaseHTTPRequestHandler):
    """Lists of one object each."""

    def do_GET(self) -> None:
        kind = self.path.partition("?")[0].rpartition("/")[2]
        name = {"components": "tiny.v2"}.get(kind, f"one-of-{kind}")
        body = json.dumps(
            {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": [named(name)]}
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def named(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield write_kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_port}", {"token": "t"})
        server.shutdown()


def write_kubeconfig(folder: Path, server: str, user: dict[str, object]) -> str:
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": user}],
    }
    file = folder / "config"
    file.write_text(json.dumps(config))
    return str(file)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["get", "one"], "one-of-operations"),
        (["stop", "first", ""], "one-of-operations"),
        (["ls", "-p", ""], "one-of-namespaces"),
        (["run", "--hub", ""], "tiny:v2"),
        (["components", "get", ""], "tiny:v2"),
        (["ls", "--context", ""], "a"),
    ],
)
@pytest.mark.alone
def test_names_of_the_cluster_are_completed(kubeconfig: str, words: list[str], found: str) -> None:
    """A completion that takes seconds completes nothing."""
    assert offered(ask(*words, KUBECONFIG=kubeconfig)) == [found]


LOGIN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "interactiveMode": "Never",
    "command": "sh",
}
BROKEN = {
    "no server": {"token": "t"},
    "a login that fails": {"exec": {**LOGIN, "args": ["-c", "echo no >&2; exit 1"]}},
    "a login that hangs": {"exec": {**LOGIN, "args": ["-c", "echo $$ > $LOGIN; exec sleep 600"]}},
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_cluster_that_does_not_answer_completes_nothing(tmp_path: Path, case: str) -> None:
    config = write_kubeconfig(tmp_path, "http://127.0.0.1:9", BROKEN[case])
    assert offered(ask("get", "", KUBECONFIG=config, LOGIN=str(tmp_path / "login"))) == []
    if (tmp_path / "login").exists():
        with pytest.raises(ProcessLookupError):  # the login command ended with the completion
            os.kill(int((tmp_path / "login").read_text()), 0)


def test_without_a_kubeconfig_nothing_is_completed() -> None:
    assert offered(ask("get", "")) == []
    assert offered(ask("ls", "-p", "")) == []


def test_local_runs_are_completed_from_their_records(folder: Path) -> None:
    env = {"HOME": str(folder / "home")}
    file = folder / "my-file.yaml"
    ran = run_opstrand("run", "--local", "-f", file, "-P", "learning_rate=1", env=env)
    assert ran.code == 0, ran
    (found,) = offered(ask("get", "--local", "my", **env))
    assert found.startswith("my-file-")
    assert offered(ask("ls", "--local", "-p", "", **env)) == ["default"]


#: Ends with the names of the imported modules that make a start slow.
_IMPORTED = """
import sys
from opstrand.cli import main
sys.argv = ["opstrand"]
try:
    main([])
except SystemExit:
    pass
slow = ("pydantic", "jinja2", "aiohttp", "kubernetes", "opstrand.core.templates", "asyncio")
print("imported:", *(name for name in slow if name in sys.modules))
"""


@pytest.mark.parametrize(
    "words",
    [
        ["l"],
        ["run", "-f", "my"],
        ["run", "-f", "my-file.yaml", "-P", ""],
        ["check", "my"],
        ["render", "-f", "my"],
        ["ls", "--status", ""],
        ["get", "--local", ""],
        ["logs", "--local", ""],
        ["stop", "--local", ""],
        ["wait", "--local", ""],
        ["lineage", "--local", ""],
        ["ls", "--local", "-p", ""],
        ["components", "apply", "-f", "my"],
        ["ls", "--context", ""],
        ["explain", "run.contai"],
    ],
    ids=" ".join,
)
def test_what_needs_no_cluster_imports_nothing_of_the_engine(
    folder: Path, words: list[str]
) -> None:
    asked = {"COMP_WORDS": " ".join(("opstrand", *words)), "COMP_CWORD": str(len(words))}
    env = {"_OPSTRAND_COMPLETE": "bash_complete", "HOME": str(folder / "home"), **asked}
    ran = run_command([sys.executable, "-c", _IMPORTED], env=env, cwd=folder)
    assert ran.out.splitlines()[-1] == "imported:", ran


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["get", "--local", "fl"], ["flow"]),
        (["stop", "--local", "flow-p"], ["flow-prep"]),
        (["get", "--local", "flow/"], ["flow/prep", "flow/tune"]),
        (["logs", "--local", "flow/tune/"], ["flow/tune/0", "flow/tune/1"]),
        (["ls", "--local", "--pipeline", ""], ["flow", "flow-tune"]),
    ],
)
def test_pipelines_are_completed_with_their_operations(
    tmp_path: Path, words: list[str], found: list[str]
) -> None:
    matrix = {"kind": "mapping", "values": [{"a": 1}, {"a": 2}]}
    ops = [{"name": "prep", "component": {"run": RUN}}, {"name": "tune", "matrix": matrix, **JOB}]
    flow = parent_of("flow", "sr", pipeline(*ops), phase="Failed")
    tune = child_of(flow, "tune", "Failed", kind="matrix", children=Letters("ss").as_dict())
    for body in (flow, tune, child_of(flow, "prep", "Succeeded")):
        body["metadata"]["namespace"] = "default"
        folder = tmp_path / "default" / body["metadata"]["name"]
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(body))
    shown = offered(ask(*words, OPSTRAND_LOCAL=str(tmp_path)))
    # The names of a pipeline's runs end with a hash.
    assert [re.sub("-[a-z0-9]{8}$", "", name) for name in shown] == found
