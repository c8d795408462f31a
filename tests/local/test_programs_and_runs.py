"""What a program of a local run requests of other runs over the API is done, and what it reads is
true.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.local.conftest import Run

Job = Callable[..., Path]
RUN = {"kind": "job", "container": {"image": "x", "command": ["sh", "-c", "echo hello"]}}
CHILD = {"kind": "operation", "component": {"run": RUN}}
HEAD = """
import json
from polyaxon.client import RunClient
client = RunClient()
"""
READ = """
client.refresh_data()
data = client.run_data
get = data.get if isinstance(data, dict) else lambda key: getattr(data, key)
print(json.dumps([json.loads(get("content")), json.loads(get("raw_content"))]))
"""
APPROVE = """
client.create(content=json.dumps({content!r}))
client.wait_for_condition(statuses={waiting!r})
client.approve()
client.wait_for_condition()
client.refresh_data()
print(client.status)
"""
RESTART = """
from polyaxon.client import RunClient as Client
client.create(content=json.dumps({content!r}))
client.wait_for_condition()
again = client.restart()
uuid = again["uuid"] if isinstance(again, dict) else again.uuid
client = Client(run_uuid=uuid)
client.wait_for_condition()
client.refresh_data()
print(client.status)
"""


STOP = """
client.create(name="long", content=json.dumps({content!r}))
client.wait_for_condition(statuses=["running"])
client.stop()
print(client.wait_for_condition())
"""
SKIP = """
client.create(name="long", content=json.dumps({content!r}))
client.wait_for_condition(statuses=["created", "on_schedule"])
client.skip()
print(client.wait_for_condition())
"""
DELETE = """
client.create(name="long", content=json.dumps({content!r}))
client.wait_for_condition(statuses=["running"])
client.delete()
try:
    client.refresh_data()
except Exception as error:
    print("gone" if "404" in str(error) or getattr(error, "status", 0) == 404 else repr(error))
"""
LONG = {
    "kind": "operation",
    "component": {"run": {"kind": "job", "container": {"image": "x", "command": ["sleep", "60"]}}},
}


def write(file: Path, **more: Any) -> Path:
    """Write the file for a program beside our own client, as it is put into images without the
    package.
    """
    component = yaml.safe_load(file.read_text())
    component["run"]["container"]["workingDir"] = "{{ globals.artifacts_path }}"
    file.write_text(yaml.safe_dump({**component, **more}))
    return file


@pytest.mark.parametrize("python", ["nothing", "published"])
def test_content_is_the_compiled_operation_and_raw_content_what_was_sent(
    here: Run, job: Job, python: str
) -> None:
    file = write(job(HEAD + READ), inputs=[{"name": "lr", "type": "float", "value": 0.5}])
    ran = here("run", "--local", "-f", file, "-P", "lr=1", "-l", python=python)
    assert ran.code == 0, ran
    content, raw = json.loads(ran.out.splitlines()[-1])
    assert (content["kind"], "component" in content, "params" in content) == (
        "compiled_operation",
        False,
        False,
    )
    assert [(one["name"], one["value"]) for one in content["inputs"]] == [("lr", 1.0)]
    assert content["run"]["container"]["args"] == [HEAD + READ]
    assert raw["params"] == {"lr": {"value": "1"}}
    assert raw["component"] == yaml.safe_load(file.read_text())


@pytest.mark.parametrize(
    ("program", "content", "runs"),
    [
        (APPROVE, {**CHILD, "isApproved": False}, 1),
        (RESTART, CHILD, 2),
    ],
    ids=["approve", "restart"],
)
@pytest.mark.parametrize("python", ["nothing", "published"])
def test_what_a_program_approves_or_restarts_runs(
    here: Run,
    job: Job,
    records: Path,
    program: str,
    content: dict[str, Any],
    runs: int,
    python: str,
) -> None:
    code = HEAD + program.format(content=content, waiting=["created", "on_schedule"])
    ran = here("run", "--local", "-f", write(job(code)), "--name", "parent", "-l", python=python)
    assert (ran.code, ran.out.splitlines()[-1:]) == (0, ["succeeded"]), ran
    made = [
        path.parent.name
        for path in records.glob("default/*/run.json")
        if path.parent.name != "parent"
    ]
    assert [here("logs", "--local", name).out for name in made] == ["hello\n"] * runs


@pytest.mark.parametrize(
    ("program", "content", "said", "left"),
    [
        (STOP, LONG, "stopped", ["Stopped"]),
        (SKIP, {**LONG, "isApproved": False}, "skipped", ["Skipped"]),
        (DELETE, LONG, "gone", []),
    ],
    ids=["stop", "skip", "delete"],
)
def test_what_a_program_asks_of_another_run_is_done(
    here: Run,
    job: Job,
    records: Path,
    program: str,
    content: dict[str, Any],
    said: str,
    left: list[str],
) -> None:
    ran = here(
        "run",
        "--local",
        "-f",
        write(job(HEAD + program.format(content=content))),
        "--name",
        "parent",
        "-l",
    )
    assert (ran.code, ran.out.splitlines()[-1:]) == (0, [said]), ran
    found = [
        json.loads(path.read_text())["status"]["phase"]
        for path in records.glob("default/long-*/run.json")
    ]
    assert found == left
