"""Files of runs over HTTP: what was sent in parts or as a form is read back equal, in part, and as
an archive; nothing appears half, and nothing leaves the run's folder.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from obstore.store import MemoryStore
from tests.support.loopback_api import keep_files
from tests.support.running_run import RUN, UUID, operation

from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.artifacts.bucket import Bucket
from opstrand.runs.memory import MemoryRuns

Api = TestClient[Any, Any]
Kept = Callable[[], list[str]]
STREAM = RUN.replace("/api/v1/", "/streams/v1/quick-start/")
FILE, FOLDER = STREAM + "/artifact", STREAM + "/artifacts"


@pytest.fixture(params=["folder", "bucket"])
def bucket(request: pytest.FixtureRequest) -> Bucket | None:
    """Return where the files are kept: a folder, or a bucket that is in memory."""
    return Bucket("memory://", MemoryStore()) if request.param == "bucket" else None


@pytest.fixture
def kept(tmp_path: Path, bucket: Bucket | None) -> Kept:
    """Return a function that lists every file that is kept."""

    def list_all() -> list[str]:
        found = kept_files(tmp_path)
        if bucket is not None:
            found += [f"artifacts/{one.key}" for one in bucket.walk("")]
        return sorted(found)

    return list_all


@pytest.fixture
async def api(runs: MemoryRuns, tmp_path: Path, bucket: Bucket | None) -> AsyncIterator[Api]:
    files = keep_files(tmp_path, bucket)
    server = TestServer(create_app(runs, StaticToken("secret"), files=files))
    async with TestClient(server, headers={"Authorization": "Token secret"}) as client:
        yield client


async def put(api: Api, path: str, data: bytes, **query: Any) -> tuple[int, dict[str, Any]]:
    """Send a part (or the whole of) a file; `query` is merged over what describes it as whole."""
    described = {
        "path": path,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "offset": 0,
    }
    answer = await api.put(FILE, params=described | query, data=io.BytesIO(data))
    return answer.status, await answer.json()


async def read(api: Api, path: str) -> tuple[int, bytes]:
    answer = await api.get(FILE, params={"path": path})
    return answer.status, await answer.read()


def kept_files(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def pack(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


async def upload(api: Api, route: str, data: bytes, description: str | None) -> tuple[int, str]:
    form = aiohttp.FormData()
    form.add_field("upload_file", data, filename="sent.bin")
    if description is not None:
        form.add_field("json", description)
    answer = await api.post(route, data=form)
    return answer.status, await answer.text()


async def test_what_was_sent_is_read_back_equal(api: Api, kept: Kept) -> None:
    data = bytes(range(256)) * 12_000
    for path in ("a", "outputs/ünï çode #1.bin", "empty"):
        content = b"" if path == "empty" else data
        assert await put(api, path, content) == (
            200,
            {"offset": len(content), "isComplete": True},
        )
        assert await read(api, path) == (200, content)
    assert kept() == [
        f"artifacts/uid-of-quick-start/{UUID}/{path}"
        for path in ("a", "empty", "outputs/ünï çode #1.bin")
    ]


async def test_a_file_in_parts_appears_when_it_is_whole(api: Api) -> None:
    data = bytes(range(250)) * 100
    whole = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert await put(api, "m", data[:9000], **whole) == (200, {"offset": 9000, "isComplete": False})
    assert (await read(api, "m"))[0] == 404
    # A part that was sent twice, and one that skips bytes: not read.
    for offset in (0, 10_000):
        part = await put(api, "m", data[offset : offset + 9000], offset=offset, **whole)
        assert part == (200, {"offset": 9000, "isComplete": False})
    assert await put(api, "m", b"", **whole) == (200, {"offset": 9000, "isComplete": False})
    last = await put(api, "m", data[9000:], offset=9000, **whole)
    assert last == (200, {"offset": len(data), "isComplete": True})
    assert await read(api, "m") == (200, data)


async def test_a_file_that_changed_while_it_was_sent_is_not_kept(api: Api, kept: Kept) -> None:
    assert (await put(api, "f", b"first"))[0] == 200
    status, answer = await put(api, "f", b"after", sha256=hashlib.sha256(b"befor").hexdigest())
    assert (status, answer["detail"]) == (409, "'f' changed while it was sent")
    status, answer = await put(api, "f", b"longer than", size=5)
    assert status == 409
    assert "longer" in answer["detail"]
    assert await read(api, "f") == (200, b"first")
    assert len(kept()) == 1


@pytest.mark.parametrize(
    ("asked", "status", "data"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=-2", 206, b"89"),
        ("bytes=7-", 206, b"789"),
        ("bytes=50-60", 416, None),
    ],
)
async def test_ranges_of_a_file(api: Api, asked: str, status: int, data: bytes | None) -> None:
    await put(api, "digits", b"0123456789")
    answer = await api.get(FILE, params={"path": "digits"}, headers={"Range": asked})
    assert answer.status == status
    if data is not None:
        assert await answer.read() == data


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ("its ETag", 206),
        ('"other"', 200),
        ("its weak ETag", 200),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 200),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 206),
    ],
)
async def test_a_download_goes_on_only_with_the_same_content(
    api: Api, known: str, status: int
) -> None:
    await put(api, "digits", b"0123456789")
    tag = (await api.get(FILE, params={"path": "digits"})).headers["ETag"]
    given = {"its ETag": tag, "its weak ETag": f"W/{tag}"}.get(known, known)
    headers = {"Range": "bytes=7-", "If-Range": given}
    answer = await api.get(FILE, params={"path": "digits"}, headers=headers)
    expected = b"789" if status == 206 else b"0123456789"
    assert (answer.status, await answer.read()) == (status, expected)


async def test_a_file_is_sent_only_if_it_changed(api: Api) -> None:
    await put(api, "digits", b"0123456789")
    answer = await api.get(FILE, params={"path": "digits"})
    tag, since = answer.headers["ETag"], answer.headers["Last-Modified"]
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Match": tag}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Modified-Since": since}, 304),
        ({"If-Match": tag, "Range": "bytes=3-"}, 206),
    ):
        one = await api.get(FILE, params={"path": "digits"}, headers=headers)
        assert one.status == status, headers
    head = await api.head(FILE, params={"path": "digits"})
    assert (head.status, head.headers["Content-Length"]) == (200, "10")
    await put(api, "digits", b"9876543210")
    later = await api.get(FILE, params={"path": "digits"}, headers={"If-Match": tag})
    assert later.status == 412


async def test_no_browser_runs_what_a_run_wrote(api: Api) -> None:
    await put(api, "page.tar.gz", b"<script>alert(1)</script>")
    answer = await api.get(FILE, params={"path": "page.tar.gz"})
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''page.tar.gz"


async def test_a_folder_comes_as_an_archive(api: Api) -> None:
    files = {"outputs/a": b"1", "outputs/deep/b c": b"2" * 3_000_000, "other": b"3"}
    for path, data in files.items():
        await put(api, path, data)
    answer = await api.get(FOLDER, params={"path": "outputs"})
    assert answer.headers["Content-Disposition"].endswith('filename="outputs.tar.gz"')
    with tarfile.open(fileobj=io.BytesIO(await answer.read())) as archive:
        found = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    assert found == {"a": b"1", "deep/b c": b"2" * 3_000_000}
    whole = await api.get(FOLDER)
    with tarfile.open(fileobj=io.BytesIO(await whole.read())) as archive:
        assert sorted(archive.getnames()) == sorted(files)
    one = await api.get(FOLDER, params={"path": "other", "check_path": "True"})
    assert await one.read() == b"3"


async def test_the_tree_of_a_folder(api: Api) -> None:
    tree = FOLDER + "/tree"
    assert await (await api.get(tree)).json() == {"files": {}, "dirs": []}
    await put(api, "outputs/deep/a", b"12")
    await put(api, "outputs/b", b"1")
    assert await (await api.get(tree)).json() == {"files": {}, "dirs": ["outputs"]}
    found = await (await api.get(tree, params={"path": "outputs/"})).json()
    assert found == {"files": {"b": 1}, "dirs": ["deep"]}
    missing = await api.get(tree, params={"path": "nowhere"})
    assert missing.status == 404
    assert (await missing.json())["detail"] == "the run has no 'nowhere' among its files"


async def test_a_file_or_a_folder_is_deleted(api: Api) -> None:
    for path in ("a", "b/c", "b/d"):
        await put(api, path, b"1")
    assert (await api.delete(FILE, params={"path": "a"})).status == 204
    assert (await api.delete(FOLDER, params={"path": "b"})).status == 204
    assert (await api.delete(FILE, params={"path": "a"})).status == 404
    assert await (await api.get(FOLDER + "/tree")).json() == {"files": {}, "dirs": []}


async def test_a_form_stores_one_file_or_unpacks_an_archive(api: Api) -> None:
    assert await upload(api, FILE, b"data", None) == (200, "")
    assert await read(api, "sent.bin") == (200, b"data")
    assert (await upload(api, FILE, b"more", '{"path": "in/named.bin"}'))[0] == 200
    assert await read(api, "in/named.bin") == (200, b"more")
    assert (await upload(api, FILE, b"beside", '{"path": "in"}'))[0] == 200
    assert await read(api, "in/sent.bin") == (200, b"beside")
    status, text = await upload(api, FILE, b"x", '{"path": "in/sent.bin", "overwrite": false}')
    assert (status, "exists" in text) == (400, True)
    for mode in ("w:gz", "w"):
        packed = pack({"./a": mode.encode(), "deep/b": b"2"}, mode)
        assert (await upload(api, FOLDER, packed, '{"untar": true, "path": "code"}'))[0] == 200
        assert await read(api, "code/a") == (200, mode.encode())


def _link_archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return packed.getvalue()


def _bomb(head: bytes, size: int) -> bytes:
    """Return an archive whose first member is of this type and size, all zeros."""
    member = tarfile.TarInfo("bomb")
    member.type, member.size = head, size
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(min(size, 64 * 1024**2) // 1024**2):
            file.write(bytes(1024**2))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (_bomb(tarfile.REGTYPE, 2**40), "more than"),
        (_bomb(tarfile.XHDTYPE, 64 * 1024**2), "a head of more than"),
        (_bomb(tarfile.GNUTYPE_LONGNAME, 64 * 1024**2), "a head of more than"),
        (pack({"good": b"1", "../../evil": b"2"}), "has the part '..'"),
        (pack({"good": b"1", "/etc/evil": b"2"}), "absolute"),
        (_link_archive(), "link"),
        (pack({"good": b"1" * 100_000})[:-40], "not a whole tar archive"),
        (b"no archive", "not a whole tar archive"),
    ],
    ids=["large", "long head", "long name", "leads out", "absolute", "link", "cut", "none"],
)
async def test_of_a_bad_archive_nothing_is_kept(
    api: Api, kept: Kept, data: bytes, why: str
) -> None:
    status, text = await upload(api, FOLDER, data, '{"untar": true}')
    assert (status, why in text) == (400, True), text
    assert kept() == []


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a\nb", "n" * 300, "", "a/"])
async def test_a_path_that_leads_out_is_refused_on_every_route(api: Api, path: str) -> None:
    assert (await put(api, path, b"1"))[0] == 400
    if path not in ("", "a/"):
        for route in (FILE, FOLDER, FOLDER + "/tree"):
            assert (await api.get(route, params={"path": path})).status == 400
        assert (await api.delete(FOLDER, params={"path": path})).status == 400


async def test_a_file_in_the_way_of_a_folder_is_named(api: Api) -> None:
    await put(api, "a", b"1")
    await put(api, "d/e", b"1")
    for path, why in (("a/b", "a folder above 'a/b' is a file"), ("d", "'d' is a folder")):
        status, answer = await put(api, path, b"2")
        assert (status, why in answer["detail"]) == (400, True)


@pytest.mark.parametrize("route", ["part", "batch", "form"])
async def test_an_upload_that_stops_in_the_middle_leaves_nothing_of_the_run(
    api: Api, kept: Kept, route: str
) -> None:
    await put(api, "a", b"before")
    asked = f"size=1000&sha256={'0' * 64}"
    line, content = {
        "part": (f"PUT {FILE}?path=a&offset=0&{asked}", b"x" * 600),
        "batch": (f"PUT {FOLDER}?{asked}", pack({"a": b"x" * 600})[:100]),
        "form": (
            f"POST {FILE}",
            b'--b\r\nContent-Disposition: form-data; name="upload_file"; filename="a"\r\n\r\nxxx',
        ),
    }[route]
    head = (
        f"{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Token secret\r\nContent-Length: 1000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(head.encode() + content)
    await writer.drain()
    # The API may read some of it.
    await asyncio.sleep(0.1)
    writer.transport.abort()
    own = [f"artifacts/uid-of-quick-start/{UUID}/a"]
    for _ in range(600):
        # Of an announced file, what arrived waits for the rest, outside of the run's files.
        left = [one for one in kept() if route != "part" or "incoming" not in one]
        if left == own:
            break
        await asyncio.sleep(0.05)
    assert left == own
    assert await read(api, "a") == (200, b"before")


async def test_files_outlive_their_run_for_people(api: Api, runs: MemoryRuns) -> None:
    await put(api, "a", b"1")
    await runs.delete("quick-start", UUID)
    assert await read(api, "a") == (200, b"1")
    assert (await put(api, "b", b"2"))[0] == 404
    other = FILE.replace(UUID, "0" * 32)
    assert (await api.get(other, params={"path": "a"})).status == 404


async def test_a_run_that_is_deleted_through_the_api_leaves_no_file(api: Api, kept: Kept) -> None:
    await put(api, "a", b"1")
    await put(api, "b", b"1", size=2)
    assert (await api.delete(RUN)).status == 204
    assert kept() == []


async def test_an_api_without_a_folder_says_so(runs: MemoryRuns) -> None:
    await runs.put(operation())
    server = TestServer(create_app(runs, StaticToken("secret")))
    async with TestClient(server, headers={"Authorization": "Token secret"}) as client:
        for answer in (
            await client.get(FILE, params={"path": "a"}),
            await client.get(FOLDER + "/tree"),
        ):
            assert answer.status == 404
            assert "OPSTRAND_DATA" in (await answer.json())["detail"]
