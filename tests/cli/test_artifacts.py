"""`opstrand artifacts` on the files of runs of this machine: what is copied arrives equal, nothing
leaves a folder, and a folder is deleted only on purpose.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from tests.cli.conftest import Cli
from tests.support.command_line import run_opstrand

from opstrand.cli.errors import CliError
from opstrand.cli.local_files import LocalFiles, open_local_files
from opstrand.cli.options import Target
from opstrand.cli.output.spinner import LiveLine
from opstrand.cli.output.transferred import Transferred
from opstrand.cli.run_files import BLOCK
from opstrand.cli.transfer import fetch_archive

CHECKOUT = Path(__file__).resolve().parents[2]
FILE = """kind: component
name: talk
run:
  kind: job
  container:
    image: a
    command:
    - sh
    - -c
    - |
      mkdir -p {{ globals.run_outputs_path }}/deep; cd {{ globals.run_outputs_path }}
      printf model > deep/model; : > empty; ln -s /etc link
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run with two files, and a link that leads out of its folder."""
    home = tmp_path_factory.mktemp("home")
    (home / "talk.yaml").write_text(FILE)
    env = {"OPSTRAND_LOCAL": str(home / "runs")}
    ran = run_opstrand("run", "--local", home / "talk.yaml", "--name", "one", env=env)
    assert ran.code == 0, ran
    return home


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Yield the name of a copy of that run, which each test may change."""
    shutil.copytree(made, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.setenv("OPSTRAND_LOCAL", str(tmp_path / "runs"))
    return "one"


def read_tree(folder: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


def test_folders_and_files_are_listed(cli: Cli, run: str) -> None:
    assert cli("artifacts", "ls", "--local", run, "-o", "name").out == "outputs/\n"
    table = cli("artifacts", "ls", "--local", run, "outputs").out.split()
    assert table == ["SIZE", "PATH", "outputs/deep/", "0", "B", "outputs/empty"]
    deep = cli("artifacts", "ls", "-r", "--local", run, "-o", "name").out
    assert deep.split() == ["outputs/empty", "outputs/deep/model"]
    one = cli("artifacts", "ls", "--local", run, "outputs/deep/model", "-o", "json").out
    assert json.loads(one) == {"files": [{"path": "outputs/deep/model", "size": 5}], "folders": []}
    before = cli("--local", "artifacts", "ls", run, "-o", "name")
    assert before.out == "outputs/\n"


def test_a_folder_is_copied_as_a_tree_and_as_an_archive(cli: Cli, run: str, tmp_path: Path) -> None:
    whole = {"deep/model": b"model", "empty": b""}
    done = cli("artifacts", "get", "--local", run, "outputs")
    assert (done.code, done.stderr) == (0, "copied 2 files, 5 B, to outputs\n")
    assert read_tree(tmp_path / "outputs") == whole
    again = cli("artifacts", "get", "--local", run, "outputs")
    assert again.stderr == "copied 0 files, 0 B, to outputs; 2 files were there already\n"
    assert cli("artifacts", "get", "--local", run, "", "here/").code == 0
    assert read_tree(tmp_path / "here" / run) == {f"outputs/{k}": v for k, v in whole.items()}
    assert cli("artifacts", "get", "--local", "--archive", run, "outputs").code == 0
    with tarfile.open(tmp_path / "outputs.tar.gz") as archive:
        found = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    assert found == whole
    streamed = run_opstrand(
        *("artifacts", "get", "--local", "--archive", run, "outputs", "-"),
        env={"OPSTRAND_LOCAL": str(tmp_path / "runs")},
        cwd=tmp_path,
    )
    assert streamed.code == 0
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".opstrand")]


def test_a_file_is_copied_under_the_name_that_is_given(cli: Cli, run: str, tmp_path: Path) -> None:
    assert cli("artifacts", "get", "--local", run, "outputs/deep/model", "-").out == "model"
    for destination, place in (("a", "a"), ("b/", "b/model"), ("b", "b/model"), ("c/d", "c/d")):
        done = cli("artifacts", "get", "--local", run, "outputs/deep/model", destination)
        assert done.code == 0, done
        assert (tmp_path / place).read_bytes() == b"model"


def test_what_is_put_is_the_runs(cli: Cli, run: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "in").mkdir(parents=True)
    files = {"a b": b"1", "in/ü": bytes(range(256)) * 40_000, "empty": b""}
    for name, data in files.items():
        (source / name).write_bytes(data)
    (source / "link").symlink_to("/etc/passwd")
    (source / "folder").symlink_to("/etc")
    done = cli("artifacts", "put", "--local", run, "source")
    assert done.code == 0, done
    assert done.stderr.count("left out") == 2
    assert cli("artifacts", "get", "--local", run, "source", "back").code == 0
    assert read_tree(tmp_path / "back") == files
    for path, name in (("x", "x"), ("y/", "y/a b"), ("z/w", "z/w")):
        assert cli("artifacts", "put", "--local", run, "source/a b", path).code == 0
        assert cli("artifacts", "get", "--local", run, name, "-").out == "1"
    assert cli("artifacts", "put", "--local", run, "source/a b", "source/in").code == 2


def test_a_folder_is_deleted_only_on_purpose(cli: Cli, run: str) -> None:
    asked = cli("artifacts", "rm", "--local", run, "outputs")
    assert asked.code == 2
    assert "-y deletes without asking" in asked.stderr
    assert cli("artifacts", "rm", "--local", run, "--all").code == 2
    one = cli("artifacts", "rm", "--local", run, "outputs/empty")
    assert (one.code, one.stderr) == (0, f"deleted outputs/empty of {run}\n")
    assert cli("artifacts", "rm", "--local", run, "outputs", "-y").code == 0
    assert cli("artifacts", "ls", "--local", run).stderr == "no files\n"
    assert cli("get", "--local", run).code == 0


def test_what_a_transfer_left_goes_with_its_run(cli: Cli, run: str, tmp_path: Path) -> None:
    """A part of a file, and an earlier attempt's series, lie beside the run's folder."""
    files = open_local_files(Target("default", is_local=True), run)
    sent = files.write("outputs/half", 9, "0" * 64, 0, b"half")
    assert asyncio.run(sent) == (4, False)
    assert list((tmp_path / "runs").rglob(".incoming-*"))
    assert cli("rm", "--local", run, "-y").code == 0
    assert list((tmp_path / "runs").rglob(".incoming-*")) == []


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("ls one outputs/none", 4, "the run has no 'outputs/none' among its files"),
        ("ls none", 4, "there is no run 'none'"),
        ("get one ../x", 2, "has the part '..'"),
        ("get one /etc/passwd", 2, "is absolute"),
        ("get one outputs/link", 4, "the run has no 'outputs/link'"),
        ("get one outputs/link/passwd", 4, "the run has no 'outputs/link/passwd'"),
        ("get one outputs -", 2, "is a folder: add --archive"),
        ("get one outputs/empty --archive", 2, "is a file: expected a folder"),
        ("put one none", 4, "there is no file 'none' here"),
        ("put one talk.yaml ../x", 2, "has the part '..'"),
        ("put one talk.yaml /x", 2, "is absolute"),
        ("put one talk.yaml outputs", 2, "is a folder of the run"),
        ("rm one", 2, "expected either a PATH or --all"),
        ("rm one x --all", 2, "expected either a PATH or --all"),
        ("put one talk.yaml outputs/link/x", 2, "a folder above 'outputs/link/x' is a file"),
        ("rm one none", 4, "the run has no 'none'"),
    ],
)
def test_what_cannot_be_done_is_said_so(
    cli: Cli, run: str, line: str, code: int, text: str
) -> None:
    command, *rest = line.split()
    done = cli("artifacts", command, "--local", *rest)
    assert done.code == code, done
    assert text in done.stderr
    assert len(done.errors) == 1


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "x" * 256, "a/../b"])
def test_a_name_that_no_file_can_have_is_refused(cli: Cli, run: str, name: str) -> None:
    done = cli("artifacts", "put", "--local", run, "talk.yaml", name)
    assert done.code == 2
    assert "path: " in done.stderr
    assert "\x1b" not in done.stderr


def test_a_name_on_this_machine_that_is_not_utf_8_is_refused_before_anything_is_sent(
    cli: Cli, run: str, tmp_path: Path
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "a").write_text("a")
    with open(os.fsencode(tmp_path / "odd") + b"/b\xff", "w") as file:
        file.write("b")
    done = cli("artifacts", "put", "--local", run, "odd")
    assert done.code == 2
    assert "is not UTF-8" in done.stderr
    assert cli("artifacts", "ls", "--local", run, "-o", "name").out == "outputs/\n"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("get", "one", "out"), ["outputs/"]),
        (("rm", "one", "outputs/"), ["outputs/deep/", "outputs/empty"]),
        (("ls", "one", "outputs/none/"), []),
        (("ls", "o"), ["one"]),
    ],
)
def test_paths_are_completed(
    run: str, tmp_path: Path, words: tuple[str, ...], found: list[str]
) -> None:
    line = ("opstrand", "artifacts", words[0], "--local", *words[1:])
    asked = {"COMP_WORDS": " ".join(line), "COMP_CWORD": str(len(line) - 1)}
    env = {"OPSTRAND_LOCAL": str(tmp_path / "runs"), "_OPSTRAND_COMPLETE": "bash_complete"}
    done = run_opstrand(env={**asked, **env})
    assert [one.partition(",")[2] for one in done.out.split()] == found


def test_the_lines_of_the_page_of_commands(cli: Cli, run: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    page = (CHECKOUT / "docs" / "reference" / "command-line.md").read_text()
    lines = re.findall(r"\$ opstrand (artifacts .*?)\s+#", page)
    assert len(lines) == 5
    for line in lines:
        done = cli(*line.replace("fast", run).split())
        assert done.code == 0, done
    assert (tmp_path / "outputs" / "deep" / "model").is_file()
    assert (tmp_path / "outputs.tar.gz").is_file()
    assert cli("artifacts", "ls", "--local", run, "-o", "name").out == "outputs/\n"


@pytest.mark.parametrize("shrinks", [False, True])
async def test_a_file_that_changes_does_not_break_an_archive(tmp_path: Path, shrinks: bool) -> None:
    size = 3 * BLOCK
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "b").write_bytes(b"the next file")
    log = tmp_path / "run" / "a"
    log.write_bytes(os.urandom(size))
    written = io.BytesIO()

    def write(data: bytes) -> None:
        if written.write(data) > BLOCK // 2:
            os.truncate(log, 10) if shrinks else os.truncate(log, 2 * size)

    async def fetch() -> None:
        done = Transferred(LiveLine(), "copying", None)
        await fetch_archive(LocalFiles("one", tmp_path / "run"), "", write, done)

    if shrinks:
        with pytest.raises(CliError, match="changed while it was read"):
            await fetch()
        return
    await fetch()
    written.seek(0)
    with tarfile.open(fileobj=written) as archive:
        assert {one.name: one.size for one in archive} == {"a": size, "b": 13}
