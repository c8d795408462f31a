"""Writing and copying: bytes, modes, folders, and clear messages for what fails."""

from __future__ import annotations

import ast
import gzip
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from opstrand.initializer.__main__ import read_document
from opstrand.initializer.failure import InitError
from opstrand.initializer.files import copy_from_store, write_file
from opstrand.initializer.modes import apply_mode

INITIALIZER = Path(__file__).resolve().parents[3] / "operator/opstrand/initializer"


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("755", 0o644, 0o755),
        ("0644", 0o777, 0o644),
        ("0o600", 0o777, 0o600),
        ("+x", 0o644, 0o755),
        ("u+x", 0o644, 0o744),
        ("a-w", 0o666, 0o444),
        ("u=rw,go=", 0o777, 0o600),
        ("go-rwx", 0o777, 0o700),
        ("u+x,g-r+w", 0o644, 0o724),
        ("+X", 0o644, 0o644),
        ("+X", 0o744, 0o755),
    ],
)
def test_modes_as_chmod_takes_them(text: str, before: int, after: int) -> None:
    assert oct(apply_mode(text, before)) == oct(after)


@pytest.mark.parametrize(
    "text", ["", "x", "999", "rwxr-xr-x", "u+q", "+x; rm -rf /", "07777777", "u+x,", "-1"]
)
def test_nonsense_is_no_mode(text: str) -> None:
    with pytest.raises(ValueError, match="chmod accepts a mode such as"):
        apply_mode(text, 0o644)


def file_step(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "file",
        "target": "/a/b/run.sh",
        "content": "x",
        "chmod": None,
        "copy": "/run/outputs/run.sh",
        **fields,
    }


def test_a_file_is_its_bytes_and_its_mode_and_so_is_its_copy(tmp_path: Path) -> None:
    content = '{"a": "$(B) $$"}\r\nä\x00'
    write_file(file_step(content=content, chmod="u+x"), str(tmp_path))
    for path in (tmp_path / "a/b/run.sh", tmp_path / "run/outputs/run.sh"):
        assert path.read_bytes() == content.encode()
        assert path.stat().st_mode & stat.S_IXUSR


def test_a_mode_that_is_none_fails_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        InitError,
        match=r"init file /a/b/run.sh: chmod accepts a mode such as 755, 0644 or \+x, found 'rw'",
    ):
        write_file(file_step(chmod="rw"), str(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    (folder / "run/outputs/model").mkdir(parents=True)
    (folder / "run/outputs/model/weights.txt").write_text("w")
    (folder / "run/outputs/model/secret.txt").write_text("s")
    os.chmod(folder / "run/outputs/model/secret.txt", 0o600)
    (folder / "run/outputs/tool").write_text("t")
    os.chmod(folder / "run/outputs/tool", 0o700)
    (folder / "out").symlink_to("/etc")
    (folder / "run/outputs/model/again").symlink_to("weights.txt")
    return folder


def copy(tmp_path: Path, **asked: Any) -> Path:
    step = {
        "kind": "copy",
        "store": "data",
        "source": "/store",
        "target": "/to",
        "files": [],
        "dirs": [],
        "paths": [],
        **asked,
    }
    copy_from_store(step, str(tmp_path))
    return tmp_path / "to"


@pytest.mark.usefixtures("store")
def test_files_and_folders_land_where_they_are_asked_for(tmp_path: Path) -> None:
    found = copy(
        tmp_path,
        files=[["run/outputs/tool", "bin/tool"]],
        dirs=[["run/outputs/model", "m"]],
        paths=[["run/outputs", "run/outputs"], ["run/outputs/tool", "tool"]],
    )
    assert (found / "bin/tool").read_text() == "t"
    assert (found / "m/weights.txt").read_text() == "w"
    assert (found / "m/again").is_symlink()
    assert (found / "run/outputs/model/weights.txt").read_text() == "w"
    assert (found / "tool").stat().st_mode & 0o777 == 0o777
    assert (found / "m/secret.txt").stat().st_mode & 0o777 == 0o666, "main may run as another user"


@pytest.mark.usefixtures("store")
def test_everything_of_a_store(tmp_path: Path) -> None:
    (tmp_path / "store/out").unlink()
    assert (copy(tmp_path, dirs=[["", ""]]) / "run/outputs/model/weights.txt").read_text() == "w"


@pytest.mark.usefixtures("store")
def test_a_volumes_own_root_is_not_changed(tmp_path: Path) -> None:
    """It belongs to root; a program that runs as another user may only write into it."""
    (tmp_path / "to").mkdir()
    (tmp_path / "to").chmod(0o1777)
    os.utime(tmp_path / "store", (1, 1))
    found = copy(tmp_path, dirs=[["", ""]])
    assert found.stat().st_mode & 0o7777 == 0o1777
    assert found.stat().st_mtime > 1


@pytest.mark.usefixtures("store")
def test_what_is_copied_twice_is_there_once_with_its_links(tmp_path: Path) -> None:
    """Two steps may copy the same, and Kubernetes may start an init container again."""
    for _ in range(2):
        found = copy(
            tmp_path, dirs=[["run/outputs/model", "m"]], paths=[["run/outputs/model", "m"]]
        )
    assert os.readlink(found / "m/again") == "weights.txt"


def test_a_file_that_is_for_reading_only_is_replaced_and_not_written_to(tmp_path: Path) -> None:
    """The run's folder in a store outlives an attempt, and two files among the outputs may have one
    name.
    """
    write_file(file_step(chmod="0444"), str(tmp_path))
    copied, kept = tmp_path / "run/outputs/run.sh", tmp_path / "kept"
    os.link(copied, kept)
    write_file(file_step(target="/c/run.sh", content="y", chmod="0444"), str(tmp_path))
    assert (copied.read_text(), kept.read_text()) == ("y", "x")


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "store/a").mkdir(parents=True)
    (tmp_path / "to").touch()
    with pytest.raises(
        InitError, match="could not copy 'everything' of the store 'data': File exists: /to"
    ):
        copy(tmp_path, dirs=[["", ""]])


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"files": [["run/outputs/modle", "x"]]},
            "the store 'data' has no 'run/outputs/modle' (there is: model, tool)",
        ),
        (
            {"paths": [["ran/outputs", "x"]]},
            "has no 'ran/outputs' (there is no folder 'ran' either)",
        ),
        (
            {"files": [["run/outputs/model", "x"]]},
            "'run/outputs/model' is a folder, expected a file; ask for it under dirs",
        ),
        (
            {"dirs": [["run/outputs/tool", "x"]]},
            "'run/outputs/tool' is a file, expected a folder; ask for it under files",
        ),
        ({"files": [["out/passwd", "x"]]}, "'out/passwd' leads out of it"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InitError) as caught:
        copy(tmp_path, **asked)
    assert words in str(caught.value)


def test_a_full_volume_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        InitError, match="could not write the init file /dev/full: No space left on device"
    ):
        write_file(file_step(target="/dev/full"), "")


@pytest.mark.parametrize("path", sorted(INITIALIZER.glob("*.py")), ids=lambda path: path.name)
def test_the_initializer_is_python_3_9(path: Path) -> None:
    """It may run in a user's image, if a step names one."""
    ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize(
    ("data", "digest", "words"),
    [
        (b'{"steps": []}', "", r"expected SHA-256 \(none\)"),
        (b'{"steps": [1]}', hashlib.sha256(b'{"steps": []}').hexdigest(), "is not this run's"),
        (b"not json", hashlib.sha256(b"{}").hexdigest(), "is not this run's"),
        (b" " * 40_000_000, hashlib.sha256(b"{}").hexdigest(), "is not this run's"),
    ],
    ids=["no digest", "another document", "no document", "a bomb"],
)
def test_only_the_document_of_the_digest_is_carried_out(
    tmp_path: Path, data: bytes, digest: str, words: str
) -> None:
    path = tmp_path / "init.json.gz"
    path.write_bytes(gzip.compress(data))
    with pytest.raises(InitError, match=words):
        read_document({"OPSTRAND_INIT_FILE": str(path), "OPSTRAND_INIT_SHA256": digest})


def test_the_document_of_the_digest_is_read(tmp_path: Path) -> None:
    path, data = tmp_path / "init.json.gz", b'{"steps": []}'
    path.write_bytes(gzip.compress(data))
    environment = {
        "OPSTRAND_INIT_FILE": str(path),
        "OPSTRAND_INIT_SHA256": hashlib.sha256(data).hexdigest(),
    }
    assert read_document(environment) == {"steps": []}
