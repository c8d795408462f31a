"""A program that logs every kind of event leaves the same files, lineage and marks behind with both
clients, and the API serves them the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from opstrand.api.submission import parse_submission
from opstrand.client.shim_files import shim_files
from opstrand.runs.bodies import run_uuid
from tests.conformance_client.conftest import Api, Published
from tests.support.loopback_api import TOKEN

PROGRAM = """
import os
from polyaxon import tracking

class Table:
    def to_csv(self, place):
        open(place, "w").write(",a\\n0,1\\n")
    def to_html(self, place):
        open(place, "w").write("<table>")

class Chart:
    def to_dict(self):
        return {"mark": "bar"}

for name in ("cat.png", "a.mp4", "b.wav", "m.tar.gz"):
    open(name, "w").write(name)
os.makedirs("folder/sub", exist_ok=True)
open("folder/sub/x.bin", "w").write("x")

tracking.init(collect_artifacts=True, collect_resources=False, track_env=False)
run, at = tracking.TRACKING_RUN, "2026-01-01T00:00:00+00:00"
run.log_metric("loss", 0.5, step=1, timestamp=at)
run.log_metrics(step=2, timestamp=at, loss=float("inf"), acc=0.1)
run.log_metric("a b/c.d", float("nan"), timestamp=at)
run.log_text("note", "a|b\\nü", step=1, timestamp=at)
run.log_html("page", "<p>", timestamp=at)
run.log_image("cat.png", step=3, timestamp=at)
run.log_image("cat.png", "x y", timestamp=at)
run.log_video("a.mp4", timestamp=at)
run.log_audio("b.wav", timestamp=at, content_type="audio/wav")
run.log_roc_auc_curve("roc", [0.0, 1], [0.5, 1], auc=0.5, step=1, timestamp=at)
run.log_pr_curve("pr", [0.0, 1], [0.5, 1], step=1, timestamp=at)
run.log_curve("line", [0.0, 1], [0.5, 1], annotation="i", step=1, timestamp=at)
run.log_confusion_matrix("matrix", ["a", "b"], ["a", "ü"], [[1, 2], [3, 4.5]], timestamp=at)
run.log_np_histogram("counts", [1, 2], [0, 1, 2], step=1, timestamp=at)
run.log_dataframe(Table(), "table", "html", step=2, timestamp=at)
run.log_altair_chart("chart", Chart(), timestamp=at)
run.log_model("m.tar.gz", step=1, framework="f", summary={"k": 1}, timestamp=at)
run.log_model("m.tar.gz", framework="f", summary={"k": 1})
run.log_model("folder")
run.log_artifact("cat.png", kind="file", step=4, timestamp=at)
run.log_artifact("cat.png")
run.log_artifact("folder", name="named", kind="dir", rel_path="below")
tracking.end()
"""


def start(api: Api) -> str:
    """Make a run whose program may report."""
    body = parse_submission(COMPONENT).body
    return run_uuid(api.do(api.runs.create("quick-start", body)))


def run_ours(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, content in shim_files().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / "train.py").write_text(PROGRAM)
    command = [sys.executable, "-I", "-c", "import sys; sys.path[:0] = ['.']; import train"]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.defpath, **environment},
        timeout=240,
    )


def read_folder(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def left_behind(api: Api, uuid: str, root: Path) -> dict[str, Any]:
    """What the program reported, and its files; a path below the root is the same for both runs."""
    status = api.do(api.runs.get("quick-start", uuid))["status"]
    artifacts = sorted(status["artifacts"], key=lambda one: str(one["name"]))
    for one in artifacts:
        one["summary"]["path"] = one["summary"]["path"].partition(uuid)[2]
    return {
        "meta": status["meta"],
        "artifacts": artifacts,
        "outputs": status["outputs"],
        "files": read_folder(root / "artifacts" / uuid),
    }


COMPONENT = """
version: 1.1
kind: component
run: {kind: job, container: {image: a, command: [train]}}
"""
KINDS = (
    *("audio", "chart", "confusion", "curve", "dataframe", "file", "histogram"),
    *("html", "image", "metric", "model", "text", "video"),
)


def serve(api: Api, uuid: str, folder: Path, store: Path) -> dict[str, Any]:
    """What the API answers about these files, for every kind, as columns and as text."""
    shutil.copytree(folder, store / "artifacts" / "uid-of-quick-start" / uuid)
    api.stop()
    api.files = store
    api.start()
    base = f"http://127.0.0.1:{api.port}/streams/v1/quick-start/default/quick-start/runs/{uuid}"
    found = {}
    for kind in KINDS:
        for orient in ("dict", "csv"):
            answer = read_json(f"{base}/events/{kind}?orient={orient}")
            found[f"{kind} {orient}"] = answer["data"]
    return found


def read_json(url: str) -> Any:
    request = Request(url, headers={"Authorization": f"Token {TOKEN}"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


RESOURCES = """
import time
from polyaxon import tracking
tracking.init(collect_artifacts=True, collect_resources=True, track_env=False)
run = tracking.TRACKING_RUN
run.log_metric("loss", 0.5, step=1)
deadline = time.monotonic() + 60
while not __import__("glob").glob(run.get_artifacts_path("resources/metric/cpu.plx")):
    assert time.monotonic() < deadline
    time.sleep(0.1)
tracking.end()
"""


def test_what_the_published_client_records_of_the_machine_is_served(
    api: Api, published: Published, tmp_path: Path
) -> None:
    uuid, root = start(api), tmp_path / "context"
    folder = root / "artifacts" / uuid
    folder.mkdir(parents=True)
    ended = published("python", "-c", RESOURCES, env=api.environment(uuid, root))
    assert ended.returncode == 0, ended.stderr
    serve(api, uuid, folder, tmp_path / "store")
    base = f"http://127.0.0.1:{api.port}"
    project = "quick-start/default/quick-start"
    found = read_json(f"{base}/streams/v1/{project}/runs/{uuid}/resources")["data"]
    assert {one["name"] for one in found} >= {"cpu", "memory", "load"}
    assert all(one["data"]["metric"][0] >= 0 for one in found)
    path = f"/api/v1/default/quick-start/runs/{uuid}/lineage/artifacts?limit=100"
    listed = {one["name"]: one["kind"] for one in read_json(base + path)["results"]}
    assert listed.items() >= {"loss": "metric", "cpu": "system", "memory": "system"}.items()


def test_both_clients_leave_the_same_behind(api: Api, published: Published, tmp_path: Path) -> None:
    left, served = {}, {}
    for client in ("published", "ours"):
        uuid, root = start(api), tmp_path / client
        (root / "artifacts" / uuid).mkdir(parents=True)
        environment = api.environment(uuid, root) | {"POLYAXON_COLLECT_ARTIFACTS": "true"}
        if client == "ours":
            ended = run_ours(tmp_path / "work", environment)
        else:
            ended = published("python", "-c", PROGRAM, env=environment)
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
        left[client] = left_behind(api, uuid, root)
        served[client] = serve(api, uuid, root / "artifacts" / uuid, tmp_path / "store")
    assert left["ours"]["files"] == left["published"]["files"]
    assert left["ours"]["artifacts"] == left["published"]["artifacts"]
    assert left["ours"]["meta"] == left["published"]["meta"]
    assert left["ours"]["outputs"].items() >= {"loss": "inf", "acc": 0.1, "a-b__c-d": "nan"}.items()
    assert served["ours"] == served["published"]
    assert all(served["ours"].values())
