"""Wrong input: one clear error each, at once, with its place and exit code, and never a
traceback.
"""

from __future__ import annotations

import http.server
import os
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.cluster.certificates import Authority
from tests.support.command_line import OPSTRAND, SAMPLES, environment, run_opstrand

ECHO = SAMPLES / "echo.yaml"
JOB = (
    "version: 1.1\nkind: component\nrun:\n  kind: job\n  container:\n    image: python\n    "
    "command: [python3, -c, 'print(1)']\n"
)
SERVICE = JOB.replace("kind: job", "kind: service")
CULLED = "termination: {culling: {timeout: 9}, probe: {exec: {command: [a]}}}\n"
OPERATION = (
    "kind: operation\ncomponent:\n  run:\n    kind: job\n    container: {image: python, command: "
    "[a]}\n"
)

#: name, file, -P, place, message
FILES = [
    ("broken YAML", "run: [a\nb: c\n", (), ":2", "YAML|expected|found"),
    ("a tab", "run:\n\tkind: job\n", (), ":2", ""),
    ("empty", "", (), "", "an empty file"),
    ("a list", "- a\n", (), "", "a mapping"),
    ("an unknown key", JOB.replace("run:", "runn: 1\nrun:"), (), ":3:1", "did you mean 'run'?"),
    ("an unknown key, deep", JOB.replace("command", "comand"),
     (), ":7:5", "did you mean 'command'?"),
    ("a wrong type", JOB + "termination: {maxRetries: many}\n", (), ":8:15", "many"),
    ("a key twice", JOB + "run: {}\n", (), ":8:1", "run"),
    ("an undeclared variable", JOB.replace("print(1)", "{{ lr }}"), (), ":7:", "there is no 'lr'"),
    ("a misspelt variable", JOB.replace("print(1)", "{{ glob.uuid }}"),
     (), ":7:", "there is no 'glob'"),
    ("a kind that nobody knows", JOB.replace("kind: job", "kind: jub"), (), ":4", "jub"),
    ("a wrong value", JOB + "inputs:\n- {name: lr, type: float}\n",
     ("lr=fast",), "-P lr", "as float: expected a number such as 0.5"),
    ("a missing value", OPERATION + "inputs:\n- {name: lr, type: float}\n", (), ":7:3", "required"),
    ("a wrong ref", OPERATION + "params:\n  a: {ref: ops, value: outputs.x}\n",
     (), ":7", "ops.NAME"),
    ("a ref to nothing", OPERATION + "params:\n  a: {ref: ops.a, value: outptus.x}\n",
     (), ":7", "did you mean 'outputs'?"),
    ("a bad template", JOB.replace("print(1)", "{{ 1 +  }}"), (), ":7:", ""),
    ("ports of a job", JOB.replace("kind: job", "kind: job\n  ports: [80]"),
     (), ":5:3", "unknown key 'ports'"),
    ("a port twice", JOB.replace("kind: job", "kind: service\n  ports: [80, 80]"),
     (), ":5:15", "the port 80 is there twice"),
    ("a port that is none", JOB.replace("kind: job", "kind: service\n  ports: [70000]"),
     (), ":5:11", "from 1 to 65535"),
    ("an init file of 1 MiB", JOB + f"  init:\n  - file: {{filename: a, content: {'x' * 2**20}}}\n",
     (), "run.init", "KiB"),
    ("an init file of 2 MiB", JOB + f"  init:\n  - file: {{filename: a, content: {'x' * 2**21}}}\n",
     (), "", "bytes"),
]  # fmt: skip


def test_what_this_version_does_not_do_is_noted_by_check_and_refused_by_run(
    cli: Cli, tmp_path: Path
) -> None:
    """The file is valid in the format: another platform may run it."""
    (tmp_path / "file.yaml").write_text(SERVICE + CULLED)
    checked, ran = cli("check", "-f", "file.yaml"), cli("run", "-f", "file.yaml")
    assert (checked.code, ran.code) == (0, 2)
    assert "note: file.yaml: termination.probe.exec" in checked.stderr
    assert "give it probe.http" in checked.stderr
    assert "give it probe.http" in ran.stderr


@pytest.mark.parametrize(
    ("text", "params", "place", "words"), [row[1:] for row in FILES], ids=[row[0] for row in FILES]
)
@pytest.mark.parametrize("command", ["check", "run", "render"])
def test_a_wrong_file(
    cli: Cli,
    tmp_path: Path,
    command: str,
    text: str,
    params: tuple[str, ...],
    place: str,
    words: str,
) -> None:
    """Every command that reads a file reports the same error.

    `run` reports it before it looks for a cluster.
    """
    (tmp_path / "file.yaml").write_text(text)
    given = [part for param in params for part in ("-P", param)]
    ran = cli(command, "-f", "file.yaml", *given)
    assert ran.code == 2, ran
    told = (
        ran.out
        if command == "check"
        else "\n".join(line.removeprefix("error: ") for line in ran.errors)
    )
    assert place in told
    assert any(word in told for word in words.split("|")), told
    if place.startswith(":"):
        assert all(line.startswith("file.yaml:") for line in told.splitlines()), told
    assert command == "check" or ran.stdout == b""


@pytest.mark.parametrize("command", ["check", "run", "render"])
def test_a_wrong_file_for_the_real_command(tmp_path: Path, command: str) -> None:
    (tmp_path / "file.yaml").write_text(JOB.replace("run:", "runn: 1\nrun:"))
    ran = run_opstrand(command, "-f", "file.yaml", cwd=tmp_path)
    assert ran.code == 2
    assert "file.yaml:3:1: runn: unknown key 'runn'; did you mean 'run'?" in ran.out + ran.stderr


def test_all_errors_at_once(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(
        JOB.replace("print(1)", "{{ a }} {{ b }}") + "inputs:\n- {name: lr, type: flaot}\n"
    )
    ran = cli("check", "f.yaml")
    assert ran.code == 2
    assert [words for words in ("'a'", "'b'", "flaot") if words not in ran.out] == []
    assert len(ran.out.splitlines()) == 3


def test_a_file_that_is_not_there() -> None:
    ran = run_opstrand("run", "-f", "nope.yaml")
    assert (ran.code, ran.errors) == (
        2,
        ["error: could not read nope.yaml: No such file or directory"],
    )


def test_an_address_where_a_file_belongs(cli: Cli) -> None:
    for command in (("check",), ("check", "-f"), ("run", "-f")):
        ran = cli(*command, "https://example.org/echo.yaml")
        assert ran.code == 2
        assert "https://example.org/echo.yaml: " in ran.out + ran.stderr
        assert "`urlRef`" in ran.out + ran.stderr


def test_no_file() -> None:
    ran = run_opstrand("run")
    assert ran.code == 2
    assert "opstrand run FILE" in ran.stderr


@pytest.mark.parametrize("params", [["message"], ["=x"], ["a=1", "a=2"]])
def test_a_param_that_is_none(cli: Cli, params: list[str]) -> None:
    ran = cli("check", "-f", ECHO, *(part for text in params for part in ("-P", text)))
    assert ran.code == 2
    assert "-P" in ran.out


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
@pytest.mark.parametrize("command", [["run", "-f", str(ECHO)], ["wait", "a"]])
def test_a_limit_that_is_none(cli: Cli, command: list[str], seconds: str) -> None:
    ran = cli(*command, "--timeout", seconds)
    assert ran.code == 2
    assert "'--timeout'" in ran.stderr


@pytest.mark.parametrize("project", ["a/b", "../..", "a?b", "A_B", "a b", "a" * 64])
def test_a_project_that_can_be_none(cli: Cli, unreachable: Path, project: str) -> None:
    """The name would lead to another URL, and the server's answer to that would mislead."""
    for command in (["ls"], ["get", "x"], ["run", "-f", str(ECHO)], ["components", "ls"]):
        ran = cli(*command, "--kubeconfig", unreachable, "-p", project)
        assert (ran.code, ran.errors) == (2, [f"error: there can be no project {project!r}"])


def test_a_file_that_names_another_namespace_is_not_run_here(
    cli: Cli, unreachable: Path, tmp_path: Path
) -> None:
    (tmp_path / "f.yaml").write_text("namespace: theirs\n" + OPERATION)
    for where in (("--kubeconfig", str(unreachable)), ("--local",)):
        ran = cli("run", "-f", tmp_path / "f.yaml", "-p", "ours", *where)
        assert (ran.code, ran.errors) == (
            2,
            ["error: namespace: the file says 'theirs', and the project is 'ours'"],
        )
        assert "-n theirs" in ran.stderr


def test_a_name_of_300_characters() -> None:
    ran = run_opstrand("run", "-f", ECHO, "--name", "a" * 300)
    assert ran.code == 2
    assert ran.errors == [
        "error: --name: 'aaaaaaaaaaaaaaaaaaaa… (300 characters)' is no name for a run"
    ]
    assert "at most 52 characters" in ran.stderr


def test_a_kind_that_this_version_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(
        "run: {kind: tfjob, worker: {replicas: 2, container: {image: busybox}}}\n"
    )
    assert run_opstrand("check", tmp_path / "f.yaml").code == 0
    ran = run_opstrand("run", "-f", tmp_path / "f.yaml")
    assert ran.code == 2
    assert "tfjob" in ran.errors[0]


def test_no_cluster(tmp_path: Path) -> None:
    ran = run_opstrand("ls")
    assert ran.code == 5
    assert len(ran.errors) == 1
    assert "--kubeconfig" in ran.stderr


@pytest.fixture
def unreachable(tmp_path: Path) -> Path:
    config = tmp_path / "kubeconfig"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: "
        "c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: "
        "{token: t}}]\n"
    )
    return config


def test_a_cluster_that_does_not_answer(cli: Cli, unreachable: Path) -> None:
    for command in (
        ["ls"],
        ["run", "-f", str(ECHO)],
        ["get", "x"],
        ["logs", "x"],
        ["stop", "x"],
        ["doctor"],
    ):
        ran = cli(*command, "--kubeconfig", unreachable)
        assert ran.code == 5, (command, ran)
        told = ran.out if command == ["doctor"] else ran.stderr
        assert "Is the cluster up" in told, (command, ran)


def test_an_address_of_something_else(cli: Cli, unreachable: Path) -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Log in</html>")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        unreachable.write_text(
            unreachable.read_text().replace(
                "https://127.0.0.1:1", f"http://127.0.0.1:{server.server_port}"
            )
        )
        ran = cli("doctor", "--kubeconfig", unreachable)
        server.shutdown()
    assert ran.code == 5, ran
    assert "is not what Kubernetes answers" in ran.out
    assert "Is this the address of a Kubernetes API server?" in ran.out


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: 'nobody-logs-in'}}",
            "command 'nobody-logs-in' gave none: [Errno 2] No such file or directory",
        ),
        (
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: 'false'}}",
            "command 'false' gave none: exit code 1",
        ),
        (
            "{client-certificate-data: AAAA, client-key-data: BBBB}",
            "a certificate or key cannot be read",
        ),
        ("{client-certificate: /nope.crt, client-key: /nope.key}", "/nope.crt"),
    ],
)
def test_credentials_that_cannot_be_had(cli: Cli, tmp_path: Path, user: str, words: str) -> None:
    """The command does not go on as the anonymous user: the cluster would refuse that with another
    message.
    """
    (tmp_path / "kubeconfig").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: "
        "c, user: u}}]\n"
        f"clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}]\nusers: [{{name: u, "
        f"user: {user}}}]\n"
    )
    ran = cli("ls", "--kubeconfig", tmp_path / "kubeconfig")
    assert ran.code == 5, ran
    (error,) = ran.errors
    assert error.startswith("error: no usable Kubernetes credentials: ")
    assert words in error


def write_kubeconfig(path: Path, user: str, server: str = "https://127.0.0.1:1") -> Path:
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: dev\n"
        "contexts: [{name: dev, context: {cluster: c, user: u}}, {name: prod, context: {cluster: "
        "c, user: u}}]\n"
        f"clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n"
        f"users: [{{name: u, user: {user}}}]\n"
    )
    return path


def test_what_a_failing_login_command_wrote_is_read_as_text(cli: Cli, tmp_path: Path) -> None:
    login = (
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, "
        '"echo \\"Sitzung abgelaufen – it\'s over\\" >&2; echo run sso login >&2; exit 3"]}}'
    )
    ran = cli("ls", "--kubeconfig", write_kubeconfig(tmp_path / "k", login))
    assert ran.code == 5, ran
    assert ran.stderr.splitlines() == [
        "error: no usable Kubernetes credentials: the kubeconfig's command 'sh' gave none: exit "
        "code 3: Sitzung abgelaufen – it's over; run sso login",
        "hint: Run that command by hand, log in again, or choose another --context.",
    ]


def test_a_context_that_is_not_there_is_answered_by_those_that_are(
    cli: Cli, tmp_path: Path
) -> None:
    path = write_kubeconfig(tmp_path / "k", "{token: t}")
    ran = cli("ls", "--kubeconfig", path, "--context", "prd")
    assert ran.code == 5, ran
    assert ran.stderr.splitlines() == [
        f"error: no usable Kubernetes credentials: there is no context 'prd' in the kubeconfig "
        f"{path} (did you mean 'prod'? it has: dev, prod)",
        "hint: Choose one of them by --context, or another file by --kubeconfig or $KUBECONFIG.",
    ]
    path.write_text(path.read_text().replace("current-context: dev\n", ""))
    assert f"there is no current-context in the kubeconfig {path} (it has: dev, prod)" in (
        cli("ls", "--kubeconfig", path).stderr
    )


@pytest.mark.parametrize("command", ["ls", "doctor"])
def test_a_certificate_that_is_not_trusted_is_called_that(
    cli: Cli, tmp_path: Path, command: str
) -> None:
    pair = Authority(tmp_path / "pki", "ca").issue("server", "/CN=server", ["127.0.0.1"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"https://127.0.0.1:{server.server_port}"
        path = write_kubeconfig(tmp_path / "k", "{token: t}", address)
        ran = cli(command, "--kubeconfig", path)
        server.shutdown()
    told = ran.out + ran.stderr
    assert ran.code == 5, ran
    assert f"the certificate of {address} is not trusted: unable to get local issuer" in told
    assert "certificate-authority-data" in told
    assert "Is the cluster up" not in told


def test_a_kubeconfig_that_is_not_there(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = cli("ls", "--kubeconfig", "/nope")
    assert (ran.code, ran.errors) == (
        5,
        ["error: no usable Kubernetes credentials: there is no kubeconfig at /nope"],
    )
    monkeypatch.setenv("KUBECONFIG", "/nope:/nor-this")
    assert "there is no kubeconfig at /nope or /nor-this" in cli("ls").stderr
    monkeypatch.setenv("KUBECONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"there is no kubeconfig at {tmp_path}/.kube/config" in cli("ls").stderr


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [OPSTRAND, "explain"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment()
        )
    assert (done.returncode, done.stderr) == (2, "error: [Errno 28] No space left on device\n")
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [OPSTRAND, "explain"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_kubeconfig_that_is_none(cli: Cli, tmp_path: Path) -> None:
    for text in ("", "a: b\n", "[\n", "current-context: c\n"):
        (tmp_path / "kubeconfig").write_text(text)
        ran = cli("ls", "--kubeconfig", tmp_path / "kubeconfig")
        assert ran.code == 5, (text, ran)
        assert len(ran.errors) == 1


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(
        "apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n"
    )
    ran = run_opstrand("ls", "--kubeconfig", tmp_path / "kubeconfig", "--context", "nope")
    assert ran.code == 5
    assert "nope" in ran.errors[0]
