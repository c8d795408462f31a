"""An init container that copies the files of other runs from the API: equal bytes, waiting for an
API that is away, and a message for everything that is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.loopback_api import TOKEN, LoopbackApi
from tests.support.running_run import UUID, operation

from opstrand.initializer.failure import InitError
from opstrand.initializer.fetching import fetch
from opstrand.runs.memory import MemoryRuns

FILES = {"outputs/model.bin": bytes(range(256)) * 9000, "outputs/deep/ünï #1": b"1", "note": b""}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[LoopbackApi]:
    base = tmp_path / "store" / "artifacts" / "uid-of-quick-start" / UUID
    for path, data in FILES.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(data)
    server = LoopbackApi(MemoryRuns(), tmp_path / "store")
    server.do(server.runs.put(operation(phase="Succeeded")))
    server.start()
    (tmp_path / "token").write_text(TOKEN)
    yield server
    server.close()


def step(api: LoopbackApi, **parts: Any) -> dict[str, Any]:
    fixed = {
        "target": "/in",
        "token": "/token",
        "patience": 30,
        "files": [],
        "dirs": [],
        "paths": [],
    }
    project = "quick-start/default/quick-start"
    return {"runs": f"http://127.0.0.1:{api.port}/streams/v1/{project}/runs", **fixed, **parts}


def found(folder: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def test_files_folders_and_paths_arrive_as_they_were_written(
    api: LoopbackApi, tmp_path: Path
) -> None:
    parts = {
        "files": [[f"{UUID}/outputs/model.bin", "m/model.bin"]],
        "dirs": [[f"{UUID}/outputs", "all"], [UUID, UUID]],
        "paths": [[f"{UUID}/outputs/deep", "deep"], [f"{UUID}/note", "note"]],
    }
    fetch(step(api, **parts), str(tmp_path))
    model, deep = FILES["outputs/model.bin"], FILES["outputs/deep/ünï #1"]
    assert found(tmp_path / "in") == {
        "m/model.bin": model,
        "all/model.bin": model,
        "all/deep/ünï #1": deep,
        **{f"{UUID}/{path}": data for path, data in FILES.items()},
        "deep/ünï #1": deep,
        "note": b"",
    }


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"files": [[f"{UUID}/nowhere", "x"]]}, "the run has no 'nowhere' among its files"),
        ({"files": [[f"{UUID}/outputs", "x"]]}, "'outputs' is a folder"),
        ({"dirs": [[f"{UUID}/note", "x"]]}, "'note' is a file, not a folder"),
        ({"dirs": [["0" * 32, "x"]]}, "a run reads the files of itself, its upstreams"),
    ],
)
def test_what_is_not_there_is_named(
    api: LoopbackApi, tmp_path: Path, parts: dict[str, Any], why: str
) -> None:
    with pytest.raises(InitError, match=why):
        fetch(step(api, **parts), str(tmp_path))
    assert found(tmp_path / "in") == {}


def test_an_optional_folder_that_is_not_there_is_left_out(api: LoopbackApi, tmp_path: Path) -> None:
    parts = {"dirs": [["0" * 32, "x"], [f"{UUID}/outputs/deep", "deep"]]}
    fetch({**step(api, **parts), "optional": True}, str(tmp_path))
    assert list(found(tmp_path / "in")) == ["deep/ünï #1"]


def test_an_api_that_is_away_is_waited_for(api: LoopbackApi, tmp_path: Path) -> None:
    asked = step(api, files=[[f"{UUID}/note", "note"]])
    api.stop()
    starting = threading.Timer(1.0, api.start)
    starting.start()
    fetch(asked, str(tmp_path))
    starting.join()
    assert found(tmp_path / "in") == {"note": b""}


def test_an_api_that_stays_away_is_named(api: LoopbackApi, tmp_path: Path) -> None:
    asked = step(api, files=[[f"{UUID}/note", "note"]], patience=0)
    api.stop()
    with pytest.raises(InitError, match=f"could not fetch '{UUID}/note' within 0 s: .*refused"):
        fetch(asked, str(tmp_path))
    api.start()


def test_a_folder_that_cannot_be_written_is_named_at_once(api: LoopbackApi, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("a file in the way")
    with pytest.raises(InitError, match=r"could not write .*/note': .*: /in"):
        fetch(step(api, files=[[f"{UUID}/note", "note"]]), str(tmp_path))
