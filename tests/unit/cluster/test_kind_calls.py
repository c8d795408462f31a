"""The calls of the kind path to docker, kind and kubectl. Stand-in programs record each call: the
real ones are not on every machine, and take minutes.
"""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import kind as kind_path
from tests.cluster.console import Failure
from tests.cluster.kind import (
    NODE,
    NODE_IMAGE,
    PYTHON_IMAGES,
    REGISTRY,
    Docker,
    KindCluster,
    connect_registry,
    start_registry,
)

#: Records the call, gives the first prepared answer for its words, and otherwise succeeds without
#: output.
STAND_IN = """\
#!{python}
import json, os, pathlib, sys
folder = pathlib.Path(__file__).parent
words = " ".join([pathlib.Path(__file__).name, *sys.argv[1:]])
context = pathlib.Path(sys.argv[-1])
note = {{"words": words, "no_proxy": os.environ.get("NO_PROXY", "")}}
if context.is_dir():
    note["files"] = {{one.name: one.read_text() for one in context.iterdir() if one.is_file()}}
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(note) + "\\n")
answers = json.loads((folder / "answers").read_text())
for answer in answers:
    if answer["words"] in words and answer["times"]:
        answer["times"] -= 1
        (folder / "answers").write_text(json.dumps(answers))
        print(answer["says"])
        raise SystemExit(answer["code"])
"""


class Machine:
    """The folder of the stand-ins."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._answers = folder, list[dict[str, Any]]()
        for name in ("docker", "kind", "kubectl"):
            (folder / name).write_text(STAND_IN.format(python=sys.executable))
            (folder / name).chmod(0o755)
        self.answer("never asked")

    def answer(self, words: str, says: str = "", code: int = 0, times: int = 1000) -> None:
        self._answers.append({"words": words, "says": says, "code": code, "times": times})
        (self._folder / "answers").write_text(json.dumps(self._answers))

    def calls(self, *words: str) -> list[dict[str, Any]]:
        """Return the calls so far that begin with any of these words."""
        notes = self._folder / "calls"
        found = (
            [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
        )
        return [one for one in found if one["words"].startswith(words)]


class _Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(kind_path.NODE_IMAGE_VARIABLE, raising=False)
    monkeypatch.setattr(kind_path, "program", lambda name: folder / name)
    monkeypatch.setattr(kind_path, "kubectl", lambda: folder / "kubectl")
    with http.server.HTTPServer(("127.0.0.1", 0), _Registry) as server:
        monkeypatch.setattr(kind_path, "URL", f"http://127.0.0.1:{server.server_address[1]}")
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield Machine(folder)
        server.shutdown()
        serving.join()


@pytest.fixture
def cluster(tmp_path: Path) -> KindCluster:
    folder = tmp_path / "state"
    folder.mkdir()
    return KindCluster(folder)


@pytest.mark.parametrize("named", ["", "localhost/node:1"])
def test_a_cluster_is_made_of_a_node_image_that_can_be_named_and_pulls_from_its_registry(
    machine: Machine, cluster: KindCluster, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    if named:
        monkeypatch.setenv(kind_path.NODE_IMAGE_VARIABLE, named)
    monkeypatch.setenv("NO_PROXY", "a.example")
    cluster._create()
    [made] = machine.calls("kind create")
    assert f" --image {named or NODE_IMAGE} " in made["words"]
    assert made["no_proxy"] == f"a.example,{REGISTRY}"


def test_a_cluster_that_is_only_busy_is_kept(machine: Machine, cluster: KindCluster) -> None:
    cluster.kubeconfig.touch()
    machine.answer(f"inspect --format {{{{.State.Running}}}} {NODE}", "true")
    machine.answer("wait node/", "the connection was refused", code=1, times=5)
    assert cluster._is_kept()
    assert machine.calls("kind delete", "kind create") == []


def test_a_cluster_whose_node_never_answers_is_not(
    machine: Machine, cluster: KindCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind_path, "PATIENCE", 1)
    machine.answer(f"inspect --format {{{{.State.Running}}}} {NODE}", "true")
    machine.answer("wait node/", code=1)
    assert not cluster._is_kept()


def test_a_second_state_folder_uses_the_cluster_of_the_first(
    machine: Machine, cluster: KindCluster
) -> None:
    machine.answer(f"inspect --format {{{{.State.Running}}}} {NODE}", "true")
    assert cluster._is_kept()
    assert [one["words"].split()[1] for one in machine.calls("kind")] == ["export"]


@pytest.mark.parametrize(
    ("networks", "connected"), [("{}", 1), ('{"bridge": {}}', 1), ('{"kind": {}}', 0)]
)
def test_a_registry_is_in_the_nodes_network_however_it_came_to_be(
    machine: Machine, networks: str, connected: int
) -> None:
    machine.answer("{{json .NetworkSettings.Networks}}", networks)
    connect_registry()
    assert len(machine.calls(f"docker network connect kind {REGISTRY}")) == connected


def test_a_registry_that_stopped_is_started_and_keeps_what_it_holds(machine: Machine) -> None:
    machine.answer("{{.State.Running}}", "false")
    start_registry()
    assert machine.calls("docker rm", "docker run") == []


def test_a_registry_that_is_gone_is_made_to_come_back_with_docker(machine: Machine) -> None:
    machine.answer("{{.State.Running}}", "", code=1)
    machine.answer(f"docker start {REGISTRY}", "no such container", code=1)
    start_registry()
    [removed], [made] = machine.calls("docker rm"), machine.calls("docker run")
    assert "--volumes" in removed["words"]
    assert "--restart unless-stopped" in made["words"]


def test_a_base_image_has_what_the_machine_needs_to_reach_its_indexes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind_path, "trust_files", lambda: {"/etc/pip.conf": b"[global]\n"})
    Docker().make_base("bookworm", "localhost/python-base:1")
    [built] = machine.calls("docker build")
    assert built["files"] == {
        "0": "[global]\n",
        "Dockerfile": f"FROM {PYTHON_IMAGES['bookworm']}\nCOPY 0 /etc/pip.conf\n",
    }


def test_a_tool_that_fails_says_what_it_said(machine: Machine, cluster: KindCluster) -> None:
    machine.answer("kind create", "no space left on device", code=1)
    with pytest.raises(Failure, match="no space left on device"):
        cluster._create()


def test_what_is_taken_down_leaves_its_logs_and_nothing_of_its_own(
    machine: Machine, cluster: KindCluster
) -> None:
    machine.answer(f"inspect --format {{{{.State.Running}}}} {NODE}", "true")
    cluster.kubeconfig.touch()
    cluster.down()
    kinds = [one["words"].split()[1] for one in machine.calls("kind")]
    assert kinds == ["export", "delete"]
    assert machine.calls(f"docker rm --force --volumes {REGISTRY}")
    assert not cluster.kubeconfig.exists()
