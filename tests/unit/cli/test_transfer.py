"""Transfers of files go on where they were interrupted: over the real API, through a relay that
ends connections.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from tests.support.cutting_relay import CuttingRelay
from tests.support.loopback_api import TOKEN, keep_files
from tests.support.running_run import UUID, operation

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.v1 import discovery
from opstrand.artifacts.folder import RunFiles
from opstrand.cli import transfer
from opstrand.cli.cluster.kept_files import KeptFiles
from opstrand.cli.errors import CliError, ExitCode
from opstrand.cli.output.spinner import LiveLine
from opstrand.cli.output.transferred import Transferred, show_size
from opstrand.cli.run_files import Content
from opstrand.kube.client import KubeApi
from opstrand.kube.errors import ApiError
from opstrand.kube.resources import RUNS
from opstrand.kube.session import open_session
from opstrand.runs.memory import MemoryRuns

DATA = os.urandom(3_000_000)


@dataclass
class Bed:
    relay: CuttingRelay
    files: KeptFiles
    folder: Path

    @property
    def done(self) -> Transferred:
        return Transferred(LiveLine(), "copying")

    def kept(self) -> dict[str, bytes]:
        return {
            str(one.relative_to(self.folder)): one.read_bytes()
            for one in self.folder.rglob("*")
            if one.is_file()
        }


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_PAUSE", 0.001)


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """Yield a run of the API, behind the relay."""
    runs = MemoryRuns()
    body = operation(phase="Succeeded")
    await runs.put(body)
    kept = keep_files(tmp_path / "api")
    app = create_app(runs, StaticToken(TOKEN), files=kept, resources=discovery.ROUTES)
    async with TestServer(app) as server, CuttingRelay(server.port or 0) as relay:
        config = {
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{relay.port}"}}],
            "users": [{"name": "a", "user": {"token": TOKEN}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        async with await open_session(kubeconfig=str(tmp_path / "kubeconfig")) as session:
            folder = RunFiles(tmp_path / "api", "uid-of-quick-start", UUID).folder
            folder.mkdir(parents=True)
            yield Bed(relay, KeptFiles(KubeApi(session), body), folder)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


async def fetch(bed: Bed, place: Path, done: Transferred, **rest: Any) -> None:
    await transfer.fetch_file(bed.files, "model", place, done, again=False, size=len(DATA), **rest)


async def test_a_read_goes_on_after_each_cut(bed: Bed, tmp_path: Path) -> None:
    (bed.folder / "model").write_bytes(DATA)
    bed.relay.answers = [900_000, 100, 1_200_000]
    done, place = bed.done, tmp_path / "here" / "model"
    await fetch(bed, place, done)
    assert place.read_bytes() == DATA
    assert names(place.parent) == ["model"]
    # Nothing was read twice.
    assert (done.bytes, done.files) == (len(DATA), 1)
    assert bed.relay.connections == 4


async def test_the_next_command_goes_on_where_the_last_one_ended(bed: Bed, tmp_path: Path) -> None:
    (bed.folder / "model").write_bytes(DATA)
    place = tmp_path / "here" / "model"
    bed.relay.answers = [1_000_000, *[0] * 20]
    with pytest.raises(ApiError):
        await fetch(bed, place, bed.done)
    assert not place.exists()
    bed.relay.answers = []
    done = bed.done
    await fetch(bed, place, done)
    assert place.read_bytes() == DATA
    assert 0 < done.bytes < len(DATA)
    assert names(place.parent) == ["model"]
    done = bed.done
    await fetch(bed, place, done)
    assert (done.bytes, done.kept) == (0, 1)


async def test_a_file_that_changed_since_is_read_from_its_beginning(
    bed: Bed, tmp_path: Path
) -> None:
    (bed.folder / "model").write_bytes(DATA)
    place = tmp_path / "here" / "model"
    bed.relay.answers = [1_000_000, *[0] * 20]
    with pytest.raises(ApiError):
        await fetch(bed, place, bed.done)
    bed.relay.answers = []
    other = DATA[::-1]
    (bed.folder / "model").write_bytes(other)
    await fetch(bed, place, bed.done)
    assert place.read_bytes() == other
    assert names(place.parent) == ["model"]


class Gate:
    """Holds back the first reading of a file after its first block, until it is opened."""

    def __init__(self, files: KeptFiles, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read = files.read
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(files, "read", self.read)

    @asynccontextmanager
    async def read(self, path: str, **rest: Any) -> AsyncIterator[Content]:
        async with self._read(path, **rest) as content:
            blocks = content.blocks if self.reached.is_set() else self._hold(content.blocks)
            yield Content(content.facts, blocks)

    async def _hold(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for block in blocks:
            yield block
            self.reached.set()
            await self.opened.wait()


async def test_two_commands_that_copy_one_file_leave_it_whole(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bed.folder / "model").write_bytes(DATA)
    place = tmp_path / "here" / "model"
    gate = Gate(bed.files, monkeypatch)
    first = asyncio.create_task(fetch(bed, place, bed.done))
    async with asyncio.timeout(60):
        await gate.reached.wait()
        with pytest.raises(CliError, match="another command copies") as raised:
            await fetch(bed, place, bed.done)
        assert raised.value.code == ExitCode.UNREACHABLE
        gate.opened.set()
        await first
    assert place.read_bytes() == DATA
    assert names(place.parent) == ["model"]


async def test_commands_that_copy_one_file_at_once_leave_it_whole(bed: Bed, tmp_path: Path) -> None:
    """Whichever order they have: each copies the file, or says that another does."""
    (bed.folder / "model").write_bytes(DATA)
    place = tmp_path / "here" / "model"
    ends = await asyncio.gather(
        *(fetch(bed, place, bed.done) for _ in range(4)), return_exceptions=True
    )
    assert None in ends
    assert {type(end) for end in ends} <= {type(None), CliError}
    assert place.read_bytes() == DATA
    assert names(place.parent) == ["model"]


@pytest.mark.parametrize("trouble", ["removed", "cut", "grown"])
async def test_a_part_that_something_else_changes_is_read_again(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    (bed.folder / "model").write_bytes(DATA)
    place = tmp_path / "here" / "model"
    gate = Gate(bed.files, monkeypatch)
    fetching = asyncio.create_task(fetch(bed, place, bed.done))
    async with asyncio.timeout(60):
        await gate.reached.wait()
        (part,) = await asyncio.to_thread(lambda: list(place.parent.iterdir()))
        if trouble == "removed":
            part.unlink()
        else:
            os.truncate(part, 0 if trouble == "cut" else 2 * len(DATA))
        gate.opened.set()
        await fetching
    assert place.read_bytes() == DATA
    assert names(place.parent) == ["model"]


async def test_an_archive_is_whole_although_connections_end(bed: Bed, tmp_path: Path) -> None:
    (bed.folder / "model").write_bytes(DATA)
    (bed.folder / "deep").mkdir()
    (bed.folder / "deep" / ("ü" * 90)).write_bytes(b"x")
    bed.relay.answers = [900_000, 900_000]
    packed = io.BytesIO()
    await transfer.fetch_archive(bed.files, "", packed.write, bed.done)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        found = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    assert found == {"model": DATA, f"deep/{'ü' * 90}": b"x"}


async def test_a_file_beside_one_of_the_same_name_packed_is_itself(
    bed: Bed, tmp_path: Path
) -> None:
    (bed.folder / "model").write_bytes(DATA)
    (bed.folder / "model.gz").write_bytes(gzip.compress(b"another"))
    await transfer.fetch_folder(bed.files, "", tmp_path / "all", bed.done, again=False)
    assert (tmp_path / "all" / "model").read_bytes() == DATA
    async with bed.files._api.open_part(
        "GET",
        RUNS,
        "quick-start",
        UUID,
        "artifacts/model",
        headers={"Accept-Encoding": "gzip"},
    ) as answer:
        assert await answer.read() == DATA


@pytest.mark.parametrize("size", [100, 2_500_000])
async def test_a_file_is_sent_although_connections_end(bed: Bed, tmp_path: Path, size: int) -> None:
    data = DATA[:size]
    (tmp_path / "source").write_bytes(data)
    bed.relay.requests = [600_000, 0, 900_000] if size > 1000 else [0, 200]
    done = bed.done
    await transfer.send_file(bed.files, tmp_path / "source", "deep/file", done)
    assert bed.kept() == {"deep/file": data}
    assert done.files == 1


async def test_a_large_file_is_sent_in_parts(bed: Bed, tmp_path: Path) -> None:
    data = os.urandom(transfer.PART + 5)
    (tmp_path / "source").write_bytes(data)
    done = bed.done
    await transfer.send_file(bed.files, tmp_path / "source", "file", done)
    assert bed.kept() == {"file": data}
    assert done.bytes == len(data)


async def test_an_upload_that_stops_in_the_middle_leaves_nothing_of_the_run(
    bed: Bed, tmp_path: Path
) -> None:
    (bed.folder / "file").write_bytes(b"before")
    (tmp_path / "source").write_bytes(DATA)
    bed.relay.requests = [1_500_000, *[0] * 20]
    with pytest.raises(ApiError):
        await transfer.send_file(bed.files, tmp_path / "source", "file", bed.done)
    assert bed.kept() == {"file": b"before"}
    bed.relay.requests = []
    done = bed.done
    await transfer.send_file(bed.files, tmp_path / "source", "file", done)
    assert bed.kept() == {"file": DATA}


async def test_a_file_that_grows_while_it_is_sent_is_sent_again(bed: Bed, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA * 2)
    write, grown = bed.files.write, []

    async def grow(path: str, size: int, *rest: Any) -> tuple[int, bool]:
        if len(grown) < 1:
            grown.append(size)
            source.write_bytes(DATA[::-1] * 2 + b"more")
        return await write(path, size, *rest)

    bed.files.write = grow  # type: ignore[method-assign]
    await transfer.send_file(bed.files, source, "file", bed.done)
    assert bed.kept()["file"] == DATA[::-1] * 2 + b"more"


async def test_a_full_disk_here_is_no_fault_of_the_connection(bed: Bed, tmp_path: Path) -> None:
    (bed.folder / "model").write_bytes(DATA)
    (tmp_path / "here").write_text("a file")
    with pytest.raises(OSError, match="here"):
        await fetch(bed, tmp_path / "here" / "model", bed.done)
    assert bed.relay.connections <= 1


async def test_a_file_that_is_gone_is_said_so(bed: Bed, tmp_path: Path) -> None:
    with pytest.raises(CliError) as raised:
        await fetch(bed, tmp_path / "x", bed.done)
    assert raised.value.code == ExitCode.NOT_FOUND
    assert "the run has no 'model'" in raised.value.message
    assert await asyncio.to_thread(names, tmp_path) == ["api", "kubeconfig"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (120 * 1024**2, "120 MiB"),
        (2**50, "1024 TiB"),
    ],
)
def test_a_size_is_shown_in_three_digits(size: int, shown: str) -> None:
    assert show_size(size) == shown
