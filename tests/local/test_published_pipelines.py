"""Pipelines, matrices and schedules through the published client and command line, unmodified.

The programs of one local run create them, so that the real operator executes them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from tests.local.conftest import Run

TRAIN = (
    "from polyaxon import tracking\n"
    "tracking.init()\n"
    "rate = tracking.TRACKING_RUN.get_inputs()['rate']\n"
    "tracking.log_outputs(loss=rate * rate)\n"
    "print('rate', rate, flush=True)\n"
)


def train(**more: Any) -> dict[str, Any]:
    return {
        "kind": "component",
        "inputs": [{"name": "rate", "type": "float"}],
        "outputs": [{"name": "loss", "type": "float"}],
        "run": {
            "kind": "job",
            "container": {"image": "python", "command": [sys.executable, "-uc", TRAIN]},
        },
        **more,
    }


def op(name: str, rate: float) -> dict[str, Any]:
    return {"name": name, "dagRef": "train", "params": {"rate": {"value": rate}}}


#: Reads from its siblings, which a query finds by the uuid of their pipeline.
COMPARE = {
    "name": "compare",
    "dependencies": ["slow", "quick"],
    "params": {"pipeline": {"ref": "dag", "value": "globals.uuid", "contextOnly": True}},
    "joins": [
        {
            "query": "pipeline: {{ pipeline }}, name: slow|quick, status: succeeded",
            "sort": "metrics.loss",
            "params": {"rates": {"value": "inputs.rate"}, "names": {"value": "globals.name"}},
        }
    ],
    "component": {
        "inputs": [
            {"name": "rates", "type": "float", "isList": True},
            {"name": "names", "type": "str", "isList": True},
        ],
        "run": {
            "kind": "job",
            "container": {"image": "python", "command": ["echo", "{{ names }} {{ rates }}"]},
        },
    },
}
FLOW = {
    "kind": "component",
    "name": "flow",
    "run": {
        "kind": "dag",
        "components": [train(name="train")],
        "operations": [op("slow", 0.5), op("quick", 0.25), COMPARE],
    },
}
LONG = {
    "kind": "component",
    "run": {
        "kind": "dag",
        "operations": [
            {
                "name": "wait",
                "component": {
                    "run": {
                        "kind": "job",
                        "container": {"image": "python", "command": ["sleep", "600"]},
                    }
                },
            },
            {**op("after", 1.0), "dependencies": ["wait"]},
        ],
        "components": [train(name="train")],
    },
}
#: A person at a terminal: only the address of the API is theirs.
PERSON = """
import json, os, re, subprocess, sys, time
for name in ("POLYAXON_RUN_INSTANCE", "POLYAXON_IS_MANAGED"):
    os.environ.pop(name, None)
os.environ |= {"COLUMNS": "300", "POLYAXON_NO_COLOR": "1"}
from polyaxon.client import RunClient

def polyaxon(*words):
    done = subprocess.run(["polyaxon", *words, "-p", "default"], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout

def run_of(uuid):
    return RunClient(owner="default", project="default", run_uuid=uuid)

def tell(name, value):
    print(name, json.dumps(value), flush=True)

def uuid_in(text):
    return re.search("@([0-9a-f]{32})", text)[1]

def until(check):
    for _ in range(600):
        if check():
            return
        time.sleep(0.1)
    raise SystemExit("it never came")
"""
FLOWING = """
said = polyaxon("run", "-f", sys.argv[1], "-l")
tell("log", re.findall(r"\\| (\\[.*)", said))
uuid = uuid_in(said)
listed = polyaxon("ops", "ls", "-q", f"pipeline: {uuid}")
tell("listed", re.findall(r"│ [0-9a-f]{32} │ (\\S+)", listed))
found = run_of(uuid).list_children(sort="name").results
facts = lambda one: [one.name, one.status, one.kind, one.pipeline.uuid == uuid, one.pipeline.kind]
tell("children", list(map(facts, found)))
status, conditions = run_of(uuid).get_statuses()
tell("statuses", [status, [one.type for one in conditions]])
child = polyaxon("ops", "get", "-uid", found[0].uuid)
tell("shown", "compare" in child)
for query in ("kind: dag", "controller: " + uuid, "pipeline: nil, uuid: " + uuid):
    tell(query.partition(":")[0], len(run_of(uuid).list(query=query).results))
tell("again", [line.value for line in run_of(uuid).get_logs().logs])
"""
STOPPING = """
pipeline = run_of(None)
pipeline.create(content=open(sys.argv[1]).read())
children = lambda: pipeline.list_children().results
until(lambda: [one.status for one in children()] == ["running"])
pipeline.stop()
until(lambda: pipeline.get_statuses()[0] == "stopped")
tell("stopped", [[one.name, one.status] for one in children()])
pipeline.delete()
until(lambda: not children())
tell("deleted", True)
"""
SEARCHING = """
said = polyaxon("run", "-f", sys.argv[1], "-HP", "rate=choice:[0.5,0.25,0.125]", "-l")
tell("log", sorted(re.findall(r"\\| (\\[.*)", said)))
matrix = run_of(uuid_in(said))
matrix.refresh_data()
tell("matrix", [matrix.run_data.kind, matrix.run_data.runtime, matrix.status])
found = matrix.list_children(sort="metrics.loss").results
facts = lambda one: [one.meta_info["iteration"], one.pipeline.kind, one.inputs, one.outputs]
tell("children", list(map(facts, found)))
"""

TICKING = """
said = polyaxon("run", "-f", sys.argv[1], "-l")
uuid = uuid_in(said)
parent = run_of(uuid)
parent.refresh_data()
tell("schedule", [parent.run_data.kind, parent.run_data.runtime, parent.status])
listed = polyaxon("ops", "ls", "-q", f"pipeline: {uuid}")
tell("listed", len(re.findall(r"│ [0-9a-f]{32} │", listed)))
found = parent.list_children(sort="created_at").results
facts = lambda one: [one.status, one.kind, one.pipeline.uuid == uuid, one.pipeline.kind]
tell("children", list(map(facts, found)))
times = [run_of(one.uuid) for one in found]
for one in times:
    one.refresh_data()
tell("due", [str(one.run_data.schedule_at) for one in times])
tell("log", [line.value for line in parent.get_logs().logs])
tell("shown", "schedule" in polyaxon("ops", "get", "-uid", uuid))
"""

Job = Callable[..., Path]


def told(here: Run, job: Job, tmp_path: Path, program: str, file: dict[str, Any]) -> dict[str, Any]:
    """Run the program as a local run with the published package; return what it told."""
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump(file))
    code = PERSON + program.replace("sys.argv[1]", repr(str(path)))
    ran = here("run", "--local", "-f", job(code, name="person"), "-l", python="published")
    assert ran.code == 0, ran.out + ran.err
    lines = re.findall(r"^(\w+) (.*)$", ran.out, re.MULTILINE)
    return {name: json.loads(value) for name, value in lines if name != "rate"}


def test_a_pipeline_is_run_followed_and_listed(here: Run, job: Job, tmp_path: Path) -> None:
    found = told(here, job, tmp_path, FLOWING, FLOW)
    assert sorted(found["log"][:2]) == ["[quick] rate 0.25", "[slow] rate 0.5"]
    assert found["log"][2:] == ["[compare] ['quick', 'slow'] [0.25, 0.5]"]
    assert sorted(found["again"]) == sorted(found["log"])
    assert sorted(found["listed"]) == ["compare", "quick", "slow"]
    names = ("compare", "quick", "slow")
    assert found["children"] == [[name, "succeeded", "job", True, "dag"] for name in names]
    assert found["statuses"][0] == "succeeded"
    assert found["statuses"][1][0] == "created"
    assert found["statuses"][1][-2:] == ["running", "succeeded"]
    assert found["shown"] is True
    assert (found["kind"], found["controller"], found["pipeline"]) == (1, 3, 1)


def test_a_pipeline_is_stopped_and_deleted_with_its_runs(
    here: Run, job: Job, tmp_path: Path
) -> None:
    found = told(here, job, tmp_path, STOPPING, LONG)
    assert found == {"stopped": [["wait", "stopped"]], "deleted": True}


def test_a_parameter_of_the_command_line_makes_a_matrix(
    here: Run, job: Job, tmp_path: Path
) -> None:
    found = told(here, job, tmp_path, SEARCHING, train())
    assert found["log"] == ["[0] rate 0.5", "[1] rate 0.25", "[2] rate 0.125"]
    assert found["matrix"] == ["matrix", "grid", "succeeded"]
    assert [one[0] for one in found["children"]] == [2, 1, 0]
    assert found["children"][0] == [2, "matrix", {"rate": 0.125}, {"loss": 0.015625}]


def test_a_schedule_is_run_followed_and_listed(here: Run, job: Job, tmp_path: Path) -> None:
    container = {"image": "python", "command": ["echo", "due {{ globals.schedule_at }}"]}
    file = {
        "kind": "operation",
        "schedule": {"kind": "interval", "frequency": 1, "maxRuns": 2},
        "component": {"run": {"kind": "job", "container": container}},
    }
    found = told(here, job, tmp_path, TICKING, file)
    assert found["schedule"] == ["schedule", "interval", "succeeded"]
    assert found["listed"] == 2
    assert found["children"] == [["succeeded", "job", True, "schedule"]] * 2
    moments = sorted(re.findall(r"due (\S+)", " ".join(found["log"])))
    assert sorted(datetime.fromisoformat(one) for one in found["due"]) == [
        datetime.fromisoformat(one) for one in moments
    ]
    assert found["shown"] is True
