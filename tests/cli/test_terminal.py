"""Text that other users wrote, at a terminal and in a pipe: it controls nothing, and colours
nothing.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import termios
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Cli
from tests.support.command_line import OPSTRAND, environment, run_opstrand

from opstrand.cli.output.console import say, show
from opstrand.text import CONTROLS

HOSTILE = "\x1b]0;t\x07\x1b[2J\x1b[31m\u202e\u2066\u2028\x9b31m[red]x\x7f\r"
FAKE = "x\nerror: fake"
_SGR = re.compile(r"\x1b\[[0-9;]*m")
JOB = {
    "kind": "component",
    "run": {"kind": "job", "container": {"image": "python", "command": ["true"]}},
}


def at_a_terminal(*arguments: str, cwd: Path, width: int = 0, **more: str) -> str:
    """Return everything that a command writes to a pseudo-terminal; 0: it says no width."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    env = environment(TERM="xterm", OPSTRAND_LOCAL=str(cwd / "records"), **more)
    process = subprocess.Popen(
        [OPSTRAND, *arguments],
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        env=env,
        cwd=cwd,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    process.wait(60)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def record(folder: Path) -> None:
    """Write a local run all of whose texts are hostile."""
    where = folder / "records" / "default" / "bad"
    where.mkdir(parents=True)
    status = {
        "phase": "Failed",
        "reason": "ContainerFailed",
        "message": f"m{HOSTILE}\nerror: second line",
        "tags": [f"t{HOSTILE}", FAKE],
        "description": f"d{HOSTILE}",
        "inputs": {f"i{HOSTILE}": HOSTILE, FAKE: FAKE},
        "outputs": {"o": HOSTILE},
        "artifacts": [{"name": f"a{HOSTILE}", "kind": FAKE, "path": HOSTILE}],
        "upstream": [
            {
                "uuid": "1" * 32,
                "name": f"u{HOSTILE}",
                "kind": "run",
                "values": {f"v{HOSTILE}": FAKE},
            }
        ],
        "history": [
            {
                "status": "failed",
                "reason": HOSTILE,
                "message": HOSTILE,
                "at": "2026-01-01T00:00:00Z",
            }
        ],
        "conditions": [],
    }
    metadata = {"name": "bad", "namespace": "default", "uid": "0" * 32}
    body = {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": metadata,
        "spec": {"component": JOB},
        "status": status,
    }
    (where / "run.json").write_text(json.dumps(body))


COMMANDS = [
    ("get", "bad", "--local"),
    ("get", "bad", "--local", "-o", "json"),
    ("get", "bad", "--local", "-o", "yaml"),
    ("get", "bad", "--local", "--explain"),
    ("ls", "--local"),
    ("ls", "--local", "-o", "wide"),
    ("ls", "--local", "-o", "yaml"),
    ("lineage", "bad", "--local"),
    ("lineage", "bad", "--local", "-o", "json"),
    ("lineage", "bad", "--local", "-o", "dot"),
    ("check", "bad.yaml"),
    ("check", "bad.yaml", "-o", "json"),
    ("check", "-f", "job.yaml", "-P", f"{HOSTILE}=1"),
    ("check", f"no{HOSTILE}"),
    ("run", "-f", "bad.yaml"),
    ("render", "-f", "job.yaml"),
    ("render", "-f", "job.yaml", "--stage", "operation"),
    ("render", "-f", "job.yaml", "--stage", "operation", "-o", "json"),
    ("explain", HOSTILE),
    (HOSTILE,),
    ("ls", f"--{HOSTILE}"),
    ("get", HOSTILE, "--local"),
    ("run", "--local", "-f", "job.yaml", "-l"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bad = {**JOB, f"k{HOSTILE}": 1, FAKE: 2, "inputs": [{"name": "a", "type": f"t{HOSTILE}"}]}
    (tmp_path / "bad.yaml").write_text(json.dumps(bad))
    job = {
        **JOB,
        "tags": [HOSTILE, FAKE],
        "description": HOSTILE,
        "inputs": [{"name": "a", "type": "str", "value": HOSTILE}],
    }
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    record(tmp_path)
    return tmp_path


def test_what_others_wrote_drives_nothing(
    folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSTRAND_LOCAL", str(folder / "records"))
    for command in COMMANDS:
        ran = cli(*command)
        assert (command, CONTROLS.findall(ran.out + ran.stderr)) == (command, [])
        assert "\nerror: fake" not in "\n" + ran.out + ran.stderr, command


@pytest.mark.parametrize(
    "command",
    [COMMANDS[0], COMMANDS[4], ("check", "bad.yaml"), ("run", "--local", "-f", "job.yaml", "-l")],
)
def test_a_terminal_gets_no_more_than_our_colours(folder: Path, command: tuple[str, ...]) -> None:
    shown = _SGR.sub("", at_a_terminal(*command, cwd=folder).replace("\r\x1b[K", ""))
    assert CONTROLS.findall(shown) == []


def test_data_means_what_it_meant(folder: Path) -> None:
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        ran = run_opstrand(
            "get",
            "bad",
            "--local",
            "-o",
            output,
            cwd=folder,
            env={"OPSTRAND_LOCAL": str(folder / "records")},
        )
        assert read(ran.out)["status"]["tags"] == [f"t{HOSTILE}", FAKE]


def test_a_log_is_whole_in_a_pipe_and_has_only_its_colours_at_a_terminal(folder: Path) -> None:
    written = f"\x1b[31mred\x1b[0m{HOSTILE}\n".encode()
    container = {
        "image": "python",
        "command": [
            "python3",
            "-c",
            f"import sys; sys.stdout.buffer.write(bytes({list(written)}))",
        ],
    }
    (folder / "loud.yaml").write_text(
        json.dumps({"kind": "component", "run": {"kind": "job", "container": container}})
    )
    env = {"OPSTRAND_LOCAL": str(folder / "records")}
    assert (
        run_opstrand(
            "run", "--local", "-f", "loud.yaml", "--name", "loud", cwd=folder, env=env
        ).code
        == 0
    )
    assert run_opstrand("logs", "loud", "--local", cwd=folder, env=env).stdout == written
    shown = at_a_terminal("logs", "loud", "--local", cwd=folder)
    assert shown.startswith("\x1b[31mred\x1b[0m")
    assert not re.search(r"\x1b[^\[]|\x1b\[[0-9;]*[^0-9;m]|[\x07\x7f-\x9f]", shown)


def test_a_line_for_a_person_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\nb\x1b[31m")
    show("a\nb\x1b[31m")
    out, err = capsys.readouterr()
    assert (out, err) == ("a\nb\\x1b[31m\n", "a\\nb\\x1b[31m\n")


LONG = {
    "name": "train-with-a-long-name-7bfcc",
    "status": {
        "phase": "UpstreamFailed",
        "kind": "pipeline",
        "reason": "ContainerCannotRun",
        "message": "the image registry answered: " + "no such tag " * 30,
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T09:09:00Z",
        "duration": 32940,
        "history": [
            {
                "status": "upstream_failed",
                "reason": "ContainerCannotRun",
                "message": "it took many words to say why it could not run " * 2,
                "at": "2026-01-01T00:00:00Z",
            }
        ],
        "artifacts": [{"name": "model" * 6, "kind": "model", "path": "/plx-context/" + "a/" * 40}],
    },
}


def record_long(folder: Path) -> None:
    where = folder / "records" / "default" / LONG["name"]
    where.mkdir(parents=True)
    metadata = {"name": LONG["name"], "namespace": "default", "uid": "0" * 32}
    body = {"apiVersion": "opstrand.dev/v1", "kind": "Operation", "metadata": metadata}
    body |= {"spec": {"component": JOB}, "status": LONG["status"]}
    (where / "run.json").write_text(json.dumps(body))


def columns_at(width: int, *arguments: str, cwd: Path) -> list[str]:
    """The lines that a command shows on a terminal of this width, without colours."""
    shown = at_a_terminal(*arguments, cwd=cwd, width=width)
    return _SGR.sub("", shown).splitlines()


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (60, ["NAME", "PHASE", "REASON"]),
        (90, ["NAME", "KIND", "PHASE", "REASON", "STARTED", "DURATION"]),
        (120, ["NAME", "KIND", "PHASE", "REASON", "STARTED", "DURATION", "MESSAGE"]),
    ],
)
def test_the_runs_fit_into_the_terminal(tmp_path: Path, width: int, heads: list[str]) -> None:
    record_long(tmp_path)
    head, row = columns_at(width, "ls", "--local", cwd=tmp_path)
    assert head.split() == heads
    assert max(len(head), len(row)) <= width
    # What other commands take is there as a whole.
    assert row.split()[0] == LONG["name"]
    assert "…" in row


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize(
    "arguments", [("get", "train", "--local"), ("explain", "run"), ("explain", "plugins")]
)
def test_rows_of_tables_do_not_break(
    tmp_path: Path, width: int, arguments: tuple[str, ...]
) -> None:
    record_long(tmp_path)
    lines = columns_at(width, *arguments, cwd=tmp_path)
    heads = ("  TIME", "  NAME", "FIELD")
    start = next(i for i, line in enumerate(lines) if line.startswith(heads))
    assert [line for line in lines[start:] if len(line) > width] == []
    if arguments[0] == "get":
        words = " ".join(" ".join(lines[start:]).split())
        assert "it took many" in words, "the message is continued in lines, and not cut"


def test_a_pipe_gets_every_table_as_a_whole(tmp_path: Path) -> None:
    record_long(tmp_path)
    ran = run_opstrand("ls", "--local", env={"OPSTRAND_LOCAL": str(tmp_path / "records")})
    head, row = ran.out.splitlines()
    assert head.split()[-1] == "MESSAGE"
    assert "ContainerCannotRun" in row
    assert "no such tag no such tag" in row
