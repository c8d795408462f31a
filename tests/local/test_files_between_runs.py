"""Files of an earlier local run, by every documented way: the folder of local runs is the artifacts
store.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.local.conftest import Run

UID = "4f0c1a2b4f0c1a2b4f0c1a2b4f0c1a2b"
PRODUCE = """
import os
folder = os.environ["FOLDER"]
os.makedirs(folder + "/data/deep", exist_ok=True)
for name in ("model.txt", "data/a.txt", "data/deep/b.txt"):
    with open(os.path.join(folder, name), "w") as file:
        file.write(name)
"""
#: Prints every file below the artifacts folder that is not the run's own, with its content.
SHOW = """
import os
root = os.environ["ROOT"]
for folder, _, files in sorted(os.walk(root)):
    for name in sorted(files):
        path = os.path.join(folder, name)
        place = os.path.relpath(path, root)
        if place.endswith(".txt") and os.environ["OWN"] not in place:
            print(place, open(path).read())
"""
OUT = f"{UID}/outputs"


@pytest.fixture
def upstream(here: Run, job: Callable[..., Path]) -> None:
    component = yaml.safe_load(job(PRODUCE, "up").read_text())
    component["run"]["container"]["env"] = [
        {"name": "FOLDER", "value": "{{ globals.run_outputs_path }}"}
    ]
    Path(file := job(PRODUCE, "up")).write_text(yaml.safe_dump(component))
    ran = here("run", "--local", "-f", file, "--name", "up", "--uuid", UID)
    assert ran.code == 0, ran


def consumer(
    path: Path, *, init: list[dict[str, Any]] | None = None, params: Any = None, inputs: Any = None
) -> Path:
    env = [
        {"name": "ROOT", "value": "{{ globals.artifacts_path }}"},
        {"name": "OWN", "value": "{{ globals.uuid }}"},
    ]
    container = {"image": "x", "command": ["python3", "-c", SHOW], "env": env}
    component = {
        "inputs": inputs or [],
        "run": {"kind": "job", "init": init or [], "container": container},
    }
    path.write_text(
        yaml.safe_dump({"kind": "operation", "params": params or {}, "component": component})
    )
    return path


FILES = {"files": ["outputs/model.txt"], "dirs": ["outputs/data"]}
ALL = [
    f"{OUT}/data/a.txt data/a.txt",
    f"{OUT}/data/deep/b.txt data/deep/b.txt",
    f"{OUT}/model.txt model.txt",
]
INPUT = [{"name": "files", "type": "artifacts"}]


@pytest.mark.parametrize("ref", ["ops.up", f"runs.{UID}"])
@pytest.mark.parametrize("way", ["toInit", "init"])
def test_an_artifacts_type_copies_the_files(
    here: Run, upstream: None, tmp_path: Path, ref: str, way: str
) -> None:
    param = {"ref": ref, "value": FILES, **({"toInit": True} if way == "toInit" else {})}
    init = [{"artifacts": "{{ files }}"}] if way == "init" else None
    ran = here(
        "run",
        "--local",
        "-f",
        consumer(tmp_path / "b.yaml", params={"files": param}, inputs=INPUT, init=init),
        "-l",
    )
    assert (ran.code, sorted(ran.out.splitlines())) == (0, ALL), ran


def test_a_pair_says_where_a_file_goes(here: Run, upstream: None, tmp_path: Path) -> None:
    param = {
        "ref": "ops.up",
        "value": {"files": [["outputs/model.txt", "here/m.txt"]]},
        "toInit": True,
    }
    ran = here(
        "run",
        "--local",
        "-f",
        consumer(tmp_path / "b.yaml", params={"files": param}, inputs=INPUT),
        "-l",
    )
    assert (ran.code, ran.out) == (0, "here/m.txt model.txt\n"), ran


def test_a_path_of_the_lineage_is_a_path_of_the_store(
    here: Run, upstream: None, tmp_path: Path
) -> None:
    params = {"base": {"ref": "ops.up", "value": "artifacts.outputs"}}
    init = [{"paths": ["{{ base }}/model.txt"]}]
    inputs = [{"name": "base", "type": "str"}]
    ran = here(
        "run",
        "--local",
        "-f",
        consumer(tmp_path / "b.yaml", params=params, inputs=inputs, init=init),
        "-l",
    )
    assert (ran.code, ran.out) == (0, f"{OUT}/model.txt model.txt\n"), ran


def test_a_file_that_the_run_has_not_is_said_with_what_it_has(
    here: Run, upstream: None, tmp_path: Path
) -> None:
    param = {"ref": "ops.up", "value": {"files": ["outputs/modle.txt"]}, "toInit": True}
    ran = here(
        "run",
        "--local",
        "-f",
        consumer(tmp_path / "b.yaml", params={"files": param}, inputs=INPUT),
        "-l",
    )
    assert ran.code == 1, ran
    assert "model.txt" in ran.stderr


def test_the_files_go_with_their_run(here: Run, upstream: None, records: Path) -> None:
    assert (
        records / "default" / ".store" / UID / "outputs" / "model.txt"
    ).read_text() == "model.txt"
    assert (
        records
        / "default"
        / "up"
        / "files"
        / "plx-context"
        / "artifacts"
        / UID
        / "outputs"
        / "model.txt"
    ).exists()
    assert here("rm", "--local", "-y", "up").code == 0
    assert list((records / "default" / ".store").iterdir()) == []


def test_a_project_sees_no_files_of_another(here: Run, upstream: None, tmp_path: Path) -> None:
    file = consumer(tmp_path / "b.yaml", init=[{"paths": [f"{OUT}/model.txt"]}])
    ran = here("run", "--local", "-f", file, "-p", "other", "-l")
    assert ran.code == 1, ran
