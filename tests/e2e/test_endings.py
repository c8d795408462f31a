"""How real containers end, and the message that a user gets."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from opstrand.kube.resources import OPERATIONS
from tests.e2e.conftest import (
    describe,
    in_phase,
    is_final,
    kubectl,
    main_log,
    operation,
    opstrand,
    script,
    succeed,
    wait_for,
)

PLAIN = "localhost/python-base:1"


async def test_a_stop_lets_the_program_say_goodbye_and_keeps_its_log(
    kube: KubeApi, namespace: str
) -> None:
    source = """
import signal, sys, time
def goodbye(*_):
    print("goodbye")
    sys.exit(0)
signal.signal(signal.SIGTERM, goodbye)
print("hello")
time.sleep(120)
"""
    await kube.create(
        OPERATIONS, namespace, operation("long", {"component": script(source, PLAIN)})
    )
    body = await wait_for(kube, namespace, "long", in_phase("Running"))
    for _ in range(50):
        if "hello" in main_log(namespace, body):
            break
        await asyncio.sleep(0.2)
    done = await asyncio.to_thread(opstrand, "stop", "long", "-p", namespace)
    assert done.returncode == 0, done.stderr
    body = await wait_for(kube, namespace, "long", is_final)
    assert body["status"]["phase"] == "Stopped"
    assert main_log(namespace, body) == "hello\ngoodbye\n"


async def test_the_command_line_exits_with_the_runs_result(
    namespace: str, kube: KubeApi, tmp_path: Any
) -> None:
    del kube
    file = tmp_path / "fail.yaml"
    file.write_text(
        f"run: {{kind: job, container: {{image: '{PLAIN}', command: [python3, -c, 'print(1); raise "
        f"SystemExit(4)']}}}}\n"
    )
    done = await asyncio.to_thread(opstrand, "run", "-f", str(file), "-l", "-p", namespace)
    assert (done.returncode, done.stdout) == (1, "1\n"), done.stderr
    assert "exit code 4" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_run_with_every_size_budget_full_still_succeeds(
    kube: KubeApi, namespace: str
) -> None:
    kib = 1024
    source = """
from polyaxon.client import RunClient
client = RunClient()
client.refresh_data()
client.log_outputs(big="o" * (255 * 1024))
"""
    component = script(source, PLAIN, inputs=[{"name": "big", "type": "str"}])
    component["run"]["init"].append(
        {"file": {"filename": "ballast.txt", "content": "0123456789abcde\n" * (500 * kib // 16)}}
    )
    await kube.create(
        OPERATIONS,
        namespace,
        operation(
            "full", {"params": {"big": {"value": "i" * (255 * kib)}}, "component": component}
        ),
    )
    body = await succeed(kube, namespace, "full")
    assert len(body["status"]["outputs"]["big"]) == 255 * kib


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        (
            {"component": script("", PLAIN), "params": {"x": {"valeu": 1, "value": 2}}},
            "UnknownField",
            "value",
        ),
        (
            {
                "component": {
                    "run": {"kind": "job", "container": {"image": PLAIN, "command": ["{{ nmae }}"]}}
                }
            },
            "TemplateError",
            "nmae",
        ),
        (
            {
                "component": {
                    "run": {
                        "kind": "job",
                        "init": [{"file": {"content": "x" * 600_000}}],
                        "container": {"image": PLAIN},
                    }
                }
            },
            "TooLarge",
            "512",
        ),
        (
            {"component": {"run": {"kind": "mpijob", "launcher": {"container": {"image": PLAIN}}}}},
            "NotSupported",
            "mpijob",
        ),
    ],
)
async def test_bad_input_ends_within_one_reconcile(
    kube: KubeApi, namespace: str, spec: dict[str, Any], reason: str, words: str
) -> None:
    await kube.create(OPERATIONS, namespace, operation("bad", spec))
    body = await wait_for(kube, namespace, "bad", is_final)
    assert (body["status"]["phase"], body["status"]["reason"]) == ("Failed", reason), describe(
        namespace, body
    )
    assert words in body["status"]["message"]


def test_a_namespace_that_is_not_there(kube: KubeApi) -> None:
    del kube
    done: subprocess.CompletedProcess[str] = opstrand(
        "run", "-f", "tests/samples/echo.yaml", "-p", "no-such-place"
    )
    assert done.returncode == 4
    assert "no-such-place" in done.stderr
    assert kubectl("get", "namespace", "no-such-place", check=False).returncode == 1
