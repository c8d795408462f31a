"""What a run wrote is there when its Pod, its node's folder and its object are gone: read back by
the published client, byte for byte, on a cluster whose runs share no volume.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from opstrand.kube.client import KubeApi
from tests.e2e.conftest import (
    PUBLISHED,
    describe,
    is_final,
    kubectl,
    main_log,
    operation,
    read_authority,
    script,
    succeed,
    wait_for,
)

PLAIN = "localhost/python-base:1"
#: Writes nested files, 20 MiB, an empty file and odd names; prints the SHA-256 of each.
WRITER = """
import hashlib, json, os, pathlib
uuid = os.environ["POLYAXON_RUN_INSTANCE"].split(".")[-1]
base = pathlib.Path(os.environ["POLYAXON_CONTEXT_ROOT"], "artifacts", uuid)
files = {
    "outputs/model.bin": bytes(range(256)) * 4096 * 20,
    "outputs/deep/er/text.txt": "tëxt".encode(),
    "outputs/ünï çode #1 & 'x'?.txt": b"odd",
    "events/metric/loss.plx": b"step|timestamp|metric",
    "-dash": b"1",
    "empty": b"",
}
for path, data in files.items():
    (base / path).parent.mkdir(parents=True, exist_ok=True)
    (base / path).write_bytes(data)
print(json.dumps({path: hashlib.sha256(data).hexdigest() for path, data in files.items()}))
"""
#: Reads all of it by the published client: the tree, one file, and the whole folder.
READER = """
import hashlib, json, pathlib, sys
from polyaxon.client import RunClient
from polyaxon.schemas import V1RunSettings
project, uuid, place = sys.argv[1:]
client = RunClient(owner="default", project=project, run_uuid=uuid)
# What the client asks of the API first; a run whose object is gone has no view yet.
client.run_data.settings = V1RunSettings(namespace=project)
tree = client.get_artifacts_tree(path="outputs")
one = pathlib.Path(client.download_artifact("outputs/deep/er/text.txt", path_to=place + "/one"))
base = pathlib.Path(client.download_artifacts(path_to=place + "/all"))
print(json.dumps({
    "tree": {"files": tree.files, "dirs": tree.dirs},
    "one": one.read_text(),
    "all": {
        str(path.relative_to(base)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in base.rglob("*") if path.is_file()
    },
}))
"""


@pytest.fixture
def environment(namespace: str, api_url: str, tmp_path: Path) -> dict[str, str]:
    """Return the variables of a person at a terminal who may edit in the namespace."""
    kubectl("-n", namespace, "create", "serviceaccount", "ann")
    kubectl(
        *("-n", namespace, "create", "rolebinding", "ann", "--clusterrole=edit"),
        f"--serviceaccount={namespace}:ann",
    )
    (tmp_path / "ca.crt").write_text(read_authority())
    return {
        "HOME": str(tmp_path),
        "POLYAXON_HOST": api_url,
        "POLYAXON_SSL_CA_CERT": str(tmp_path / "ca.crt"),
        # The published client moves files by another library, which has its own variable.
        "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.crt"),
        "POLYAXON_AUTH_TOKEN": kubectl("-n", namespace, "create", "token", "ann").stdout.strip(),
        "PYTHONUTF8": "1",
    }


def run_published(environment: dict[str, str], program: str, *arguments: str) -> str:
    """Run a program of the published package's environment; return what it printed."""
    done = subprocess.run(
        [str(PUBLISHED / "bin" / program), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_files_outlive_the_pod_and_the_operation(
    kube: KubeApi, namespace: str, environment: dict[str, str], tmp_path: Path
) -> None:
    spec = {"component": script(WRITER, PLAIN)}
    kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(operation("writer", spec)))
    body = await succeed(kube, namespace, "writer")
    uuid, pod = body["status"]["uuid"], body["status"]["pod"]["name"]
    written = json.loads(kubectl("-n", namespace, "logs", pod, "-c", "main").stdout)
    written["outputs/main.py"] = hashlib.sha256(WRITER.encode()).hexdigest()
    kubectl("-n", namespace, "delete", "pod", pod)
    run_published(
        environment,
        *("polyaxon", "ops", "artifacts", "-p", namespace, "-uid", uuid),
        *("--path-to", str(tmp_path / "by-command")),
    )
    model = next((tmp_path / "by-command").rglob("model.bin"))
    assert hashlib.sha256(model.read_bytes()).hexdigest() == written["outputs/model.bin"]
    kubectl("-n", namespace, "delete", "operation", "writer")
    printed = run_published(environment, "python", "-c", READER, namespace, uuid, str(tmp_path))
    found = json.loads(printed.splitlines()[-1])
    assert found["all"] == written
    assert found["one"] == "tëxt"
    assert found["tree"]["dirs"] == ["deep"]
    assert found["tree"]["files"]["model.bin"] == 20 * 1024 * 1024


async def test_files_that_cannot_be_stored_fail_the_run(kube: KubeApi, namespace: str) -> None:
    source = WRITER + "(base / 'new\\nline').write_text('x')\n"
    spec = {"component": script(source, PLAIN)}
    kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(operation("odd", spec)))
    body = await wait_for(kube, namespace, "odd", is_final)
    assert body["status"]["reason"] == "ArtifactsNotCollected", describe(namespace, body)
    assert "'new\\nline': its name has a control character" in body["status"]["message"]


def reader(shell: str, **component: Any) -> dict[str, Any]:
    """Return an operation over `writer`'s files whose program is a shell script."""
    run = {"kind": "job", "init": component.pop("init", [])}
    run["container"] = {"image": PLAIN, "command": ["sh", "-ec", shell]}
    params = {"files": {"ref": "ops.writer", **component.pop("param")}}
    return {"params": params, "component": {**component, "run": run}}


async def test_a_run_reads_the_files_of_another_without_a_shared_volume(
    kube: KubeApi, namespace: str
) -> None:
    base = "{{ globals.artifacts_path }}"
    count = "| sha256sum | cut -c1-64"
    specs = {
        "by-path": reader(
            f"cat {base}/{{{{ files }}}}/model.bin {count}",
            param={"value": "artifacts.outputs"},
            init=[{"paths": ["{{ files }}"]}],
        ),
        "by-to-init": reader(
            f"cat {base}/m/model.bin {count}",
            param={"value": {"dirs": [["outputs", "m"]]}, "toInit": True},
            inputs=[{"name": "files", "type": "artifacts"}],
        ),
        "of-nothing": reader(
            "true",
            param={"value": "artifacts.outputs"},
            init=[{"artifacts": {"files": ["{{ files }}/nowhere"]}}],
        ),
    }
    # They wait for the writer: its files are there before its end is seen.
    for name, spec in specs.items():
        kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(operation(name, spec)))
    spec = {"component": script(WRITER, PLAIN)}
    kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(operation("writer", spec)))
    written = json.loads(main_log(namespace, await succeed(kube, namespace, "writer")))
    for name in ("by-path", "by-to-init"):
        body = await succeed(kube, namespace, name)
        assert main_log(namespace, body).strip() == written["outputs/model.bin"]
    body = await wait_for(kube, namespace, "of-nothing", is_final)
    assert body["status"]["reason"] == "InitFailed", describe(namespace, body)
    assert "has no 'outputs/nowhere' among its files" in body["status"]["message"]


#: Logs a series by whichever client the image has.
TRACKER = """
from polyaxon import tracking
tracking.init()
for step in range(50):
    tracking.log_metrics(step=step, loss=1 / (step + 1), acc=step / 50)
tracking.end()
"""
#: Reads the metrics of the runs by the published client.
METRICS = """
import json, sys
from polyaxon.client import RunClient
project, *uuids = sys.argv[1:]
client = RunClient(owner="default", project=project, run_uuid=uuids[0])
one = client.get_metrics(names=["loss", "nowhere"])
several = client.get_multi_run_events(kind="metric", runs=uuids, names=["acc"]).data
print(json.dumps({"one": one, "several": several}))
"""


async def test_metrics_of_both_clients_are_kept_and_their_last_values_are_outputs(
    kube: KubeApi, namespace: str, environment: dict[str, str]
) -> None:
    specs = {
        "published": {"component": script(TRACKER)},
        "ours": {"component": script(TRACKER, PLAIN)},
    }
    for name, spec in specs.items():
        kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(operation(name, spec)))
    uuids = []
    for name in specs:
        body = await succeed(kube, namespace, name, 180)
        uuids.append(body["status"]["uuid"])
        outputs = {key: body["status"]["outputs"].get(key) for key in ("loss", "acc")}
        assert outputs == {"loss": 1 / 50, "acc": 49 / 50}, describe(namespace, body)
        kubectl("-n", namespace, "delete", "operation", name)
    arguments = ("-c", METRICS, namespace, *uuids)
    found = json.loads(run_published(environment, "python", *arguments).splitlines()[-1])
    assert list(found["one"]) == ["loss"]
    assert found["one"]["loss"]["data"]["metric"] == [1 / (step + 1) for step in range(50)]
    for uuid in uuids:
        (acc,) = found["several"][uuid]
        assert acc["data"]["step"] == list(range(50))
        assert acc["data"]["metric"] == [step / 50 for step in range(50)]
