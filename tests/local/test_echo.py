"""The echo programs without a cluster print exactly what Python prints for that dictionary, with
the published package and without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.local.conftest import Run
from tests.support.command_line import SAMPLES, run_opstrand

MESSAGES = ["test 1", "test 2", None, 'it\'s "quoted" $(HOME) $$ \n ünïcode']
FILES = ["echo.yaml", "echo-tracking.yaml"]
UID = "4f0c1a2b-4f0c-1a2b-4f0c-1a2b4f0c1a2b"


def given(message: str | None) -> list[str]:
    return [] if message is None else ["-P", f"message={message}"]


def expected(message: str | None) -> bytes:
    return f"{ {'message': 'Default message' if message is None else message} }\n".encode()


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("file", FILES)
def test_echo_with_our_client(here: Run, file: str, message: str | None) -> None:
    ran = here("run", "--local", "-f", SAMPLES / file, *given(message), "-l")
    assert (ran.code, ran.stdout) == (0, expected(message)), ran


@pytest.mark.parametrize(("file", "message"), [(FILES[0], MESSAGES[3]), (FILES[1], MESSAGES[0])])
def test_echo_with_the_published_package(here: Run, file: str, message: str | None) -> None:
    ran = here("run", "--local", "-f", SAMPLES / file, *given(message), "-l", python="published")
    assert (ran.code, ran.stdout) == (0, expected(message)), ran


def test_the_published_package_wins_over_ours(here: Run, job: Callable[..., Path]) -> None:
    file = job("import polyaxon.client; print(polyaxon.client.__file__)")
    assert (
        "site-packages/polyaxon" in here("run", "--local", "-f", file, "-l", python="published").out
    )


@pytest.mark.parametrize("message", MESSAGES)
def test_the_plan_is_the_one_that_render_shows(
    here: Run, records: Path, message: str | None
) -> None:
    """They are equal byte for byte, and the digest is the Pod's."""
    identity = ["--uuid", UID, "--name", "echo", "--project", "quick-start"]
    rendered = run_opstrand(
        "render",
        "-f",
        SAMPLES / "echo.yaml",
        *given(message),
        *identity,
        "--stage",
        "plan",
        "-o",
        "json",
    )
    assert here("run", "--local", "-f", SAMPLES / "echo.yaml", *given(message), *identity).code == 0
    plan = (records / "quick-start" / "echo" / "plan.json").read_bytes()
    assert rendered.stdout == plan + b"\n"
    pod = run_opstrand(
        "render", "-f", SAMPLES / "echo.yaml", *given(message), *identity, "-o", "json"
    )
    assert (
        json.loads(pod.out)["metadata"]["annotations"]["opstrand.dev/plan-digest"]
        == hashlib.sha256(plan).hexdigest()
    )


def test_what_no_cluster_keeps_is_not_kept_here_either(here: Run) -> None:
    """The same file prints the same in both: a test with a real API server compares its plan with
    `render`'s.
    """
    file = SAMPLES / "orders.yaml"
    rendered = run_opstrand(
        "render", "-f", file, "-P", "aaa=1", "--name", "echo", "--stage", "plan", "-o", "json"
    )
    command = json.loads(rendered.out)["container"]["command"]
    assert command[2:] == ["{'a': 2, 'b': 1}", "3", "{'x': {'c': 0.5, 'd': 2}, 'y': 1}", "4"]
    assert (
        here("run", "--local", "-f", file, "-P", "aaa=1", "-l").out == f"{' '.join(command[1:])}\n"
    )


def test_what_is_left_out_is_said_once_and_stdout_is_the_program_s_alone(here: Run) -> None:
    ran = here("run", "--local", "-f", SAMPLES / "echo.yaml", "-P", "message=a", "-l")
    assert [line for line in ran.stderr.splitlines() if "left out" in line] == [
        "--local runs a process: image left out"
    ]
    assert "Succeeded" in ran.stderr
