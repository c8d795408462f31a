"""The documented lines of the published command line and client, end to end."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from opstrand.api.submission import parse_submission
from opstrand.client.shim_files import shim_files
from opstrand.runs.bodies import run_uuid
from tests.conformance_client.conftest import Api, Published

PROJECT = ("-p", "quick-start")
ECHO = """
version: 1.1
kind: component
inputs:
- name: message
  type: str
  isOptional: true
  value: "Default message"
run:
  kind: job
  init:
    - file:
        content: |
          {program}
        filename: echo.py
  container:
    image: polyaxon/polyaxon-quick-start
    workingDir: "{{{{ globals.artifacts_path }}}}"
    command: [python3, -u, echo.py]
"""
CLIENT = (
    "from polyaxon.client import RunClient\n\nclient = "
    "RunClient()\nclient.refresh_data()\nprint(client.get_inputs())\n"
)
TRACKING = (
    "from polyaxon import tracking\n\ntracking.init()\nprint(tracking.TRACKING_RUN.get_inputs())\n"
)


@pytest.fixture
def echo(tmp_path: Path) -> str:
    file = tmp_path / "echo.yaml"
    file.write_text(ECHO.format(program="print(1)"))
    return str(file)


def started(api: Api) -> str:
    """Return the uuid of a run that this test makes; the command line takes two seconds for it."""
    content = ECHO.format(program="print(1)").replace("Default message", "test 1")
    body = parse_submission(content).body
    return run_uuid(api.do(api.runs.create("quick-start", body)))


def finished(api: Api, uuid: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status: dict[str, Any] = api.do(api.runs.get("quick-start", uuid)).get("status") or {}
        if status.get("phase") == "Succeeded":
            return status
        time.sleep(0.05)
    raise AssertionError("it never ended")


@pytest.mark.alone
def test_run_shows_the_log_and_returns_soon_after_the_end(
    api: Api, published: Published, echo: str
) -> None:
    ended = published("polyaxon", "run", *PROJECT, "-f", echo, "-P", "message=test 1", "-l")
    assert ended.returncode == 0, ended.stderr
    assert re.findall(r"\| (line .*)", ended.stdout) == ["line 0 {'message': 'test 1'}"]
    # The command's own end takes part of this time; a log that is held back is held for three
    # seconds.
    assert time.monotonic() - api.runs.ended_at < 2.5


@pytest.mark.parametrize("breaks", [False, True], ids=["quiet", "breaking"])
def test_a_growing_log_is_followed_without_loss_or_repetition(
    api: Api, published: Published, echo: str, breaks: bool
) -> None:
    api.runs.lines, api.runs.seconds, api.runs.log_breaks = 500, 8.0 if breaks else 4.0, breaks
    ended = published("polyaxon", "run", *PROJECT, "-f", echo, "-l")
    assert [int(number) for number in re.findall(r"\| line (\d+) ", ended.stdout)] == list(
        range(500)
    )


def test_what_cannot_run_is_refused_with_a_message(
    api: Api, published: Published, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "version: 1.1\nkind: component\nrun: {kind: job, container: {image: a, workingDirectory: "
        "b}}\n"
    )
    ended = published("polyaxon", "run", *PROJECT, "-f", str(file))
    assert ended.returncode != 0
    assert api.runs.bodies == {}


def test_the_list_and_one_run(api: Api, published: Published) -> None:
    uuid = started(api)
    finished(api, uuid)
    listed = published("polyaxon", "ops", "ls", *PROJECT)
    shown = published("polyaxon", "ops", "get", *PROJECT, "-uid", uuid)
    statuses = published("polyaxon", "ops", "statuses", *PROJECT, "-uid", uuid)
    logs = published("polyaxon", "ops", "logs", *PROJECT, "-uid", uuid)
    assert uuid in listed.stdout, listed.stderr
    assert "quick-start" in shown.stdout, shown.stderr
    assert re.findall(r"│ (\w+) +│ True", statuses.stdout) == [
        "created",
        "starting",
        "running",
        "succeeded",
    ]
    [header] = re.findall(r"┃ TYPE .*", statuses.stdout)
    assert header.replace("┃", "").split() == [
        "TYPE",
        "STATUS",
        "REASON",
        "MESSAGE",
        "LAST_UPDATE_TIME",
        "LAST_TRANSITION_TIME",
    ]
    assert "line 0 {'message': 'test 1'}" in logs.stdout, logs.stderr


READ = """
from polyaxon.client import RunClient
from polyaxon._polyaxonfile.specs import CompiledOperationSpecification, OperationSpecification

client = RunClient()
client.refresh_data()
compiled = CompiledOperationSpecification.read(client.run_data.content)
sent = OperationSpecification.read(client.run_data.raw_content)
print([(io.name, io.value, io.is_optional) for io in compiled.inputs], [(io.name, io.value, io.to_env) for io in compiled.contexts])
print(compiled.run.container.image, compiled.run.container.resources, compiled.get_resolved_mount(), compiled.tags, compiled.cost)
print({name: param.value for name, param in sent.params.items()}, sent.component.run.container.image)
"""


def test_what_a_run_compiles_to_is_read_by_the_published_client(
    api: Api, published: Published, tmp_path: Path
) -> None:
    operation = {
        "version": 1.1,
        "kind": "operation",
        "template": {"enabled": False},
        "tags": ["a"],
        "cost": 2,
        "params": {
            "message": {"value": "test 1"},
            "extra": {"value": 3, "contextOnly": True, "toEnv": "EXTRA"},
        },
        "runPatch": {"container": {"resources": {"limits": {"cpu": 1}}}},
        "component": yaml.safe_load(ECHO.format(program="print(1)")),
    }
    uuid = run_uuid(
        api.do(api.runs.create("quick-start", parse_submission(json.dumps(operation)).body))
    )
    finished(api, uuid)
    ended = published("python", "-c", READ, env=api.environment(uuid, tmp_path / "context"))
    image = "polyaxon/polyaxon-quick-start"
    assert ended.stdout.splitlines() == [
        "[('message', 'test 1', True)] [('extra', 3, 'EXTRA')]",
        f"{image} {{'limits': {{'cpu': 1}}}} [] ['a'] 2.0",
        f"{{'message': 'test 1', 'extra': 3}} {image}",
    ], ended.stderr


def test_stop_reaches_the_spec(api: Api, published: Published) -> None:
    api.runs.seconds = 30.0
    uuid = started(api)
    ended = published("polyaxon", "ops", "stop", *PROJECT, "-uid", uuid, "-y")
    assert ended.returncode == 0, ended.stderr
    assert api.do(api.runs.get("quick-start", uuid))["spec"]["control"] == {"stop": True}


@pytest.mark.parametrize("program", [CLIENT, TRACKING], ids=["client", "tracking"])
def test_the_documented_programs_in_a_pod(
    api: Api, published: Published, tmp_path: Path, program: str
) -> None:
    uuid = started(api)
    finished(api, uuid)
    ended = published("python", "-c", program, env=api.environment(uuid, tmp_path / "context"))
    assert (ended.stdout, ended.returncode) == ("{'message': 'test 1'}\n", 0), ended.stderr


def test_the_import_shim_steps_aside_for_the_published_package(
    api: Api, published: Published, tmp_path: Path
) -> None:
    for name, content in shim_files().items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (tmp_path / "echo.py").write_text(
        "from polyaxon import tracking\nfrom polyaxon.client import "
        "RunClient\nprint(RunClient.__module__)\n"
    )
    ended = published("python", "echo.py")
    assert (ended.stdout, ended.returncode) == ("polyaxon._client.run\n", 0), ended.stderr


REPORTS = """
from polyaxon import tracking
tracking.init()
tracking.log_outputs(acc=0.9, nothing=None)
tracking.log_tags(["a", "b"])
tracking.log_metric("loss", 0.25, step=1)
tracking.log_artifact_ref(tracking.get_outputs_path("model.pt"), "model", is_input=False)
tracking.end()
run = tracking.TRACKING_RUN
run.refresh_data(load_conditions=True, load_artifacts_lineage=True)
print(sorted(run.artifacts_lineage), run.get_outputs(), run.run_data.tags)
"""


def test_reports_of_the_published_client_are_stored(
    api: Api, published: Published, tmp_path: Path
) -> None:
    uuid = started(api)
    finished(api, uuid)
    ended = published("python", "-c", REPORTS, env=api.environment(uuid, tmp_path / "context"))
    assert ended.returncode == 0, ended.stderr
    status = api.do(api.runs.get("quick-start", uuid))["status"]
    assert status["outputs"].items() >= {"acc": 0.9, "nothing": None}.items()
    assert status["tags"] == ["a", "b"]
    assert {item["name"] for item in status["artifacts"]} == {"env", "model"}
    assert "['env', 'model']" in ended.stdout
