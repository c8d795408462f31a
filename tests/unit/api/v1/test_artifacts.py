"""The files of a run, as the API keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.support.loopback_api import keep_files
from yarl import URL

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.v1 import discovery
from opstrand.artifacts.folder import RunFiles
from opstrand.runs.memory import MemoryRuns

RUNS = "/apis/runs.opstrand.dev/v1alpha1/namespaces/team/runs"
Client = TestClient[Any, Any]


@pytest.fixture
async def files(runs: MemoryRuns, tmp_path: Path) -> AsyncIterator[Client]:
    """Yield the API, which keeps three files of run-1, beside a file that is no one's."""
    kept = keep_files(tmp_path)
    assert kept is not None
    uuid = runs.bodies["team", "run-1"]["status"]["uuid"]
    folder: RunFiles = await kept.open("team", uuid)
    for path, text in (("model.bin", "0123456789"), ("a b/ü%2f.txt", "deep"), ("a b/c", "")):
        (folder.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder.folder / path).write_text(text)
    (tmp_path / "secret").write_text("of another")
    app = create_app(runs, StaticToken("secret"), files=kept, resources=discovery.ROUTES)
    async with TestClient(TestServer(app), headers={"Authorization": "Bearer secret"}) as client:
        yield client


async def test_a_folder_is_listed(files: Client) -> None:
    async with files.get(f"{RUNS}/run-1/artifacts") as answer:
        found = await answer.json()
    assert (found["kind"], found["folders"]) == ("ArtifactList", ["a b"])
    assert found["files"] == [{"name": "model.bin", "size": 10}]
    async with files.get(f"{RUNS}/run-1/artifacts", params={"path": "a b"}) as answer:
        assert {one["name"] for one in (await answer.json())["files"]} == {"c", "ü%2f.txt"}
    async with files.get(f"{RUNS}/run-2/artifacts") as answer:
        assert (await answer.json())["files"] == []


async def test_a_file_is_read_whole_in_part_and_only_if_it_changed(files: Client) -> None:
    path = f"{RUNS}/run-1/artifacts/model.bin"
    async with files.get(path) as answer:
        assert (await answer.read(), answer.content_type) == (
            b"0123456789",
            "application/octet-stream",
        )
        assert answer.headers["Content-Disposition"].startswith("attachment")
        tag = answer.headers["ETag"]
    async with files.get(path, headers={"Range": "bytes=3-5"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"345")
    async with files.get(path, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with files.get(f"{RUNS}/run-1/artifacts/a%20b/%C3%BC%252f.txt") as answer:
        assert await answer.text() == "deep"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("run-1/artifacts/no-such", 404),
        ("run-1/artifacts/a%20b", 404),
        ("run-1/artifacts?path=no-such", 404),
        ("no-such/artifacts", 404),
        ("run-1/artifacts/%2e%2e%2f%2e%2e%2fsecret", 400),
        ("run-1/artifacts/a%20b/%2e%2e/%2e%2e/%2e%2e/secret", 400),
        ("run-1/artifacts?path=../..", 400),
        ("run-1/artifacts?path=/etc", 400),
    ],
)
async def test_what_is_no_file_of_the_run_is_refused(files: Client, path: str, status: int) -> None:
    async with files.get(URL(f"{RUNS}/{path}", encoded=True)) as answer:
        found = await answer.json()
    assert (answer.status, found["kind"]) == (status, "Status"), found


async def test_an_api_that_keeps_no_files_says_so(api: Client) -> None:
    async with api.get(f"{RUNS}/run-1/artifacts") as answer:
        assert answer.status == 404
        assert "OPSTRAND_DATA" in (await answer.json())["message"]


async def send(api: Client, path: str, data: bytes, **query: Any) -> tuple[int, dict[str, Any]]:
    """Send a part, by default the whole, of a file of run-1."""
    whole = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    url = URL(f"{RUNS}/run-1/artifacts/{path}", encoded=True)
    async with api.put(url.with_query({**whole, **query}), data=data) as answer:
        return answer.status, await answer.json()


async def test_a_file_is_sent_in_parts_and_deleted(files: Client) -> None:
    data = b"0123456789" * 10
    whole = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path = f"{RUNS}/run-1/artifacts/new/one"
    first = await send(files, "new/one", data[:60], **whole)
    assert first == (200, {"offset": 60, "isComplete": False})
    async with files.get(path) as answer:
        assert answer.status == 404
    asked = await send(files, "new/one", b"", **whole)
    assert asked == (200, {"offset": 60, "isComplete": False})
    last = await send(files, "new/one", data[60:], **whole, offset=60)
    assert last == (200, {"offset": 100, "isComplete": True})
    async with files.get(path) as answer:
        assert await answer.read() == data
    for status in (200, 404):
        async with files.delete(path) as answer:
            assert answer.status == status
    async with files.delete(f"{RUNS}/run-1/artifacts") as answer:
        assert answer.status == 200
    async with files.get(f"{RUNS}/run-1/artifacts") as answer:
        found = await answer.json()
    assert (found["files"], found["folders"]) == ([], [])


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("%2e%2e/%2e%2e/secret", {}, 400),
        ("a%0ab", {}, 400),
        ("x" * 300, {}, 400),
        ("a%20b", {}, 400),
        ("f", {"sha256": "0" * 64}, 409),
        ("f", {"sha256": "short"}, 400),
        ("f", {"size": -1}, 400),
        ("f", {"size": 2}, 409),
    ],
)
async def test_what_cannot_be_a_file_of_the_run_is_not_kept(
    files: Client, path: str, query: dict[str, Any], status: int
) -> None:
    code, answer = await send(files, path, b"data", **query)
    assert (code, answer["kind"]) == (status, "Status"), answer
    async with files.get(f"{RUNS}/run-1/artifacts") as listed:
        assert [one["name"] for one in (await listed.json())["files"]] == ["model.bin"]


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.rglob("*") if one.is_file())


async def test_a_run_is_deleted_with_its_files(
    files: Client, runs: MemoryRuns, tmp_path: Path
) -> None:
    async with files.delete(f"{RUNS}/run-1") as answer:
        found = await answer.json()
    assert (answer.status, found["kind"], found["status"]) == (200, "Status", "Success")
    assert ("team", "run-1") not in runs.bodies
    assert names(tmp_path) == ["secret"]
    for path in ("run-1", "no-such"):
        async with files.delete(f"{RUNS}/{path}") as answer:
            assert answer.status == 404
